"""False trips of the calibrated detector on days it was not calibrated on, and what it sees of data faults.

Measured days (``--traces``, a folder of .parquet or .csv files) are lived through the daemon's simulation
with the shipped policy in charge. Days are divided into folds; each fold is judged by a calibration on the
first seed of all other days. Observations are kept in ``--cache``: they take most of the time.

Data faults begin at a random second of daylight; the detector's calibration did not see that day. Beside the
detector, the meter's plausibility (power alone, as of a meter that tells nothing else) and the watch on the
wiring are asked, each by itself.
"""

import os
import struct
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from core.decision import Anomaly
from core.parts import Memory, Parts
from core.site import Phases, per_phase
from core.snapshot import Snapshot
from core.tick import decide
from daemon.calibration.fit import Days, Fit, RobustModel, Rows, fit, persistent
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedIO, begin, default_site, live
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.ports import Reading
from plant.site.trace import DAY_S, Trace, load_trace
from safety.anomaly import CalibratedDetector, Calibration, RecentTicks, ZScoreDetector
from tests.campaigns.table import heading, parser, percentile, traces_in

Fault = Callable[[Phases, Phases], Phases]
"""What the meter says instead of the first argument; the second is what it said last before the fault."""
DAYLIGHT_S = (9 * 3600, 17 * 3600)
BEFORE_S = 30
WITHIN_S = 10
LOOK_S = 30
WIRING = ("meter_sign", "meter_phases", "loop_diverges")


def _swapped_words(power_w: float) -> float:
    high, low = struct.unpack(">HH", struct.pack(">f", power_w))
    number: float = struct.unpack(">f", struct.pack(">HH", low, high))[0]
    return number


FAULTS: dict[str, Fault] = {
    "tenfold": lambda now, _: per_phase([10.0 * p for p in now]),
    "tenth": lambda now, _: per_phase([0.1 * p for p in now]),
    "swapped words": lambda now, _: per_phase([_swapped_words(p) for p in now]),
    "one phase zero": lambda now, _: (0.0, now[1], now[2]),
    "frozen": lambda _, last: last,
    "reversed sign": lambda now, _: per_phase([-p for p in now]),
    "swapped phases": lambda now, _: (now[1], now[2], now[0]),
}


@dataclass(frozen=True)
class AnomalyTrial:
    """One fault: seconds until each layer spoke, None when it did not within `LOOK_S`."""

    fault: str
    plausibility_s: float | None
    wiring_s: float | None
    trip_s: float | None

    @property
    def first_s(self) -> float | None:
        """The first of all."""
        times = [t for t in (self.plausibility_s, self.wiring_s, self.trip_s) if t is not None]
        return min(times, default=None)


class Recorder:
    """Keeps what the detector is shown."""

    cold = None

    def __init__(self) -> None:
        self.rows: list[np.ndarray[Any, np.dtype[np.float32]]] = []

    def inspect(
        self, _snapshot: Snapshot, observation: Iterable[float], _wished: Phases | None, _memory: None
    ) -> tuple[Anomaly, None]:
        """Take one row."""
        self.rows.append(np.array(tuple(observation), np.float32))
        return Anomaly(), None


def lived(day: Trace, seed: int, start_s: int = 0, end_s: int = DAY_S) -> Rows:
    """The features of a part of a day with the shipped policy in charge, [seconds, 30]."""
    site, recorder = default_site(), Recorder()
    acting = pilot("policy", site)
    assert acting is not None
    run = begin(
        Scenario(day, site, start_s=start_s, end_s=end_s, seed=seed, settle_s=0),
        replace(acting, parts=replace(acting.parts, detector=recorder)),
    )
    for _ in live(run):
        pass
    return np.array(recorder.rows)


def observe(trace: Path, seed: int, cache: Path) -> Rows:
    """The features of a day, [86400, 30]; from the cache when it was lived before."""
    file = cache / f"{trace.stem}.{seed}.npy"
    if file.exists():
        return np.asarray(np.load(file))
    rows = lived(load_trace(trace), seed)
    part = file.with_suffix(f".{os.getpid()}.npy")
    np.save(part, rows)
    part.rename(file)
    return rows


