"""`sunkeep restore`: a site from its backup, on a new computer and a new stick."""

import json
import logging
import os
import pwd
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click

from daemon.cli.passphrase import passphrase_from
from daemon.cli.signals import run_and_close
from daemon.commissioning.sealed_file import PASSPHRASE_MIN, SealError, unseal
from daemon.commissioning.site_backup import Restoration, SiteBackup, own, read_site_backup
from daemon.config.edit import with_value
from daemon.errors import InputError
from daemon.runtime.devices import zigbee_settings
from daemon.runtime.state_directory import hold_state
from daemon.system.log import start_log
from drivers.errors import ConfigError
from drivers.zigbee.backup import form, parsed_backup

CONFIG = Path("/etc/sunkeep/sunkeep.toml")
FILE = click.Path(path_type=Path)
USER = "sunkeep"
EX_NO_NETWORK = 1


@click.command()
@click.argument("file", type=FILE)
@click.option("--config", type=FILE, default=CONFIG, show_default=True, help="Where it will be.")
@click.option("--passphrase-file", type=FILE, help="Its first line, instead of asking.")
@click.option("--radio", help="Path of the new stick, in the place of [radio] path.")
@click.option(
    "--without-stick", is_flag=True, help="Leave the stick alone; `sunkeep zigbee form` does it later."
)
@click.option("--look", is_flag=True, help="Only show what is in it.")
@click.option("--start", is_flag=True, help="Start the service at the end, and with the machine.")
def restore(
    file: Path,
    config: Path,
    passphrase_file: Path | None,
    radio: str | None,
    without_stick: bool,
    look: bool,
    start: bool,
) -> int:
    """Lay a site down from the file of `sunkeep backup`, and give its network to a blank stick.

    Overwrites nothing. May be repeated after an interruption. Slaves need not join again: all counters go on
    beyond what the old computer can have used. The old computer and the old stick must never run again.
    """
    found = _opened(file, passphrase_file)
    if look:
        click.echo("\n".join(_contents(found)))
        return 0
    text = found.configuration()
    if radio is not None:
        text = with_value(text, ("radio", "path"), json.dumps(radio))
    restoration = Restoration(found, config, text)
    settings = restoration.settings
    start_log(level=logging.WARNING)
    restoration.begin()
    with hold_state(settings.state.directory):
        files, by = restoration.lay_down(), restoration.leap(datetime.now(UTC))
        restoration.finish()
        _give_to_daemon(restoration)
        click.echo(
            f"Restored {found.site_name} of {found.made_at_utc}: {files} files, counter {by} further on."
        )
        formed = without_stick or _formed(restoration)
        _give_to_daemon(restoration)  # root may have opened the radio's database
    if start and formed:
        _start()
    elif formed:
        click.echo(f"Look at it (sunkeep check --config {config}), then: sudo systemctl enable --now sunkeep")
    click.echo("Never run the old computer or the old stick again: slaves would hear two masters.")
    return 0 if formed else EX_NO_NETWORK


def _opened(file: Path, passphrase_file: Path | None) -> SiteBackup:
    try:
        sealed = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    passphrase = passphrase_from(passphrase_file, shortest=PASSPHRASE_MIN, is_new=False)
    try:
        return read_site_backup(unseal(sealed, passphrase))
    except SealError as error:
        raise InputError(f"{file} {error}") from None


def _contents(found: SiteBackup) -> list[str]:
    network = found.network
    channel = "none" if network is None else f"channel {network.get('channel')}"
    return [
        f"{found.site_name}, made {found.made_at_utc} by {found.release}",
        f"network: {channel}",
        *(f"{file.place:<14} {file.name}" for file in found.files),
    ]


def _formed(restoration: Restoration) -> bool:
    """Give the network to the stick; False, with words, when that could not be done."""
    settings = zigbee_settings(restoration.settings)
    saved = restoration.backup.network
    try:
        network = None if saved is None else parsed_backup(saved, "the network in it")
        done = run_and_close(form(settings, network))
    except ConfigError as error:
        click.echo(f"The stick at {settings.path} has not got the network: {error}.")
        click.echo(
            "If this is the old stick, nothing is missing: it has its network in it. Else plug a blank one"
        )
        click.echo(f"in, and run: sunkeep zigbee form --config {restoration.config}")
        return False
    place = f"channel {done.network.channel}, PAN 0x{done.network.pan_id:04x}"
    click.echo(f"The stick has the network of before: {place}.")
    return True


def _give_to_daemon(restoration: Restoration) -> None:
    """State and key belong to the daemon's user; the configuration is root's, and readable for the daemon."""
    if os.geteuid() != 0:
        return
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return
    settings, config = restoration.settings, restoration.config
    own(settings.state.directory, user.pw_uid, user.pw_gid)
    for file in (config.parent / saved.name for saved in restoration.backup.files if saved.place == "beside"):
        os.chown(file, user.pw_uid, user.pw_gid, follow_symlinks=False)
    os.chown(config, 0, user.pw_gid, follow_symlinks=False)


def _start() -> None:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise InputError("There is no systemctl here. Start it in another way: sunkeep run --config FILE")
    done = subprocess.run(  # noqa: S603 - no word of it comes from outside
        [systemctl, "enable", "--now", "sunkeep.service", "sunkeep.path"], check=False
    )
    if done.returncode:
        raise InputError("systemd did not start it; see above, and `journalctl -u sunkeep`.")
    click.echo("Running. `sunkeep status` shows what it does.")
