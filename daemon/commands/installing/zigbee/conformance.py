"""`sunkeep zigbee conformance`: does a slave keep the published protocol?"""

import json
import logging
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.site import Slave
from daemon.cli.options import json_option, required_config
from daemon.cli.signals import run_and_close
from daemon.config.settings import Settings, load_settings, read_site_key
from daemon.conformance.verdicts import CheckOutcome, CheckVerdict, ConformanceResult
from daemon.errors import InputError
from daemon.runtime.state_directory import hold_state, open_counter
from daemon.system.log import start_log

EX_BROKEN = 1
WATTS_DEFAULT = 100
WATTS = (2, 1990)
"""The upper end is what safety lets start in one step: 1000 W per second, at most two seconds of it."""
_STYLE = {CheckOutcome.KEPT: "green", CheckOutcome.BROKEN: "red", CheckOutcome.NOT_JUDGED: "yellow"}


@click.command()
@required_config
@click.option("--slot", type=click.IntRange(0, 255), help="Which slave; not needed when there is one.")
@click.option(
    "--watts",
    type=click.IntRange(*WATTS),
    help=f"The most it is told, without asking first ({WATTS_DEFAULT} otherwise).",
)
@click.option("--rule", "rules", multiple=True, help="Only checks of this rule, such as F4; may be repeated.")
@json_option()
def conformance(
    config: Path, slot: int | None, watts: int | None, rules: tuple[str, ...], as_json: bool
) -> int:
    """Ask one slave over the air whether it keeps docs/develop/setpoint-protocol.md, rule by rule.

    The daemon must be stopped. Everybody is told to rest, then this slave gets good frames of few watts,
    which pass the safety floor as the daemon's do, and frames that it must ignore: forged, replayed, cut
    short. It is judged by its reports and by when they come. At the end everybody rests. Exits 1 when a
    rule is broken.
    """
    from daemon.conformance.session import ask_slave  # noqa: PLC0415 - it loads the radio and what decides

    settings = load_settings(config)
    slave = _slave(settings, slot)
    _check_rules(slave, rules)
    told_w = watts if watts is not None else _agreed(slave)
    start_log(level=logging.WARNING)
    with (
        hold_state(settings.state.directory),
        Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress,
    ):
        bar = progress.add_task(f"slot {slave.slot}", total=None)

        def show(done: int, total: int, verdict: CheckVerdict) -> None:
            progress.update(bar, completed=done, total=total, description=verdict.check)

        result = run_and_close(
            ask_slave(
                settings,
                slave,
                read_site_key(settings, config),
                open_counter(settings.state.directory),
                told_w,
                show,
                frozenset(rules) or None,
            )
        )
    if as_json:
        click.echo(json.dumps(result.record()))
    else:
        Console().print(_table(result))
        click.echo(_words(result))
    return 0 if result.conforms else EX_BROKEN


def _slave(settings: Settings, slot: int | None) -> Slave:
    slaves = settings.core_site().slaves
    if slot is None and len(slaves) == 1:
        return slaves[0]
    for slave in slaves:
        if slave.slot == slot:
            return slave
    known = ", ".join(f"{slave.slot} ({slave.name})" for slave in slaves)
    raise InputError(f"{'Choose one' if slot is None else f'No slave has slot {slot}'}: --slot {known}.")


def _check_rules(slave: Slave, rules: tuple[str, ...]) -> None:
    from daemon.conformance.checks import checks  # noqa: PLC0415

    known = list(dict.fromkeys(check.rule for check in checks(slave.slot, slave.max_w)))
    for rule in rules:
        if rule not in known:
            raise InputError(
                f"--rule {rule}: nothing is checked under that name. There are {', '.join(known)}."
            )


def _agreed(slave: Slave) -> int:
    """Ask before a load is switched on."""
    question = (
        f"Slot {slave.slot} ({slave.name}) will be switched on, at up to {WATTS_DEFAULT} W for about two "
        "minutes. Go on?"
    )
    if not sys.stdin.isatty():
        raise InputError(
            f"This switches a load on, and nobody is here to agree: give --watts {WATTS_DEFAULT}."
        )
    click.confirm(question, abort=True, err=True)
    return WATTS_DEFAULT


def _table(result: ConformanceResult) -> Table:
    table = Table(box=None)
    for heading in ("rule", "check", "result", "seen"):
        table.add_column(heading)
    for verdict in result.verdicts:
        table.add_row(
            verdict.rule,
            verdict.check,
            verdict.outcome.value,
            verdict.detail,
            style=_STYLE[verdict.outcome] if verdict.outcome is not CheckOutcome.KEPT else "",
        )
    return table


def _words(result: ConformanceResult) -> str:
    counted = ", ".join(f"{result.count(outcome)} {outcome.value}" for outcome in CheckOutcome)
    ends = "keeps every rule that was judged" if result.conforms else "breaks the protocol"
    return (
        f"Slot {result.slot} ({result.name}) {ends}: {counted}, in {result.seconds:.0f} s at up to "
        f"{result.watts} W. "
        "The rules are in docs/develop/setpoint-protocol.md."
    )
