"""`sunkeep commission`: dead time, lag, gain and phase of the slaves, by switching them."""

import json
import logging
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from core.site import Site, Slave
from daemon.cli.options import json_option, required_config
from daemon.cli.signals import run_and_close
from daemon.commands.installing.slaves import with_interval
from daemon.config.settings import load_settings, read_site_key
from daemon.errors import InputError
from daemon.identification.record import DeadManProof, SlaveMeasurement, load_record, save_record
from daemon.identification.switching import LENGTHS_S
from daemon.runtime.state_directory import hold_state, open_counter
from daemon.system.log import start_log

EX_NOT_MEASURED = 1


@click.command()
@click.argument("names", nargs=-1, metavar="[SLAVE]...")
@required_config
@click.option("--yes", is_flag=True, help="Switch without asking first.")
@json_option()
def commission(names: tuple[str, ...], config: Path, yes: bool, as_json: bool) -> int:
    """Switch slaves on and off, and measure how they answer: all of them, or those that are named.

    The daemon must be stopped. Says first what will be switched. One slave after the other is switched at
    irregular instants, through the daemon's own gate, until phase, gain, dead time and lag are exact enough;
    the grid meter alone is the witness. A device on a wire of its own is then left alone while it draws
    power: only one that lets go by itself may draw any later. The numbers lie in the state directory,
    `sunkeep slaves` shows them, and the daemon uses them from its next start on. Ctrl-C lets everybody rest
    and keeps what was found.
    Exits 1 when a slave was not measured, contradicts the configuration, or did not let go.
    """
    from daemon.commissioning.slave_measurement import (  # noqa: PLC0415 - it loads the radio and what decides
        SwitchingProgress,
        measure_slaves,
        switched_w,
    )

    settings = load_settings(config)
    site = settings.core_site()
    chosen = _chosen(site, names)
    levels_w = {slave.slot: switched_w(slave, site) for slave in chosen}
    able = [slave for slave in chosen if levels_w[slave.slot]]
    click.echo("\n".join(_plan(chosen, levels_w, site)), err=True)
    if not able:
        raise InputError("Nothing is left to be switched. Give dead_time_s and lag_s in the configuration.")
    _agree(yes)
    start_log(level=logging.WARNING)
    directory = settings.state.directory
    measured: list[SlaveMeasurement] = []
    proofs: list[DeadManProof] = []
    with hold_state(directory), _progress(as_json) as progress:
        bar = progress.add_task("", total=LENGTHS_S[0], told="")

        def keep(one: SlaveMeasurement) -> None:
            measured.append(one)
            try:
                save_record(load_record(directory)[0].with_slaves([one]), directory)
            except OSError as error:
                raise InputError(f"{directory} cannot be written: {error.strerror}.") from None
            if not as_json:
                progress.console.print("\n".join(_sentences(one)), highlight=False)

        def proven(proof: DeadManProof) -> None:
            proofs.append(proof)
            try:
                save_record(load_record(directory)[0].with_dead_man(proof), directory)
            except OSError as error:
                raise InputError(f"{directory} cannot be written: {error.strerror}.") from None
            if not as_json:
                progress.console.print(_proof_in_words(proof), highlight=False)

        def show(at: SwitchingProgress) -> None:
            told = f"{at.told_w} W, {at.switchings} switchings"
            progress.update(bar, description=at.slave.name, completed=at.seconds, total=at.until_s, told=told)

        run_and_close(
            measure_slaves(
                settings,
                read_site_key(settings, config),
                open_counter(directory),
                able,
                keep,
                show,
                proven=proven,
            )
        )
    if as_json:
        told = {"slaves": [one.model_dump(mode="json") for one in measured]}
        click.echo(json.dumps(told | {"dead_men": [one.model_dump(mode="json") for one in proofs]}))
    is_done = all(one.is_usable for one in measured) and all(one.outcome == "let go" for one in proofs)
    return 0 if is_done else EX_NOT_MEASURED


def _chosen(site: Site, names: tuple[str, ...]) -> list[Slave]:
    by_name = {slave.name: slave for slave in site.slaves}
    for name in names:
        if name not in by_name:
            raise InputError(f"No slave is named {name!r}. There are: {', '.join(by_name)}.")
    return [by_name[name] for name in dict.fromkeys(names)] if names else list(site.slaves)


def _plan(chosen: list[Slave], levels_w: dict[int, int], site: Site) -> list[str]:
    """What will be switched, for how long, and what it costs at most."""
    least_s, most_s = LENGTHS_S[0], LENGTHS_S[-1]
    able = [slave for slave in chosen if levels_w[slave.slot]]
    lines = [
        f"{slave.name} (slot {slave.slot}, phase {slave.phase_name}): 0 and {levels_w[slave.slot]} W in turn"
        if levels_w[slave.slot]
        else f"{slave.name} (slot {slave.slot}): left out, it may not be switched every few seconds"
        for slave in chosen
    ]
    most_wh = sum(levels_w[slave.slot] for slave in able) * most_s / 3600.0
    verb = "drawn" if site.role.value == "absorb" else "fed in"
    lines.append(
        f"Each takes {least_s / 60:.0f} min in a quiet house and at most {most_s / 60:.0f}: "
        f"{len(able) * least_s / 60:.0f} to {len(able) * most_s / 60:.0f} min in all, with at most "
        f"{most_wh / 1000:.2f} kWh {verb}."
    )
    lines.append("All other slaves rest meanwhile.")
    return lines


def _agree(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("This switches loads on, and nobody is here to agree: give --yes.")
    click.confirm("Go on?", abort=True, err=True)


def _progress(as_json: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
        transient=True,
        disable=as_json,
    )


def _proof_in_words(proof: DeadManProof) -> str:
    if proof.outcome == "let go":
        return (
            f"{proof.name}: nobody spoke to it, and its power was gone after {proof.fell_after_s:g} s. "
            "Its dead-man is proven."
        )
    return proof.why_not(proof.device, proof.dead_man_s, proof.at_utc)


def _sentences(one: SlaveMeasurement) -> list[str]:
    """What was found, and what is wrong with it."""
    lines = []
    if one.outcome == "measured":
        spread = f" (differs by {one.dead_time_sd_s:.2f} s)" if one.dead_time_sd_s else ""
        lines.append(
            f"{one.name}: phase {one.phase or 'abc'}, dead time {with_interval(one.dead_time_s, ' s')}"
            f"{spread}, lag {with_interval(one.lag_s, ' s')}, gain {with_interval(one.gain)}, "
            f"after {one.seconds:.0f} s."
        )
    return [*lines, *one.contradictions, *one.remarks]
