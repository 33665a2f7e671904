"""`sunkeep simulate`: a controller on a measured day, in accelerated time."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.site import Metering, Site
from daemon.cli.options import FiniteRange, TimeOfDay, json_option
from daemon.config.settings import Settings, load_settings
from daemon.simulation.controllers import pilot
from daemon.simulation.plant_description import load_plant, plant_trace
from daemon.simulation.simulate import CONTROLLERS, Scenario, SimulationRun, begin, default_site, live
from plant.site.description import Description
from plant.site.drawing import told
from plant.site.physics import PHASE_SHARES, TTL_S
from plant.site.trace import DAY_S

FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class SimulateRequest:
    """The command line."""

    trace: Path | None
    config: Path | None
    controller: str
    start_s: int
    end_s: int
    seed: int
    extra_delay_s: float
    bundle: Path | None
    plant: str | None
    told: bool
    pv_connection: str | None
    metering: str | None
    margin_w: float | None


@click.command("simulate")
@click.option(
    "--trace", type=FILE, metavar="FILE", help="A day, .parquet or .csv; by default the shipped one."
)
@click.option("--config", type=FILE, metavar="FILE", help="Site, limits and gains; by default nine heaters.")
@click.option(
    "--plant",
    metavar="NAME|FILE",
    help="What is truly there: a site that ships, or a description in TOML. By default the usual far end.",
)
@click.option(
    "--told", is_flag=True, help="With --plant: tell the controller what was drawn for every slave."
)
@click.option("--controller", type=click.Choice(CONTROLLERS), default="policy", show_default=True)
@click.option(
    "--from",
    "start_s",
    type=TimeOfDay(),
    default=0,
    help="Where in the day it begins, after a minute to settle.",
)
@click.option("--to", "end_s", type=TimeOfDay(), default=DAY_S, help="Where in the day it ends.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the far end.")
@click.option(
    "--extra-delay-s",
    type=FiniteRange(0.0, 60.0),
    default=0.0,
    help="Added to every frame, told to nobody.",
)
@click.option(
    "--bundle",
    type=FILE,
    metavar="BUNDLE",
    help="A folder, or one that ships: builtin, clone.",
)
@click.option(
    "--pv-connection",
    type=click.Choice(tuple(PHASE_SHARES), case_sensitive=False),
    help="By default as described, else 3ph.",
)
@click.option("--metering", type=click.Choice([m.value for m in Metering]), help="By default as configured.")
@click.option(
    "--margin-w", type=FiniteRange(-1000.0, 1000.0), help="Shift the import margin of pi or predictive."
)
@json_option("Print one JSON object.")
def simulate(as_json: bool, **options: Any) -> None:
    """Run a controller on a measured day, in accelerated time.

    The same decision function as in live control and the same limits of the radio, on a simulated site.
    Slaves, radio delays, losses and meter noise are drawn from the seed: the same seed, the same result.
    """
    request = SimulateRequest(**options)
    settings = None if request.config is None else load_settings(request.config, key=False)
    run = _prepare(request, settings)
    if as_json:
        for _ in live(run):
            pass
        click.echo(json.dumps(_facts(request, run)))
        return
    seconds = request.end_s - request.start_s
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(request.controller, total=seconds)
        for lived_s in live(run):
            progress.update(bar, completed=lived_s)
    Console().print(_table(_facts(request, run)))


def _prepare(request: SimulateRequest, settings: Settings | None) -> SimulationRun:
    if not request.start_s < request.end_s:
        raise click.UsageError("--to must be later than --from")
    if request.margin_w is not None and request.controller not in ("pi", "predictive"):
        raise click.UsageError(f"--margin-w belongs to pi and predictive, not to {request.controller}")
    plant = None if request.plant is None else load_plant(request.plant)
    site = _site(request, settings, plant)
    described_pv = "3ph" if plant is None else plant.house.pv_connection
    scenario = Scenario(
        trace=plant_trace(plant, request.trace),
        site=site,
        connection=request.pv_connection or described_pv,
        start_s=request.start_s,
        end_s=request.end_s,
        seed=request.seed,
        extra_delay_s=request.extra_delay_s,
        ttl_s=TTL_S if settings is None else float(settings.radio.ttl_s),
        plant=plant,
    )
    chosen = pilot(request.controller, site, settings, request.bundle, request.margin_w or 0.0)
    return begin(scenario, chosen)


def _site(request: SimulateRequest, settings: Settings | None, plant: Description | None) -> Site:
    """The site as its controller knows it."""
    if settings is not None:
        site = settings.core_site()
        if plant is not None:
            _require_fit(site, plant.core_site())
    else:
        site = default_site() if plant is None else plant.core_site()
    if request.told:
        if plant is None:
            raise click.UsageError("--told needs --plant: only a described site has numbers to tell")
        slaves = told(site.slaves, plant, request.seed)
        site = replace(site, slaves=slaves, meter_delay_s=plant.meter.lateness_s(site.period_s))
    return site if request.metering is None else replace(site, metering=Metering(request.metering))


def _require_fit(site: Site, described: Site) -> None:
    """The slaves of the configuration are those of the plant, one by one."""
    for what, one, other in (
        ("slaves", len(site.slaves), len(described.slaves)),
        ("role", site.role.value, described.role.value),
        ("period_s", site.period_s, described.period_s),
    ):
        if one != other:
            raise click.UsageError(f"--config and --plant differ in {what}: {one} and {other}")


def _facts(request: SimulateRequest, run: SimulationRun) -> dict[str, Any]:
    """Everything that is printed, in the order of the table."""
    summary = {name: round(value, 3) for name, value in run.score.summary().items()}
    return {
        "controller": request.controller,
        **summary,
        "ticks_per_second": round(run.ticks_per_second(), 1),
        "export_without_wh": round(run.export_without_wh(), 3),
        "unsafe_reasons": run.score.unsafe,
        "acted_s": {source.value: round(span_s, 3) for source, span_s in run.acted.items() if span_s},
        "trace": run.scenario.trace.name,
        "metering": run.scenario.site.metering.value,
        "pv_connection": run.scenario.connection,
        "plant": run.scenario.description.name if request.plant else None,
        "from_s": request.start_s,
        "to_s": request.end_s,
        "seed": request.seed,
        "extra_delay_s": request.extra_delay_s,
        "margin_shift_w": request.margin_w or 0.0,
    }


def _table(facts: dict[str, Any]) -> Table:
    table = Table(title=f"{facts['controller']} on {facts['trace']}", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = (
        ("Exported", f"{facts['export_wh']:,.0f} Wh"),
        ("Exported without any slave", f"{facts['export_without_wh']:,.0f} Wh"),
        ("Imported", f"{facts['import_wh']:,.0f} Wh"),
        ("of it avoidable", f"{facts['avoidable_import_wh']:,.0f} Wh"),
        ("J = export + 0.5 avoidable import", f"{facts['j_wh']:,.0f} Wh"),
        ("Export peak, 1 s / 10 s", f"{facts['peak_export_w']:,.0f} / {facts['peak10s_export_w']:,.0f} W"),
        ("Changes > 50 W per minute and phase", f"{facts['setpoint_changes_per_min']:.2f}"),
        ("Reversals > 100 W per minute and phase", f"{facts['reversals_per_min']:.2f}"),
        ("Imbalance of the grid (mean std)", f"{facts['imbalance_std_w']:,.0f} W"),
        ("Frames, most in 9 s", f"{facts['frames_sent']:,} / {facts['max_frames_per_9s']}"),
        ("Unsafe actions", str(facts["unsafe_actions"])),
        (
            "Who acted",
            ", ".join(f"{who} {span_s:,.0f} s" for who, span_s in facts["acted_s"].items()) or "nobody",
        ),
        ("Billed", facts["metering"]),
        ("Simulated", f"{facts['seconds']:,.0f} s, {facts['ticks_per_second']:,.0f} times as fast as lived"),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table
