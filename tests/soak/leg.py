"""One leg of the soak: some hours of one site in virtual time, in a process of its own.

python -m tests.soak.leg --seed 1 --leg 0 --hours 6 --out runs/soak/leg-1-0.json
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from daemon.commissioning.embedded_site import site_key
from daemon.runtime.loop import TickResult
from daemon.system.clock import boottime_s
from plant.radio.channel import no_loss
from plant.simulated_site import slaves_of
from plant.site.trace import load_trace
from tests.campaigns.pairs import Pair, running_pair
from tests.campaigns.table import percentile
from tests.faults.log_file import LogFile
from tests.referee.tap import RefereeProcess, Tap
from tests.soak.resources import Held, growth_mb, held
from tests.soak.storm import CALM_EVERY_S, LANES, Spell, blow, plan
from tests.soak.visitors import Visitors, free_port
from tests.support import virtual_time

HOUR_S = 3600.0
GROWTH_MAX_MB = 2.0
OPERATOR_S = 120.0
"""An operator clears what is latched after this long."""
USABLE_S = 15.0
"""Until the radio is usable again (figure A3)."""
UNHANDLED = ("tick_failed", "task_died", "judge_failed")
"""Events of the daemon about its own errors."""


@dataclass
class Leg:
    """What was found."""

    seed: int
    leg: int
    hours: float
    wall_s: float = 0.0
    ticks: int = 0
    skipped_ticks: int = 0
    late_max_s: float = 0.0
    compute_p99_ms: float = 0.0
    compute_max_ms: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    unhandled: list[str] = field(default_factory=list)
    acknowledged: int = 0
    referee: dict[str, Any] = field(default_factory=dict)
    broken: list[dict[str, Any]] = field(default_factory=list)
    unsent: int = 0
    """Releases that the referee missed while the coordinator was away or took no frame."""
    samples: list[Held] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    not_answered: dict[str, int] = field(default_factory=dict)

    @property
    def growth_mb(self) -> float:
        """Memory after the first hour."""
        return growth_mb(self.samples, HOUR_S - 1.0)

    @property
    def left_open(self) -> dict[str, int]:
        """What is held at the end of the last calm beyond the first one."""
        if len(self.samples) < 2:
            return {}
        first, last = asdict(self.samples[0]), asdict(self.samples[-1])
        names = ("descriptors", "threads", "tasks")
        return {name: last[name] - first[name] for name in names if last[name] > first[name]}

    @property
    def problems(self) -> list[str]:
        """Why the leg did not hold; nothing if it did."""
        found = [f"unhandled: {line}" for line in self.unhandled]
        found += [f"unsafe: {line}" for line in self.broken]
        found += [f"{count} more {name} than after the first calm" for name, count in self.left_open.items()]
        if not self.growth_mb <= GROWTH_MAX_MB:
            found.append(f"memory grew by {self.growth_mb:.1f} MB after the first hour")
        if self.skipped_ticks:
            found.append(f"{self.skipped_ticks} ticks were skipped")
        return found


@dataclass
class _Watch:
    """Reads every tick."""

    found: Leg
    compute_s: list[float] = field(default_factory=list)
    _last_s: float | None = None

    def tell(self, lived: TickResult) -> None:
        found, at_s = self.found, lived.snapshot.at_s - lived.late_s
        found.ticks += 1
        found.late_max_s = max(found.late_max_s, lived.late_s)
        self.compute_s.append(lived.compute_s)
        if len(self.compute_s) > 10_000:  # the memory of the watch must not be what grows
            del self.compute_s[:5_000]
        if self._last_s is not None and at_s - self._last_s > 1.9:
            found.skipped_ticks += round(at_s - self._last_s) - 1
        self._last_s = at_s
        verdict = lived.decision.verdict
        found.states[verdict.state.value] = found.states.get(verdict.state.value, 0) + 1
        for cause in verdict.causes:
            found.causes[cause] = found.causes.get(cause, 0) + 1


def _listen(pair: Pair, watch: _Watch) -> None:
    assert pair.loop is not None
    tell = pair.loop.tell

    def told(lived: TickResult) -> None:
        watch.tell(lived)
        tell(lived)

    pair.loop.tell = told


async def _operate(pair: Pair, found: Leg) -> None:
    """Clear what waits for an operator, as one would."""
    assert pair.loop is not None
    while True:
        await asyncio.sleep(OPERATOR_S)
        if pair.loop.memory.watch.standing.latched:
            found.acknowledged += 1
            pair.acknowledge()


async def _look(found: Leg, log: LogFile, seconds: float) -> None:
    """Read the log, and at the end of every calm what is held."""
    began_s = boottime_s()
    counts: Counter[str] = Counter()
    while (now_s := boottime_s() - began_s) < seconds:
        next_s = min(seconds, (now_s // CALM_EVERY_S + 1.0) * CALM_EVERY_S - 5.0)
        if next_s <= now_s:
            next_s = min(seconds, now_s + CALM_EVERY_S)
        await asyncio.sleep(next_s - now_s)
        found.samples.append(held(boottime_s() - began_s))
        for event in log.read():
            name = str(event["event"])
            counts[name if name != "library" else f"library: {event.get('message', '')}"[:80]] += 1
            if name in UNHANDLED or (name == "library" and event.get("level") in ("error", "critical")):
                found.unhandled.append(json.dumps(event)[:300])
    found.events = dict(counts.most_common(60))


def is_unsent(line: dict[str, Any], away: list[tuple[float, float]]) -> bool:
    """Nobody can release slaves over a radio that is away: they rest by their time to live."""
    return line["rule"] == "silence" and any(begin <= line["at_s"] <= end for begin, end in away)


async def live(
    folder: Path, seed: int, leg: int, hours: float, *, spells: dict[str, list[Spell]] | None = None
) -> Leg:
    """One leg. `spells` by lane instead of those of the seed."""
    found, rng, seconds = Leg(seed, leg, hours), Random(f"{seed}/{leg}"), hours * HOUR_S
    if spells is None:
        spells = {name: plan(name, rng, seconds) for name in LANES}
    found.faults = dict(Counter(s.injection.name for lane in spells.values() for s in lane))
    port, slaves, referee = free_port(), slaves_of(6), RefereeProcess()
    log = LogFile(boottime_s)
    began_s = time.perf_counter()
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: found.unhandled.append(str(context)[:300])
    )
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(
            running_pair(
                folder,
                slaves=slaves,
                trace=load_trace(),
                seed=rng.randrange(1 << 30),
                start_s=(8.0 + leg * hours) % 24.0 * HOUR_S,
                radio_port=0,
                keep=5,  # what the rig holds must not be what grows
                adapt=lambda text, _: text.replace("[status]\nport = 0", f"[status]\nport = {port}"),
            )
        )
        pair.whole.far_end.radio.air.loss = no_loss
        tap = Tap(referee, "site", pair.whole.far_end, boottime_s)
        tap.attach(slaves, site_key(folder), period_s=1.0)
        stack.callback(tap.detach)
        visitors, watch, started_s = Visitors(port), _Watch(found), boottime_s()
        _listen(pair, watch)
        beside = [
            asyncio.create_task(task)
            for task in (
                visitors.visit(),
                _operate(pair, found),
                *(blow(pair, lane, Random(rng.random())) for lane in spells.values()),
            )
        ]
        await _look(found, log, seconds)
        assert not pair.whole.task.done(), pair.whole.task.exception()
        for task in beside:
            task.cancel()
        for error in await asyncio.gather(*beside, return_exceptions=True):
            if isinstance(error, Exception):
                found.unhandled.append(f"a lane of the storm ended: {error!r}")
    judgement = referee.finish()
    away = [(started_s + s.at_s, started_s + s.at_s + s.lasts_s + USABLE_S) for s in spells["radio"]]
    missed = [line for line in judgement.broken if is_unsent(line, away)]
    found.unsent, found.referee = len(missed), judgement.summary
    found.broken = [line for line in judgement.broken if line not in missed][:50]
    found.answered, found.not_answered = dict(visitors.answered), dict(visitors.failed)
    found.compute_p99_ms = 1e3 * percentile(watch.compute_s, 0.99)
    found.compute_max_ms = 1e3 * percentile(watch.compute_s, 1.0)
    found.wall_s = time.perf_counter() - began_s
    log.close()
    return found


def main() -> int:
    """Live one leg and write what was found."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--leg", type=int, default=0)
    options.add_argument("--hours", type=float, default=6.0)
    options.add_argument("--out", type=Path, required=True)
    chosen = options.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = virtual_time.run(
            live(Path(folder) / "site", chosen.seed, chosen.leg, chosen.hours), settle_s=0.0
        )
    found.wall_s = time.monotonic() - started_s
    report = asdict(found) | {"growth_mb": found.growth_mb, "problems": found.problems}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report, indent=1))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
