"""From the wires to a snapshot: the newest good sample, who answers, what is on air."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from core.causes import Cause
from core.site import SUNKEEP, ZERO, Phases, Site
from core.snapshot import METER_LOST_S, SlaveState, Snapshot
from daemon.config.device_checks import ZIGBEE_DRIVERS
from daemon.runtime.transmitter import Transmitter
from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.ports import Meter, Reading
from drivers.zigbee.radio import ZigbeeRadio

OFFLINE_AFTER_S = 15.0
"""A slave not heard for this long takes no part in the allocation (three missed requests to report)."""
DEVICE_OFFLINE_AFTER_S = 5.0
"""A device that is asked alone is asked once a second (`drivers.devices.device_wire`): five answers."""
ZIGBEE_OFFLINE_AFTER_S = 25.0
"""A Zigbee relay is asked every 10 s (`drivers.zigbee_devices.air_budget`): two answers."""
FIRST_CHANCE_S = 20.0
"""After the radio came up, slaves are taken to be there for this long: all at the start, later those that
were there when it was lost."""
LATE_TICK_SHARE = 0.5
"""A tick that begins later than half a period decides on a plan that no longer fits its frames."""
METER_SHARE = 0.8
"""Of the period; the rest is for the decision and the radio."""
BEYOND_S = 0.005
"""So much later than the last instant to hold, so that the age is beyond doubt."""


@dataclass(slots=True)
class SnapshotSource:
    """Reads the meter within the tick and assembles the snapshot."""

    site: Site
    meter: Meter
    radio: ZigbeeRadio
    transmitter: Transmitter
    plausibility: Plausibility
    clock: Callable[[], float]
    hour: Callable[[], int | None] = lambda: None
    ordered: Callable[[tuple[SlaveState, ...]], tuple[SlaveState, ...]] = lambda states: states
    """Puts what the owner said of single devices into their states."""
    reading: Reading | None = None
    reads_total: int = 0
    read_s: float | None = None
    errors_total: dict[str, int] = field(default_factory=dict)
    _memory: PlausibilityMemory = field(default_factory=PlausibilityMemory)
    _grid_power_w: Phases = ZERO
    _sample_at_s: float = -inf
    _looked_at_s: float = -inf
    _missed: bool = False
    _radio_up_at_s: float = inf
    _there: frozenset[int] | None = None
    """Slots of the slaves that answered when the radio was last up; None before it ever was."""

    @property
    def rest_due_at_s(self) -> float:
        """After a missed sample: when what is on air may be held no longer; inf once that was seen.

        Between two ticks this instant would pass unseen for up to a period, and the slaves' own ramp needs
        what is left of the 5 s from the last good sample to rest.
        """
        return self._hold_ends_at_s + BEYOND_S if self._unseen_end else inf

    @property
    def _hold_ends_at_s(self) -> float:
        return self._sample_at_s + METER_LOST_S

    @property
    def _unseen_end(self) -> bool:
        return self._missed and self._looked_at_s <= self._hold_ends_at_s

    async def snapshot(
        self,
        tick: int,
        late_s: float,
        alarms: tuple[Cause, ...],
        acknowledged: tuple[str, ...],
        policy_latency_s: float,
    ) -> Snapshot:
        """The process image of this tick. A failing meter makes the sample old, never the tick late."""
        causes = list(alarms)
        if not late_s <= LATE_TICK_SHARE * self.site.period_s:
            causes.append(Cause.LATE_TICK)
        causes += await self._read_meter()
        now_s = self.clock()
        if not self.radio.up:
            causes.append(Cause.RADIO_DOWN)
            self._radio_up_at_s = inf
        elif self._radio_up_at_s == inf:
            self._radio_up_at_s = now_s
        causes += self.radio.causes()
        self._looked_at_s = now_s
        return Snapshot(
            tick=tick,
            at_s=now_s,
            grid_power_w=self._grid_power_w,
            meter_age_s=self._age_s(now_s),
            slaves=self.ordered(self._slaves(now_s)),
            on_air=self.transmitter.on_air(now_s),
            alarms=tuple(causes),
            acknowledged=acknowledged,
            extra_delay_s=self.radio.quality.extra_delay_s(now_s),
            link_loss_rate=self.radio.quality.link_loss_rate(now_s),
            policy_latency_s=policy_latency_s,
            hour=self.hour(),
        )

    async def _read_meter(self) -> list[Cause]:
        began_s = self.clock()
        if (
            self._unseen_end and began_s > self._hold_ends_at_s
        ):  # this tick is there to rest, not to wait once more
            return []
        limit_s = METER_SHARE * self.site.period_s
        hold_s = self._hold_ends_at_s + BEYOND_S - began_s
        if hold_s > 0.0:
            limit_s = min(limit_s, hold_s)
        self._missed = True
        self.reads_total += 1
        try:
            async with asyncio.timeout(limit_s):
                reading = await self.meter.read()
        except TimeoutError:
            self._count("timeout")
            return []
        except Transient as error:
            self._count(error.kind)
            return []
        except DeviceFault as error:
            self._count(error.cause)
            return [error.cause]
        except ConfigError:
            self._count(Cause.METER_CONFIG)
            return [Cause.METER_IDENTITY]
        now_s = self.clock()
        self.read_s = now_s - began_s
        implausible, self._memory = self.plausibility.check(reading, now_s, self._memory)
        for cause in implausible:
            self._count(cause)
        if not implausible:
            self.reading = reading
            self._grid_power_w = reading.grid_power_w
            self._missed = False
            self._sample_at_s = began_s  # as old as its request: the answer may have waited on its way
        return []

    def _age_s(self, now_s: float) -> float:
        """A sample of an earlier tick is at least one period old, however close the two ticks were."""
        age_s = now_s - self._sample_at_s
        return max(age_s, self.site.period_s) if self._missed else age_s

    def _count(self, kind: str) -> None:
        self.errors_total[kind] = self.errors_total.get(kind, 0) + 1

    def _slaves(self, now_s: float) -> tuple[SlaveState, ...]:
        reports = self.transmitter.reports()
        is_new = now_s - self._radio_up_at_s < FIRST_CHANCE_S
        states = []
        for slave in self.site.slaves:
            is_told_alone = slave.driver != SUNKEEP
            is_known = self._there is None or slave.slot in self._there
            first_chance = is_new and is_known and not is_told_alone
            report = reports.get(slave.slot)
            if report is None:
                states.append(SlaveState(available=first_chance))
                continue
            age_s = now_s - report.heard_at_s
            is_there = age_s <= _offline_after_s(slave.driver) or first_chance
            # who rests on his own has missed frames: that is no answer to what it was told
            is_deaf = report.resting and report.told_w != 0
            told_w = None if is_deaf else report.told_w
            states.append(SlaveState(is_there, report.power_w, age_s, report.applied_w, told_w))
        if self._radio_up_at_s < inf and not is_new:
            cells = zip(self.site.slaves, states, strict=True)
            self._there = frozenset(slave.slot for slave, state in cells if state.available)
        return tuple(states)


def _offline_after_s(driver: str) -> float:
    if driver == SUNKEEP:
        return OFFLINE_AFTER_S
    return ZIGBEE_OFFLINE_AFTER_S if driver in ZIGBEE_DRIVERS else DEVICE_OFFLINE_AFTER_S
