"""`sunkeep backup`: one encrypted file with everything that a new computer and a new stick need."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import click

from daemon.cli.passphrase import passphrase_from
from daemon.cli.signals import run_and_close
from daemon.commissioning.sealed_file import PASSPHRASE_MIN, seal
from daemon.commissioning.site_backup import outside, own, take
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.runtime.devices import zigbee_settings
from daemon.runtime.state_directory import hold_state
from daemon.system.log import start_log
from daemon.system.release import release
from daemon.system.state_file import sync_directory
from drivers.zigbee.backup import back_up

CONFIG = Path("/etc/sunkeep/sunkeep.toml")
FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--config", type=FILE, default=CONFIG, show_default=True, help="The configuration.")
@click.option("--passphrase-file", type=FILE, help="Its first line, instead of asking.")
@click.option(
    "--without-stick",
    is_flag=True,
    help="The stick is broken or away: rely on what the state directory knows of the network.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def backup(
    file: Path, config: Path, passphrase_file: Path | None, without_stick: bool, as_json: bool
) -> None:
    """Write everything a new computer and a new stick need into one encrypted file.

    Configuration, site key, counters, the network and its keys, what was measured of the slaves, totals,
    policies. Not the journal. The daemon must be stopped. `sunkeep restore FILE` is the way back.
    """
    settings = load_settings(config)
    state = settings.state.directory
    passphrase = passphrase_from(passphrase_file, shortest=PASSPHRASE_MIN, is_new=True)
    start_log(level=logging.WARNING)
    descriptor = _new(file)
    whole = False
    try:
        with os.fdopen(descriptor, "wb") as stream, hold_state(state):
            network: dict[str, Any] | None = None
            if not without_stick:
                network = run_and_close(back_up(zigbee_settings(settings)))
            owner = state.stat()
            own(state, owner.st_uid, owner.st_gid)  # root may have run this, and the daemon goes on
            taken = take(settings, config, network, release())
            stream.write(seal(taken.text(), passphrase))
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(file.absolute().parent)
        whole = True
    finally:
        if not whole:
            file.unlink(missing_ok=True)
    left_out = [str(one) for one in outside(settings, config)] + [str(settings.journal.directory)]
    if as_json:
        facts = {"file": str(file), "files": len(taken.files), "network": not without_stick}
        click.echo(json.dumps(facts | {"not_in_it": left_out}))
        return
    network_too = "" if without_stick else ", and the network"
    click.echo(f"Wrote {file}: {taken.site_name}, {len(taken.files)} files{network_too}.")
    click.echo(f"Not in it: {', '.join(left_out)}.")
    click.echo("Keep it on another machine. Without the passphrase nobody can read it, you included.")


def _new(file: Path) -> int:
    """A file that was not there, for its owner alone."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{file} exists and is not overwritten. Choose another name.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
