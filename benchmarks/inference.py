"""How long inference, features, a whole decision and the judge take: ``python -m benchmarks.inference``.

Runs the pilot of `sunkeep simulate` over the shipped day and times each part of every tick. Numbers depend
on the machine and on what else it does; nothing is asserted.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any
from unittest.mock import patch

import click
from rich.console import Console
from rich.table import Table

from core.decision import Authority, Decision, Send
from core.modes import Assignment
from core.parts import Parts
from core.snapshot import Snapshot
from core.tick import decide
from daemon.policy.policy_monitor import PolicyMonitor
from daemon.runtime.assembly import Assembled
from daemon.runtime.loop import TickResult
from daemon.runtime.transmitter import Sent
from daemon.simulation import simulate
from daemon.simulation.controllers import pilot
from models.bundle import builtin_bundle, load_bundle
from models.policy import OnnxPolicy
from plant.site.trace import load_trace

NOON_S = 10 * 3600
PERCENTILES = (50.0, 99.0, 99.9)
CLOCKS: dict[str, Callable[[], float]] = {"wall": perf_counter, "cpu": thread_time}
"""Processor time leaves out what other programs on the machine take; live control feels them."""


class Stopwatch:
    """Calls a function and keeps how long each call took, in s."""

    def __init__(self, call: Callable[..., Any], clock: Callable[[], float]) -> None:
        self._call, self._clock = call, clock
        self.taken_s: list[float] = []

    def __call__(self, *arguments: Any) -> Any:
        started_s = self._clock()
        result = self._call(*arguments)
        self.taken_s.append(self._clock() - started_s)
        return result


class TimedPart:
    """A part whose one method is timed; everything else is the part's own."""

    def __init__(self, part: Any, method: str, clock: Callable[[], float]) -> None:
        self._part = part
        setattr(self, method, Stopwatch(getattr(part, method), clock))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def percentile_us(taken_s: Sequence[float], percent: float) -> float:
    """Nearest rank, in microseconds."""
    ordered = sorted(taken_s)
    return 1e6 * ordered[min(len(ordered) - 1, int(percent / 100.0 * len(ordered)))]


def measure(ticks: int, bundle: Path | None, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Live `ticks` seconds of the shipped day and return every duration in s, by part."""
    site = simulate.default_site()
    acting = pilot("policy", site, bundle=bundle)
    assert acting is not None
    parts: Parts = acting.parts
    observer = TimedPart(parts.observer, "observe", clock)
    policy = TimedPart(parts.policy, "propose", clock)
    watched = replace(parts, observer=observer, policy=policy)
    whole = Stopwatch(decide, clock)
    scenario = simulate.Scenario(load_trace(), site, start_s=NOON_S, end_s=NOON_S + ticks)
    judge = Stopwatch(_judge_of(scenario, parts, bundle), clock)

    def decided(snapshot: Snapshot, authority: Authority, memory: Any, parts: Any) -> tuple[Decision, Any]:
        decision, after = whole(snapshot, authority, memory, parts)
        sent = Sent((), decision.send is not Send.NOTHING or None)
        judge(
            TickResult(snapshot, Assignment(authority, 1.0, 0), memory, decision, sent, 0.0, 0.0, 0.0, after)
        )
        return decision, after

    with patch.object(simulate, "decide", decided):
        simulate.simulate(scenario, replace(acting, parts=watched))
    return {
        "OnnxPolicy.propose": policy.propose.taken_s,
        "FeatureObserver.observe": observer.observe.taken_s,
        "decide": whole.taken_s,
        "PolicyMonitor": judge.taken_s,
    }


def _judge_of(scenario: simulate.Scenario, parts: Any, bundle: Path | None) -> PolicyMonitor:
    """Both twins and the judge, as they live beside the loop."""
    judging = PolicyMonitor(scenario.site, "", scenario.ttl_s, lambda *_words, **_values: None)
    loaded = load_bundle(bundle or builtin_bundle())
    judging.adopt(Assembled(parts, OnnxPolicy(loaded), loaded))
    return judging


@click.command()
@click.option("--ticks", type=click.IntRange(1, 14 * 3600), default=20_000, show_default=True)
@click.option("--bundle", type=click.Path(path_type=Path), help="The one that ships without.")
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="wall", show_default=True)
def main(ticks: int, bundle: Path | None, clock: str) -> None:
    """Print a table of durations in microseconds."""
    table = Table("part", *(f"p{percent:g} µs" for percent in PERCENTILES), "max µs")
    for column in table.columns[1:]:
        column.justify = "right"
    for part, taken_s in measure(ticks, bundle, CLOCKS[clock]).items():
        figures = [*(percentile_us(taken_s, percent) for percent in PERCENTILES), 1e6 * max(taken_s)]
        table.add_row(part, *(f"{figure:.0f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
