"""`sunkeep commission`: switches slaves one after the other, reads the meter, and measures them.

One slave is told at a time, all others rest, and whatever ends it ends with rest for everybody.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from random import SystemRandom

import numpy as np

from core.site import SUNKEEP, Site, Slave
from daemon.commissioning.dead_man_proof import prove_dead_man
from daemon.commissioning.switched_slaves import SwitchedSlaves
from daemon.config.settings import Settings
from daemon.identification.fit import ResponseFit, fit_response
from daemon.identification.record import DeadManProof, SlaveMeasurement, measurement
from daemon.identification.switching import LENGTHS_S, switching_instants
from daemon.identification.verdict import draws_nothing, is_exact, judge_fit
from daemon.runtime.devices import open_meter, open_radio
from daemon.runtime.slave_wires import broadcast_of, open_devices
from daemon.runtime.transmitter import Transmitter
from daemon.system.clock import boottime_s
from drivers.zigbee.frame_counter import FrameCounter
from safety.gate import SafetyGate

REPEAT_AFTER_S, REPEAT_EVERY_S = 2.0, 4.0
"""A frame may be lost: the same setpoint again, long before its time to live ends."""
FREE_BEFORE_SWITCH_S = 2.0
"""Nothing is repeated so shortly before a switching: the step that the gate allows grows with the pause."""
LOOK_EVERY_S = 0.02
RAMPED_DRIVER = "sunkeep"
"""Slaves of the setpoint protocol move by 1000 W/s (rule W2)."""
SETTLE_S = 5.0
"""After everybody was told to rest, before the first slave."""


@dataclass(frozen=True, slots=True)
class SwitchingProgress:
    """How far one slave is. `until_s` is when the numbers are judged next."""

    slave: Slave
    seconds: float
    until_s: float
    told_w: int
    switchings: int


def switched_w(slave: Slave, site: Site) -> int:
    """What a slave is switched to: what the gate lets go in one step. 0: it cannot be switched so often."""
    limits = site.limits
    most_w = min(
        slave.max_w,
        int(limits.phase_max_w) - 10,
        int(2.0 * limits.step_max_w_per_s) - 10,
        int(3.0 / 2.0**0.5 * limits.imbalance_max_w) - 10,
    )
    if max(slave.min_on_s, slave.min_off_s) > REPEAT_EVERY_S:
        return 0
    if slave.levels_w:
        return max((level for level in slave.levels_w if level <= most_w), default=0)
    return most_w if most_w >= max(slave.min_w, 1) else 0


async def measure_slaves(
    settings: Settings,
    key: bytes,
    counter: FrameCounter,
    chosen: Sequence[Slave],
    keep: Callable[[SlaveMeasurement], None],
    show: Callable[[SwitchingProgress], None],
    lengths_s: Sequence[float] = LENGTHS_S,
    proven: Callable[[DeadManProof], None] = lambda _: None,
) -> None:
    """Measure one slave after the other; of devices also prove that they let go by themselves.

    Args:
        key: the site key.
        counter: of the site; it goes on strictly increasing.
        chosen: slaves of the site that `switched_w` finds something for.
        keep: called with each slave's numbers as soon as they are there.
        show: called many times a second.
        lengths_s: the numbers are judged after so long; the last is the end.
        proven: called with what each device did when nobody spoke to it.

    Raises:
        StartError: meter or radio does not open.
        Transient: meter or radio was lost; everybody rests then, as at every other end.
    """
    by_slot = {section.slot: section for section in settings.slaves}
    site = attended(settings.core_site())
    async with opened_slaves(settings, site, key, counter) as wires:
        for slave in (one for one in site.slaves if one.slot in {each.slot for each in chosen}):
            keep(await _measure(wires, slave, lengths_s, show))
            if slave.driver != SUNKEEP:
                told_w = switched_w(slave, site)
                proven(await prove_dead_man(wires, slave, told_w, by_slot[slave.slot].device))


def attended(site: Site) -> Site:
    """Whoever commissions is there: every slave may draw while he looks on."""
    return replace(site, slaves=tuple(replace(slave, may_draw=True) for slave in site.slaves))


@asynccontextmanager
async def opened_slaves(
    settings: Settings, site: Site, key: bytes, counter: FrameCounter
) -> AsyncIterator[SwitchedSlaves]:
    """Meter and radio, read and told to rest; at the end everybody rests again."""
    async with (
        open_meter(settings, boottime_s) as meter,
        open_radio(settings, key, boottime_s, SystemRandom()) as radio,
        open_devices(settings, radio, boottime_s, SystemRandom(), is_attended=True) as devices,
    ):
        broadcast = broadcast_of(settings, radio, counter, key, boottime_s)
        transmitter = Transmitter(site, SafetyGate(site), (broadcast, *devices))
        wires = SwitchedSlaves(site, meter, transmitter, boottime_s)
        reading = asyncio.create_task(wires.read_for_ever(), name="meter")
        try:
            await wires.rest()
            await asyncio.sleep(SETTLE_S)
            yield wires
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            await wires.rest()


async def _measure(
    wires: SwitchedSlaves,
    slave: Slave,
    lengths_s: Sequence[float],
    show: Callable[[SwitchingProgress], None],
) -> SlaveMeasurement:
    """Switch one slave until its numbers are exact, or the time is over."""
    run = _SwitchingRun(wires, slave, lengths_s[-1], show)
    for length_s in lengths_s:
        await run.until(lambda length_s=length_s: run.seconds >= length_s, length_s)  # type: ignore[misc]
        fitting = asyncio.create_task(asyncio.to_thread(run.fit))
        await run.until(fitting.done, length_s)  # it goes on being told: a slave lets go of who is silent
        fit = await fitting
        if is_exact(fit) or draws_nothing(fit):
            break
    await wires.tell(run.place, 0)
    return measurement(slave, wires.site, fit, judge_fit(fit, slave, wires.site), run.told_w, run.seconds)


@dataclass(slots=True)
class _SwitchingRun:
    """One slave is switched on and off at instants drawn beforehand."""

    wires: SwitchedSlaves
    slave: Slave
    length_s: float
    show: Callable[[SwitchingProgress], None]
    place: int = field(init=False)
    told_w: int = field(init=False)
    _began_s: float = field(init=False)
    _due_s: list[float] = field(init=False)
    _switched_at_s: list[float] = field(default_factory=list)
    _repeat_at_s: float = float("inf")

    def __post_init__(self) -> None:
        site = self.wires.site
        self.place = site.slaves.index(self.slave)
        self.told_w = switched_w(self.slave, site)
        self._began_s = self.wires.clock()
        instants_s = switching_instants(np.random.default_rng(), self.length_s, site.period_s)
        self._due_s = [self._began_s + at_s for at_s in instants_s]

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.wires.clock() - self._began_s

    async def until(self, is_over: Callable[[], bool], judged_s: float) -> None:
        """Switch, repeat and show until something is over."""
        while not is_over():
            self.wires.require_meter()
            now_s, done = self.wires.clock(), len(self._switched_at_s)
            if done < len(self._due_s) and now_s >= self._due_s[done]:
                at_s = await self.wires.tell(self.place, self._level_w(done + 1))
                self._switched_at_s.append(at_s)
                self._repeat_at_s = at_s + REPEAT_AFTER_S
            elif now_s >= self._repeat_at_s:
                if done == len(self._due_s) or now_s <= self._due_s[done] - FREE_BEFORE_SWITCH_S:
                    await self.wires.tell(self.place, self._level_w(done))
                self._repeat_at_s = now_s + REPEAT_EVERY_S
            self.show(SwitchingProgress(self.slave, self.seconds, judged_s, self._level_w(done), done))
            await asyncio.sleep(LOOK_EVERY_S)

    def fit(self) -> ResponseFit:
        """What the readings say so far; called in a thread, it takes seconds on a small computer."""
        switch_at_s = np.array(self._switched_at_s)
        changes_w = self.told_w * np.where(np.arange(switch_at_s.size) % 2 == 0, 1.0, -1.0)
        reading_at_s, grid_w = self.wires.readings_since(self._began_s)
        return fit_response(
            switch_at_s - self._began_s,
            changes_w,
            reading_at_s - self._began_s,
            grid_w,
            self.slave.is_three_phase,
            is_ramped=self.slave.driver == RAMPED_DRIVER,
        )

    def _level_w(self, switchings: int) -> int:
        return self.told_w if switchings % 2 else 0
