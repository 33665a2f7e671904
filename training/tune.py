"""Tuning of the deterministic laws: candidates, what each costs, and whether the best is worth a change.

Every candidate lives all stretches in `daemon.simulation.simulate`: the same decision, airtime and safety as
in live control, with a radio and slaves of its own per stretch and the same ones for every candidate. The
score is J = export + 0.5 avoidable import as a mean power, without the export that no slave could have
prevented. Candidates are drawn from `RANGES` at first, later around the best of them. Nothing here needs
torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from multiprocessing import Pool
from time import monotonic
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.decision import Authority
from core.metering import AVOIDABLE_WEIGHT
from core.parts import initial_memory
from core.site import Site
from daemon.runtime.assembly import assemble
from daemon.simulation.simulate import SimulatedController, simulate
from safety.pi import PiFallback, PiGains
from safety.predictive import PredictiveFallback, PredictiveGains
from safety.supervisor import ModeSupervisor
from training.data.segments import Stretch

Gains: TypeAlias = PiGains | PredictiveGains

LAWS = ("pi", "predictive")
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
STEPS = {"margin_w": 0.5}
STEP = 0.01
"""Gains are rounded before they are judged, so that what is told is what was tried."""
ANYWHERE_SHARE = 0.6
"""Of the time or the candidates: drawn anywhere. The rest is drawn around the best three."""
WORTH = 0.01
"""A change must save this share of J."""
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """Mean powers in W, a row per stretch: export that could have been prevented, and avoidable import."""

    gains: Gains
    export_w: NDArray[np.float64]
    avoidable_w: NDArray[np.float64]

    @property
    def costs_w(self) -> NDArray[np.float64]:
        """J of each stretch."""
        return self.export_w + AVOIDABLE_WEIGHT * self.avoidable_w

    @property
    def j_w(self) -> float:
        """J over all stretches."""
        return float(self.costs_w.mean())


@dataclass(frozen=True)
class Budget:
    """When a search ends: after some minutes, or after a number of candidates."""

    minutes: float
    candidates: int | None = None
    clock: Callable[[], float] = monotonic

    def meter(self) -> Callable[[int], float]:
        """How far the search is, 0 to 1, given the candidates judged since now."""
        began_s = self.clock()

        def done(judged: int) -> float:
            if self.candidates is not None:
                return judged / self.candidates
            return (self.clock() - began_s) / (60.0 * self.minutes)

        return done


def default_gains(law: str) -> Gains:
    """What the law has without a configuration."""
    return PiGains() if law == "pi" else PredictiveGains()


def law_of(gains: Gains) -> str:
    """Name of the law that has such gains."""
    return "pi" if isinstance(gains, PiGains) else "predictive"


def pilot_of(gains: Gains, site: Site) -> SimulatedController:
    """The law with these gains, acting from the first second."""
    law = PiFallback(site, gains) if isinstance(gains, PiGains) else PredictiveFallback(site, gains)
    parts = assemble(site, law, None).parts
    return SimulatedController(
        parts, replace(initial_memory(parts), watch=ModeSupervisor().warm), Authority.FALLBACK
    )


def judge(gains: Gains, stretches: Sequence[Stretch]) -> Result:
    """Run one candidate on every stretch."""
    rows = []
    for stretch in stretches:
        summary = simulate(stretch.scenario, pilot_of(gains, stretch.scenario.site)).score.summary()
        to_w = 3600.0 / summary["seconds"]
        rows.append((summary["export_wh"] * to_w - stretch.beyond_w, summary["avoidable_import_wh"] * to_w))
    export_w, avoidable_w = np.array(rows).T
    return Result(gains, export_w, avoidable_w)


def rounded(gains: Gains) -> Gains:
    """The gains in the steps in which they are told."""
    steps = {name: STEPS.get(name, STEP) for name in RANGES[law_of(gains)]}
    values: Any = {name: round(round(getattr(gains, name) / s) * s, 6) for name, s in steps.items()}
    return replace(gains, **values)


def draw(law: str, rng: Generator) -> Gains:
    """A candidate anywhere in the ranges."""
    values: Any = {name: float(rng.uniform(low, high)) for name, (low, high) in RANGES[law].items()}
    return rounded(replace(default_gains(law), **values))


def near(best: Gains, rng: Generator, share: float = 0.12) -> Gains:
    """A candidate around another one; `share` of each range is the standard deviation."""
    values: Any = {}
    for name, (low, high) in RANGES[law_of(best)].items():
        value = getattr(best, name) + share * (high - low) * float(rng.normal())
        values[name] = min(max(low, value), high)
    return rounded(replace(best, **values))


_STRETCHES: tuple[Stretch, ...] = ()


def _begin(stretches: tuple[Stretch, ...]) -> None:
    global _STRETCHES
    _STRETCHES = stretches


def _judge(gains: Gains) -> Result:
    return judge(gains, _STRETCHES)


@contextmanager
def judging(
    stretches: tuple[Stretch, ...], processes: int
) -> Iterator[Callable[[Sequence[Gains]], list[Result]]]:
    """Judges candidates, several at a time where there are processes for it."""
    if processes == 1:
        yield lambda candidates: [judge(gains, stretches) for gains in candidates]
        return
    with Pool(processes, _begin, (stretches,)) as pool:
        yield lambda candidates: pool.map(_judge, candidates)


def search(
    first: Sequence[Gains],
    stretches: tuple[Stretch, ...],
    budget: Budget,
    rng: Generator,
    processes: int = 1,
    tell: Callable[[float, float], None] = lambda _done, _best_w: None,
) -> list[Result]:
    """Judge `first`, then candidates of the same law until the budget is spent; best first.

    Args:
        tell: called with how far the search is (0 to 1) and the least J so far.
    """
    law, done = law_of(first[0]), budget.meter()
    with judging(stretches, processes) as judged:
        results = sorted(judged(list(dict.fromkeys(first))), key=lambda result: result.j_w)
        while (so_far := done(len(results))) < 1.0:
            tell(so_far, results[0].j_w)
            if so_far < ANYWHERE_SHARE:
                candidates = [draw(law, rng) for _ in range(processes)]
            else:
                candidates = [near(results[n % 3 % len(results)].gains, rng) for n in range(processes)]
            results = sorted([*results, *judged(candidates)], key=lambda result: result.j_w)
    tell(1.0, results[0].j_w)
    return results


@dataclass(frozen=True)
class Saved:
    """What other gains save of J in W: the mean over days, and its interval from resampled days."""

    mean_w: float
    low_w: float
    high_w: float


def saved(before: Result, after: Result, stretches: Sequence[Stretch]) -> Saved:
    """What `after` saves over `before` on the same stretches."""
    names = np.array([stretch.day for stretch in stretches])
    per_stretch_w = before.costs_w - after.costs_w
    days_w = np.array([per_stretch_w[names == name].mean() for name in dict.fromkeys(names.tolist())])
    drawn = np.random.default_rng(0).integers(len(days_w), size=(RESAMPLES, len(days_w)))
    low_w, high_w = np.quantile(days_w[drawn].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Saved(float(days_w.mean()), float(low_w), float(high_w))


def is_worth_a_change(gain: Saved, present: Result) -> bool:
    """Whether the days that choose speak clearly for other gains."""
    return gain.low_w > 0.0 and gain.mean_w >= WORTH * present.j_w


def as_toml(gains: Gains) -> str:
    """A section [fallback] for `sunkeep.toml`; gains that are the law's own and never tuned are left out."""
    lines = [f'law = "{law_of(gains)}"']
    tuned = RANGES[law_of(gains)]
    own = default_gains(law_of(gains))
    for field in fields(gains):
        value = getattr(gains, field.name)
        if field.name in tuned or value != getattr(own, field.name):
            lines.append(f"{field.name} = {value:g}")
    return "\n".join(["[fallback]", *lines]) + "\n"
