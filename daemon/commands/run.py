"""`sunkeep run`: control a site."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import click

from daemon.config.settings import load_settings
from daemon.monitoring.figures import Figures
from daemon.runtime.state_directory import embedded_state, hold_state
from daemon.service.service import Service
from daemon.system.log import start_log
from daemon.system.release import rolled_back

PRIVATE = 0o077
"""Whatever the daemon writes is its own user's, also where no unit says so."""
FAR_END_S = 0.3
"""The simulated site has nothing to save: it may end quickly."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration; else the embedded site.")
@click.option("--trace", type=click.Path(path_type=Path), help="Embedded site: a day, .parquet or .csv.")
@click.option("--at", default="11:00", show_default=True, help="Embedded site: begin at HH:MM of the day.")
@click.option("--status-port", type=int, default=9108, show_default=True, help="Embedded site: status page.")
@click.option("--plain", is_flag=True, help="Log lines instead of the live view.")
def run(config: Path | None, trace: Path | None, at: str, status_port: int, plain: bool) -> None:
    """Control a site until interrupted; every slave rests afterwards.

    Without --config a simulated site with a measured day is started beside the daemon, behind a real
    Modbus meter and a real Zigbee coordinator interface on loopback.
    """
    if config is not None:
        _control(config, plain, rolled_back())
        return
    with _embedded_site(trace, at, status_port) as (site, day):
        _control(site, plain, day)


def _control(config: Path, plain: bool, remark: str) -> None:
    os.umask(PRIVATE)
    settings = load_settings(config)
    live = sys.stdout.isatty() and not plain
    log_file = settings.state.directory / "sunkeep.log"
    output = start_log(_log_descriptor(log_file) if live else sys.stderr.fileno())
    with ExitStack() as open_views:
        show = partial(_show, open_views) if live else None
        service = Service(settings, config, lambda: output.dropped_lines, show, remark)
        try:
            asyncio.run(service.run())
        finally:
            output.flush()
    if live:
        _say_goodbye(service.figures, settings.journal.directory)


def _show(open_views: ExitStack, figures: Figures, address: str) -> Callable[[], None]:
    from daemon.monitoring.terminal import TerminalView  # noqa: PLC0415 - 8 MB that a service never needs

    return open_views.enter_context(TerminalView(figures, address=address)).update


def _say_goodbye(figures: Figures | None, journal: Path) -> None:
    """What stays on the terminal when the live view is gone."""
    if figures is None or figures.decision is None:
        return
    told = "told to rest" if any(figures.decision.setpoints_w) else "at 0 W"
    total = figures.ledger.total
    click.echo(f"Stopped. Every slave is {told}.")
    if total.exported_without_j > 0.0:
        exported_wh, without_wh = total.exported_j / 3600.0, total.exported_without_j / 3600.0
        click.echo(f"Exported {exported_wh:.0f} Wh; without Sunkeep it would have been {without_wh:.0f} Wh.")
    click.echo(f"Every decision is in {journal}; sunkeep replay decides them again.")


def _log_descriptor(file: Path) -> int:
    """The live view has the terminal; the log goes beside it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@contextmanager
def _embedded_site(trace: Path | None, at: str, status_port: int) -> Iterator[tuple[Path, str]]:
    """The far end in a process of its own, and the configuration for it."""
    state = embedded_state()
    with hold_state(state):  # the far end begins the site anew, and must not do so under a running daemon
        pass
    command = [sys.executable, "-m", "daemon", "plant", "--meter-port", "0", "--radio-port", "0"]
    command += ["--at", at, "--write-config", str(state), "--status-port", str(status_port)]
    command += [] if trace is None else ["--trace", str(trace)]
    # a session of its own: Ctrl-C is for the daemon, which then lets the site see the slaves rest
    far_end = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603
    try:
        assert far_end.stdout is not None
        facts = _announced(far_end.stdout)
        if "day" not in facts:
            raise click.exceptions.Exit(far_end.wait(5.0) or 1)
        yield Path(facts["config"]), facts["day"]
    finally:
        far_end.terminate()
        try:
            far_end.wait(FAR_END_S)
        except subprocess.TimeoutExpired:
            far_end.kill()


def _announced(lines: IO[str]) -> dict[str, str]:
    """What the far end says about itself, up to its last line; less if it ended early."""
    facts: dict[str, str] = {}
    for line in iter(lines.readline, ""):
        name, _, value = line.strip().partition(" ")
        facts[name] = value.strip()
        if name == "day":
            break
    return facts
