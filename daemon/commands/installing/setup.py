"""`sunkeep setup`: from a fresh installation to a running site, in one guided command."""

import shutil
import subprocess
from pathlib import Path
from typing import get_args

import click

from daemon.commands.installing.commission import commission
from daemon.commands.installing.probe import find_meter
from daemon.commissioning.preflight import Item
from daemon.commissioning.site_answers import (
    DRAFT_FILE,
    Answers,
    Phases,
    SlaveAnswers,
    keep_draft,
    load_draft,
    read_answers,
)
from daemon.commissioning.site_setup import SiteSetup
from daemon.errors import InputError
from daemon.identification.record import load_record

CONFIG, STATE = Path("/etc/sunkeep/sunkeep.toml"), Path("/var/lib/sunkeep")
SERIAL_PORTS = Path("/dev/serial/by-id")
FILE = click.Path(path_type=Path)
EX_INCOMPLETE = 1
PHASES: click.Choice[Phases] = click.Choice(get_args(Phases))


@click.command()
@click.option(
    "--config", type=FILE, default=CONFIG, show_default=True, help="Where the configuration is or will be."
)
@click.option("--state", type=FILE, default=STATE, show_default=True, help="Where the state will be.")
@click.option("--answers", "file", type=FILE, help="A TOML file with the answers; nothing is asked then.")
@click.option(
    "--ask-seconds",
    type=click.IntRange(5, 120),
    default=20,
    show_default=True,
    help="How long slaves are asked.",
)
def setup(config: Path, state: Path, file: Path | None, ask_seconds: int) -> int:
    """Set a site up: meter, stick, slaves, key, network, joining, measuring, and the start in shadow.

    Every step looks first whether it is done: after Ctrl-C, or a slave that did not join, run it again. A
    configuration, a key and a network that are there stay as they are. Exits 1 when something is left to do.
    """
    stopped_daemon()
    site = SiteSetup(config.absolute(), click.echo)
    folder = site.config.parent
    answers = load_draft(folder) if file is None else read_answers(file)
    if not config.exists():
        if file is None:
            Questions(answers, folder).ask()
        else:
            complete(answers)
        find(answers, folder)
    elif not answers.slaves:
        click.echo("The site is described already. Slaves join with: sunkeep zigbee permit")
    keep_draft(answers, folder)
    site.write_configuration(answers, state.absolute())
    _key(site, asked=file is None)
    if left := site.failing():
        return _left(left, "Then run this again.")
    site.form_network()
    if absent := [slave.name for slave in site.to_join(answers.slaves) if not _join(site, slave)]:
        click.echo(
            f"Not joined: {', '.join(absent)}. Is it powered, in reach and in pairing mode? Run this again."
        )
        return EX_INCOMPLETE
    click.echo("Trying meter, radio and slaves ...")
    found = site.try_wires(ask_seconds)
    click.echo("\n".join(f"{'ok   ' if item.ok else 'FAILS'} {item.name:<8} {item.detail}" for item in found))
    if left := [item for item in found if not item.ok]:
        return _left(left, "Then run this again; what is done stays done.")
    _measure(site, answers)
    (folder / DRAFT_FILE).unlink(missing_ok=True)
    return _end(site, answers, asked=file is None)


def stopped_daemon() -> None:
    """Meter and stick must be free.

    Raises:
        InputError: the service runs.
    """
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return
    command = [systemctl, "is-active", "--quiet", "sunkeep.service"]
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0:  # noqa: S603 - own words
        raise InputError(
            "The daemon runs, and has the meter and the stick. Stop it first: systemctl stop sunkeep"
        )


class Questions:
    """Asks what is not answered yet, and keeps every answer at once."""

    def __init__(self, answers: Answers, folder: Path) -> None:
        self.answers, self.folder = answers, folder

    def ask(self) -> None:
        """All questions; after Ctrl-C the next run goes on behind the last answer."""
        site, meter, radio = self.answers.site, self.answers.meter, self.answers.radio
        if site.name is None:
            site.name = click.prompt("Name of the site", default="Home")
            self._keep()
        if site.timezone is None:
            site.timezone = click.prompt("Time zone", default=_own_timezone())
            self._keep()
        ports = _ports()
        if radio.path is None:
            radio.path = _choose("Which one is the Zigbee stick", ports)
            self._keep()
        if not meter.is_placed:
            others = [port for port in ports if port != radio.path]
            if (
                click.prompt("Meter", type=click.Choice(["network", "serial"]), default="network")
                == "network"
            ):
                meter.host = click.prompt("Address of the meter or gateway")
            else:
                meter.serial = _choose("Which one is the meter", others)
            self._keep()
        self._slaves()

    def _slaves(self) -> None:
        while not self.answers.slaves or click.confirm("One more slave?", default=False):
            slot = max((slave.slot for slave in self.answers.slaves), default=-1) + 1
            click.echo(f"Slave {slot + 1}:")
            while True:
                try:
                    slave = SlaveAnswers(
                        name=click.prompt("  Name"),
                        slot=click.prompt("  Slot, as its maker says", default=slot, type=int),
                        phases=click.prompt("  Phase", type=PHASES, default="a"),
                        max_w=click.prompt("  Power in W", type=int),
                        ieee=click.prompt(
                            "  IEEE address on its label (empty: it is in the network)", default=""
                        )
                        or None,
                        install_code=click.prompt("  Install code on its label", default="") or None,
                    )
                except ValueError as error:
                    click.echo(f"  That does not fit: {_first_reason(error)}. Once more:")
                else:
                    break
            self.answers.slaves = [*self.answers.slaves, slave]
            self._keep()

    def _keep(self) -> None:
        keep_draft(self.answers, self.folder)


