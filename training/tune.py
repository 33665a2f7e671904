"""Tune the gains of the deterministic laws on training days, under the limits of the radio.

    python -m training.tune FOLDER --law pi|predictive [--metering net|per_phase] [--json FILE]

FOLDER holds traces and a `SUMMARY.json` that lists them with `file`, `split` and `pv_connection`; only the
training split is read. From every day one stretch is drawn in which the surplus can be placed, and every
candidate is run on all of them by `daemon.simulate`: the same decision, airtime and safety as in live
control, with a radio and slaves of its own per stretch and the same ones for every candidate. The score is
J = export + 0.5 avoidable import as a mean power, without the surplus that exceeds all slaves together.

A first round draws candidates from `RANGES`, a second one around the best of them.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from core.decision import Authority
from core.parts import cold_start
from core.site import Metering, Site
from daemon.assembly import assemble
from daemon.simulate import Pilot, Scenario, default_site, simulate
from plant.stepped import bare_grid_w
from plant.trace import load_trace
from safety.pi import PiFallback, PiGains
from safety.predictive import PredictiveFallback, PredictiveGains
from safety.supervisor import ModeSupervisor

Gains: TypeAlias = PiGains | PredictiveGains

RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "pi": {"kp": (0.3, 1.1), "ki": (0.12, 0.42), "margin_w": (-20.0, 40.0)},
    "predictive": {
        "k_up": (0.5, 1.0),
        "k_down": (0.2, 0.9),
        "trend_s": (0.0, 2.0),
        "slope_share": (0.1, 0.5),
        "lead": (0.0, 1.6),
        "margin_w": (-30.0, 30.0),
    },
}
"""Where candidates are drawn. Wider ranges lose in the first round, and above them the loop swings."""
SURPLUS_W = (400.0, 12_000.0)
"""Mean surplus of a stretch: something to place, and not more than all slaves can take."""
TABLE_WIDTH = 110
DRAWS = 200
"""Stretches tried per day."""


@dataclass(frozen=True)
class Stretch:
    """A part of a training day with its own radio; `beyond_w` is the mean surplus nobody could place."""

    scenario: Scenario
    beyond_w: float


@dataclass(frozen=True)
class Result:
    """Mean powers over all stretches, in W."""

    gains: Gains
    j_w: float
    export_w: float
    avoidable_import_w: float


def training_stretches(
    folder: Path, site: Site, seed: int, *, stretch_s: int = 2400, per_day: int = 1, split: str = "train"
) -> tuple[Stretch, ...]:
    """Stretches of the days of a split; days without enough sun have none."""
    luck = np.random.default_rng(seed)
    stretches = []
    for number, day in enumerate(json.loads((folder / "SUMMARY.json").read_text())):
        if day["split"] != split:
            continue
        whole = Scenario(load_trace(folder / Path(day["file"]).name), site, day["pv_connection"])
        surplus_w = -bare_grid_w(whole.trace, whole.connection).sum(axis=1)
        for repeat in range(per_day):
            start_s = _sunny_start(surplus_w, stretch_s, luck)
            if start_s is None:
                continue
            end_s = start_s + stretch_s
            part = replace(whole, start_s=start_s, end_s=end_s, seed=1000 * seed + 10 * number + repeat)
            stretches.append(Stretch(part, _beyond_w(part)))
    return tuple(stretches)


def _sunny_start(surplus_w: NDArray[np.float64], stretch_s: int, luck: Generator) -> int | None:
    for start_s in luck.integers(0, len(surplus_w) - stretch_s, DRAWS):
        part_w = surplus_w[start_s : start_s + stretch_s]
        if SURPLUS_W[0] <= part_w.mean() <= SURPLUS_W[1]:
            return int(start_s)
    return None


def _beyond_w(scenario: Scenario) -> float:
    """Mean export that remains when every slave takes all it can, as billed."""
    site = scenario.site
    room_w = np.zeros(3)
    for slave in site.slaves:
        room_w[slave.phase] += slave.max_w
    room_w = np.minimum(room_w, site.limits.phase_max_w)
    surplus_w = -bare_grid_w(scenario.trace, scenario.connection)[scenario.start_s : scenario.end_s]
    if site.metering is Metering.NET:
        return float(np.maximum(surplus_w.sum(axis=1) - room_w.sum(), 0.0).mean())
    return float(np.maximum(surplus_w - room_w, 0.0).sum(axis=1).mean())


def pilot_of(gains: Gains, site: Site) -> Pilot:
    """The law with these gains, acting from the first second."""
    law = PiFallback(site, gains) if isinstance(gains, PiGains) else PredictiveFallback(site, gains)
    parts = assemble(site, law, None).parts
    return Pilot(parts, replace(cold_start(parts), watch=ModeSupervisor().warm), Authority.FALLBACK)


def judge(gains: Gains, stretches: Sequence[Stretch]) -> Result:
    """Run one candidate on every stretch."""
    rows = []
    for stretch in stretches:
        summary = simulate(stretch.scenario, pilot_of(gains, stretch.scenario.site)).score.summary()
        to_w = 3600.0 / summary["seconds"]
        rows.append(
            (
                summary["j_wh"] * to_w - stretch.beyond_w,
                summary["export_wh"] * to_w - stretch.beyond_w,
                summary["avoidable_import_wh"] * to_w,
            )
        )
    j_w, export_w, avoidable_w = np.mean(rows, axis=0)
    return Result(gains, float(j_w), float(export_w), float(avoidable_w))


def draw(law: str, luck: Generator) -> Gains:
    """A candidate anywhere in the ranges."""
    values = {name: float(luck.uniform(low, high)) for name, (low, high) in RANGES[law].items()}
    return PiGains(**values) if law == "pi" else PredictiveGains(**values)


def near(best: Gains, law: str, luck: Generator, share: float = 0.12) -> Gains:
    """A candidate around another one; `share` of each range is the standard deviation."""
    values = {}
    for name, (low, high) in RANGES[law].items():
        value = getattr(best, name) + share * (high - low) * float(luck.normal())
        values[name] = min(max(low, value), high)
    return replace(best, **values)


_STRETCHES: tuple[Stretch, ...] = ()


def _begin(stretches: tuple[Stretch, ...]) -> None:
    global _STRETCHES
    _STRETCHES = stretches


def _judge(gains: Gains) -> Result:
    return judge(gains, _STRETCHES)


def search(
    law: str, stretches: tuple[Stretch, ...], rounds: tuple[int, int], luck: Generator, processes: int
) -> list[Result]:
    """Both rounds, and the present defaults among the candidates; best first."""
    default: Gains = PiGains() if law == "pi" else PredictiveGains()
    with Pool(processes, _begin, (stretches,)) as pool:

        def judged(candidates: list[Gains], title: str) -> list[Result]:
            answers = pool.imap_unordered(_judge, candidates)
            shown = track(answers, title, len(candidates), console=Console(stderr=True))
            return sorted(shown, key=lambda result: result.j_w)

        first = judged([default, *(draw(law, luck) for _ in range(rounds[0]))], "anywhere")
        second = [near(first[n % 3].gains, law, luck) for n in range(rounds[1])]
        return sorted([*first, *judged(second, "around the best")], key=lambda result: result.j_w)


def as_table(results: Sequence[Result], default: Gains) -> Table:
    """The best candidates and the present defaults."""
    names = [field.name for field in fields(default)]
    table = Table("", "J W", "export W", "import W", *names, caption="import: the avoidable part")
    table.columns[0].no_wrap = True
    shown = [*results[:8], *(result for result in results[8:] if result.gains == default)]
    for result in shown:
        gains = [f"{getattr(result.gains, name):.3g}" for name in names]
        powers = [f"{w:.1f}" for w in (result.j_w, result.export_w, result.avoidable_import_w)]
        table.add_row("default" if result.gains == default else "", *powers, *gains)
    return table


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Every candidate with its score, best first."""
    return [
        {
            "j_w": result.j_w,
            "export_w": result.export_w,
            "avoidable_import_w": result.avoidable_import_w,
            "gains": {field.name: getattr(result.gains, field.name) for field in fields(result.gains)},
        }
        for result in results
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Search and show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--law", choices=sorted(RANGES), required=True)
    parser.add_argument("--metering", choices=[m.value for m in Metering], default=Metering.NET.value)
    parser.add_argument("--rounds", type=int, nargs=2, default=(60, 30), metavar=("ANYWHERE", "NEAR"))
    parser.add_argument("--seed", type=int, default=1, help="draws stretches, radios and candidates")
    parser.add_argument("--per-day", type=int, default=1, help="stretches per training day")
    parser.add_argument("--minutes", type=int, default=40, help="length of a stretch")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write every candidate here")
    options = parser.parse_args(arguments)
    site = default_site(Metering(options.metering))
    stretches = training_stretches(
        options.folder, site, options.seed, stretch_s=60 * options.minutes, per_day=options.per_day
    )
    luck = np.random.default_rng([options.seed, 1])
    results = search(options.law, stretches, tuple(options.rounds), luck, options.processes)
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=1))
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    console.print(as_table(results, PiGains() if options.law == "pi" else PredictiveGains()))


if __name__ == "__main__":
    main()