def days_of(traces: Iterable[Path], seed: int, cache: Path) -> Days:
    """Days in a row."""
    rows = [observe(trace, seed, cache) for trace in traces]
    hour = (np.arange(DAY_S) // 3600).astype(np.int8)
    return Days(np.concatenate(rows), np.concatenate([hour] * len(rows)))


def picture_of(calibration: Calibration) -> RobustModel:
    """The same numbers, for arrays."""
    return RobustModel(
        np.array(calibration.median), np.array(calibration.scale), np.array(calibration.precision)
    )


@dataclass(frozen=True)
class TrialVerdict:
    """One day under a calibration that did not see it: episodes an hour apart, and the worst distance."""

    day: str
    seed: int
    episodes: int
    worst: float
    threshold: float


def judge(calibration: Calibration, trace: Path, seed: int, cache: Path) -> TrialVerdict:
    """Count trips: `TICKS_BEYOND` of `TICKS_SEEN` ticks beyond; less than an hour apart is one episode."""
    distances = persistent(picture_of(calibration).distances(days_of([trace], seed, cache)))
    beyond = np.flatnonzero(distances > calibration.threshold)
    episodes = 0 if not len(beyond) else 1 + int(np.count_nonzero(np.diff(beyond) > 3600))
    return TrialVerdict(trace.stem, seed, episodes, float(distances.max()), calibration.threshold)


def injure(day: Trace, seed: int, fault: str, at_s: int, calibration: Calibration | None) -> AnomalyTrial:
    """Live through one fault; without a calibration the detector only flags."""
    site = default_site()
    acting = pilot("policy", site)
    assert acting is not None
    parts: Parts = acting.parts
    memory: Memory = acting.memory
    if calibration is not None:
        parts = replace(parts, detector=CalibratedDetector(ZScoreDetector((), (), ()), calibration))
        memory = replace(memory, seen=RecentTicks(since_s=-1.0e9))
    scenario = Scenario(day, site, start_s=at_s - BEFORE_S, end_s=at_s + LOOK_S, seed=seed)
    far_end = scenario.far_end()
    wires, checked = SimulatedIO(scenario, far_end), PlausibilityMemory()
    found: dict[str, float] = {}
    last_w = far_end.meter_w
    while far_end.now_s < scenario.end_s:
        snapshot = wires.snapshot()
        is_faulty = far_end.now_s >= at_s
        said_w = FAULTS[fault](snapshot.grid_power_w, last_w) if is_faulty else snapshot.grid_power_w
        last_w = last_w if is_faulty else said_w
        causes, checked = Plausibility().check(_reading(said_w), snapshot.at_s, checked)
        snapshot = replace(snapshot, grid_power_w=said_w, hour=int(snapshot.at_s // 3600))
        decision, memory = decide(snapshot, acting.authority, memory, parts)
        if is_faulty:
            spoke = {
                "plausibility": bool(causes),
                "wiring": any(name in WIRING for name in decision.verdict.causes),
                "trip": decision.anomaly.trip,
            }
            for name in (name for name, is_spoken in spoke.items() if is_spoken):
                found.setdefault(name, snapshot.at_s - at_s)
        wires.transmit(decision)
        far_end.step()
    return AnomalyTrial(fault, found.get("plausibility"), found.get("wiring"), found.get("trip"))


def _reading(grid_w: Phases) -> Reading:
    """A meter that tells power and nothing else."""
    raw = tuple(hash(power_w) & 0xFFFF for power_w in grid_w)
    return Reading(grid_w, sum(grid_w), None, None, None, raw)


def table_of_days(judged: list[TrialVerdict]) -> str:
    """False trips per calibration and altogether."""
    lines = ["| day | seed | false trips | worst distance / threshold |", "|---|---|---|---|"]
    lines += [
        f"| {day.day} | {day.seed} | {day.episodes} | {day.worst / day.threshold:.2f} |" for day in judged
    ]
    episodes = sum(day.episodes for day in judged)
    lines.append(
        f"\n{episodes} false trips in {len(judged)} simulated days "
        f"({len({day.day for day in judged})} measured ones): {30.0 * episodes / len(judged):.2f} per 30 days"
    )
    return "\n".join(lines)


def table_of_faults(trials: list[AnomalyTrial]) -> str:
    """Share noticed within `WITHIN_S` by each layer alone, and by any."""
    lines = [
        f"| fault | trials | detector <= {WITHIN_S} s | plausibility | wiring | any | detector p50 s |",
        "|---|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        chosen = [trial for trial in trials if trial.fault == fault]
        if not chosen:
            continue

        def share(times: Iterable[float | None], count: int = len(chosen)) -> str:
            return f"{100.0 * sum(t is not None and t <= WITHIN_S for t in times) / count:.0f} %"

        trips = [trial.trip_s for trial in chosen if trial.trip_s is not None]
        lines.append(
            f"| {fault} | {len(chosen)} | {share(t.trip_s for t in chosen)} | "
            f"{share(t.plausibility_s for t in chosen)} | {share(t.wiring_s for t in chosen)} | "
            f"{share(t.first_s for t in chosen)} | {percentile(trips, 0.5):.0f} |"
        )
    return "\n".join(lines)


def calibrations(traces: list[Path], folds: int, cache: Path) -> list[Fit]:
    """One per fold, from the first seed of the days of all others."""
    return [
        fit(days_of([t for i, t in enumerate(traces) if i % folds != fold], 0, cache))
        for fold in range(folds)
    ]


def _judged(traces: list[Path], chosen: Namespace) -> tuple[list[Fit], list[TrialVerdict]]:
    """Calibrate, judge every day that a calibration did not see, and tell."""
    lives = [(trace, seed, chosen.cache) for seed in range(chosen.seeds) for trace in traces]
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for number, done in enumerate([pool.submit(observe, *life) for life in lives], 1):
            done.result()
            print(f"{number} of {len(lives)} days lived", file=sys.stderr)
    fits = calibrations(traces, chosen.folds, chosen.cache)
    judged = [
        judge(fits[index % chosen.folds].calibration, trace, seed, chosen.cache)
        for seed in range(chosen.seeds)
        for index, trace in enumerate(traces)
    ]
    print(heading(chosen.seed) + f", {len(traces)} days, {chosen.folds} folds")
    for number, found in enumerate(fits):
        print(
            f"fold {number}: {found.days:.0f} days, threshold {found.calibration.threshold:.0f}, {found.tail}"
        )
    print(table_of_days(judged))
    return fits, judged


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=40)
    options.add_argument("--traces", type=Path, required=True, help="folder of measured days")
    options.add_argument("--days", nargs="*", help="names of the days to use, without suffix; else all")
    options.add_argument("--cache", type=Path, default=Path("runs/anomaly"))
    options.add_argument("--folds", type=int, default=4)
    options.add_argument("--seeds", type=int, default=2, help="simulated lives of every day")
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--faults-only", action="store_true", help="no calibration: the other layers alone")
    chosen = options.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    files = traces_in(chosen.traces)
    traces = [file for file in files if not chosen.days or file.stem in chosen.days]
    fits, judged = ([], []) if chosen.faults_only else _judged(traces, chosen)
    rng = Random(chosen.seed)
    plan = [
        (
            load_trace(traces[i]),
            1000 + number,
            fault,
            rng.randrange(*DAYLIGHT_S),
            fits[i % chosen.folds].calibration if fits else None,
        )
        for fault in FAULTS
        for number in range(chosen.trials)
        for i in [rng.randrange(len(traces))]
    ]
    print("\n" + table_of_faults(list(starmap(injure, plan))))
    return 0 if 30.0 * sum(day.episodes for day in judged) <= len(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