def _first_reason(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return str(errors()[0]["msg"]).removeprefix("Value error, ") if callable(errors) else str(error)


def complete(answers: Answers) -> None:
    """A file of answers has to hold everything.

    Raises:
        InputError: with what is missing.
    """
    site, radio = answers.site, answers.radio
    missing = [
        name
        for name, there in {
            "site.name": site.name is not None,
            "site.timezone": site.timezone is not None,
            "meter.host or meter.serial": answers.meter.is_placed,
            "radio.path": radio.path is not None,
            "slaves": bool(answers.slaves),
        }.items()
        if not there
    ]
    if missing:
        raise InputError(f"The file of answers lacks {', '.join(missing)}.")


def find(answers: Answers, folder: Path) -> None:
    """Find out which meter answers.

    Raises:
        InputError: none that is known.
    """
    meter = answers.meter
    if meter.lines:
        return
    click.echo("Looking for the meter ...")
    lines = find_meter(meter.host, meter.port, meter.serial, meter.device_id)
    if lines is None:
        place = f"--host {meter.host} --port {meter.port}" if meter.host else f"--serial {meter.serial}"
        meter.host = meter.serial = None  # asked again
        keep_draft(answers, folder)
        raise InputError(
            f"No known meter answers there. `sunkeep meter probe {place}` tells more. Run this again."
        )
    meter.lines = lines
    click.echo("\n".join(f"  {line}" for line in lines))
    keep_draft(answers, folder)


def _key(site: SiteSetup, asked: bool) -> None:
    if not site.make_key():
        return
    file = site.settings().radio.key_file
    click.echo(f"Made the site key in {file}. Every slave needs it, with its slot, as its maker says.")
    if asked:
        click.prompt("Give it to them now, then press Enter", default="", show_default=False)


def _join(site: SiteSetup, slave: SlaveAnswers) -> bool:
    click.echo(f"{slave.name} ({slave.ieee}): put it into pairing mode.")
    return site.bring_in(slave)


def _measure(site: SiteSetup, answers: Answers) -> None:
    """Measure those that were not yet. What cannot be measured keeps no site from running."""
    settings = site.settings()
    done = {one.name for one in load_record(settings.state.directory)[0].slaves}
    names = [slave.name for slave in settings.slaves if slave.name not in done]
    wanted = answers.end.measure
    if names and wanted is None:
        wanted = click.confirm("Measure how the slaves answer (2 to 15 minutes each)?", default=True)
    if not names or not wanted:
        return
    context = click.get_current_context()
    try:
        code = context.invoke(commission, names=tuple(names), config=site.config, yes=True, as_json=False)
    except InputError as error:
        click.echo(error.message)
        return
    finally:
        site.give_to_daemon()
    if code:
        click.echo("Not every slave was measured; it runs without, and `sunkeep commission` tries again.")


def _end(site: SiteSetup, answers: Answers, asked: bool) -> int:
    wanted = answers.end.start
    if wanted is None:
        wanted = asked and click.confirm(
            "Start the daemon now, in shadow, and with the machine?", default=True
        )
    systemctl = shutil.which("systemctl")
    if not wanted or systemctl is None:
        click.echo("Done, in shadow. Start it: systemctl enable --now sunkeep sunkeep.path")
        return 0
    command = [systemctl, "enable", "--now", "sunkeep.service", "sunkeep.path"]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - own words
        raise InputError("systemd did not start it; see above, and `journalctl -u sunkeep`.")
    click.echo(
        "It runs, in shadow: the PI acts, the policy is recorded. `sunkeep status` shows what it does."
    )
    return 0


def _left(items: list[Item], then: str) -> int:
    click.echo("\n".join(f"FAILS {item.name}: {item.detail}" for item in items))
    click.echo(then)
    return EX_INCOMPLETE


def _ports() -> list[str]:
    return sorted(map(str, SERIAL_PORTS.iterdir())) if SERIAL_PORTS.is_dir() else []


def _choose(question: str, ports: list[str]) -> str:
    """One of the serial ports, or a path that is typed."""
    for number, port in enumerate(ports, 1):
        click.echo(f"  {number}  {port}")
    typed = str(click.prompt(f"{question} (number, or a path)", default="1" if ports else None))
    if typed.isdecimal() and 1 <= int(typed) <= len(ports):
        return ports[int(typed) - 1]
    return typed


def _own_timezone() -> str:
    try:
        return Path("/etc/timezone").read_text().strip() or "UTC"
    except OSError:
        return "UTC"
