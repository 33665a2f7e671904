"""Daemons and far ends for campaigns: with the daemon's loop in hand, and with faults to switch."""

import asyncio
import math
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

import daemon.service.wiring
from core.decision import State
from core.estimation.state_estimate import EstimatorState
from core.site import Slave
from daemon.runtime.loop import Loop, TickResult
from daemon.system.clock import boottime_s
from daemon.system.log import start_log
from plant.simulated_site import SimulatedSite
from plant.site.trace import Trace, load_trace
from safety.supervisor import CLEAN_PROPOSALS, GOOD_AFTER_STOP
from safety.wiring_monitor import WiringMonitorState
from tests.referee.tap import POWER_REGISTERS
from tests.support.full_daemon import NOON_S, Whole, whole

FAULTS = ("mute", "closed", "absent", "late")
LATE_S = 5.0
SUNNY = 2.2
"""Twice the sun of the shipped day: enough for three slaves of 5000 W, one on each phase."""


def large_slaves() -> tuple[Slave, ...]:
    """One slave per phase that takes all that a phase may take: the longest way to rest."""
    return tuple(Slave(slot, f"boiler {slot}", slot, 5000) for slot in range(3))


def sunny_day() -> Trace:
    """The shipped day with a larger solar generator."""
    day = load_trace()
    return Trace("sunny day", day.load_w, np.asarray(day.pv_w * SUNNY))


@contextmanager
def silent_log() -> Iterator[None]:
    """The daemon's log goes nowhere."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        start_log(descriptor)
        yield
    finally:
        os.close(descriptor)


@dataclass
class Pair:
    """A running pair, the daemon's loop, and what its meter's wire carried last."""

    whole: Whole
    lived: list[TickResult] = field(default_factory=list)
    loop: Loop | None = None
    good_at_s: float = -math.inf

    def power_w(self) -> float:
        """What the slaves' firmware tells their electronics now, together."""
        return sum(self.whole.reference_w().values())

    def on_wire(self, answer: bytes | None, at_s: float) -> None:
        """Remember when the last good sample left the meter."""
        is_power = answer is not None and answer[7] == 4 and answer[8] == 2 * POWER_REGISTERS
        if answer is not None and is_power and all(map(math.isfinite, struct.unpack_from(">9f", answer, 9))):
            self.good_at_s = at_s

    async def fail(self, kind: str) -> None:
        """Lose the meter."""
        meter = self.whole.far_end.meter
        if kind == "closed":
            await meter.stop()
        elif kind == "late":
            meter.faults.late_s = LATE_S
        else:
            setattr(meter.faults, kind, True)

    async def mend(self, kind: str) -> None:
        """Have the meter back."""
        far_end = self.whole.far_end
        if kind == "closed":
            await far_end.meter.start(far_end.meter_port)
        elif kind == "late":
            far_end.meter.faults.late_s = 0.0
        else:
            setattr(far_end.meter.faults, kind, False)

    def acknowledge(self) -> None:
        """Clear what waits for an operator, as `sunkeep ack` does; takes effect with the next tick."""
        assert self.loop is not None
        self.loop.acknowledged[:] = self.loop.memory.watch.standing.latched

    def warm(self) -> None:
        """Spare the wait after a stop: memory as after 30 good samples, with slaves believed at rest."""
        assert self.loop is not None
        watch = replace(
            self.loop.memory.watch,
            state=State.FALLBACK,
            good=GOOD_AFTER_STOP,
            clean=CLEAN_PROPOSALS,
            stopped=(),
            loop=WiringMonitorState(),
        )
        self.loop.memory = replace(self.loop.memory, watch=watch, belief=EstimatorState())


@asynccontextmanager
async def running_pair(
    folder: Path,
    *,
    period_s: float = 1.0,
    slaves: tuple[Slave, ...],
    trace: Trace | None = None,
    seed: int = 0,
    start_s: float = NOON_S,
    more: str = "",
    layout: str = "sdm630",
    radio_port: int | None = None,
    adapt: Callable[[str, SimulatedSite], str] = lambda text, _: text,
    keep: int = 400,
    begun: Callable[[SimulatedSite], Awaitable[None]] | None = None,
) -> AsyncIterator[Pair]:
    """A whole pair whose daemon's loop is at hand. Several may run in one event loop.

    `keep` is how many of the newest ticks are at hand. For the other arguments see
    `tests.support.full_daemon.whole`.
    """
    loops: list[Loop] = []
    ticks: list[TickResult] = []

    def kept(**parts: object) -> Loop:
        loop = Loop(**parts)  # type: ignore[arg-type]
        tell = loop.tell

        def told(lived: TickResult) -> None:
            ticks.append(lived)
            del ticks[:-keep]
            tell(lived)

        loop.tell = told
        loops.append(loop)
        return loop

    folder.mkdir(exist_ok=True)
    started = whole(
        folder,
        period_s=period_s,
        slaves=slaves,
        trace=trace,
        seed=seed,
        start_s=start_s,
        more=more,
        layout=layout,
        radio_port=radio_port,
        adapt=adapt,
        begun=begun,
    )
    async with started as running:
        with patch.object(daemon.service.wiring, "Loop", kept):
            async with asyncio.timeout(30):
                while not loops:
                    assert not running.task.done(), running.task.exception()
                    await asyncio.sleep(0.01)
        pair = Pair(running, ticks, loops[0])
        running.far_end.meter.taps.append(pair.on_wire)
        yield pair


class LagWatch:
    """How late the event loop is: every campaign that measures times says so."""

    def __init__(self, every_s: float = 0.05) -> None:
        self.worst_s = 0.0
        self._every_s = every_s
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            began_s = boottime_s()
            await asyncio.sleep(self._every_s)
            self.worst_s = max(self.worst_s, boottime_s() - began_s - self._every_s)

    def stop(self) -> float:
        """The worst lag in s."""
        self._task.cancel()
        return self.worst_s
