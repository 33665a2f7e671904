"""The driver "sunkeep": the authenticated broadcast that carries the setpoints of many slaves at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.authorization import AuthorizedFrame, Decoded
from drivers.errors import ConfigError
from drivers.ports import Radio, SlaveStatus
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.setpoint_frame import SetpointFrame, decode, encode

REPORT_EVERY_S = 5.0
"""Everybody is asked to report this often: three chances before a slave counts as lost (15 s)."""
REPORT_SOONEST_S, REPORTS_PER_S = 2.5, 2.0
"""Few slaves are asked more often, with every keep-alive: their reports cost little of the air, and a slave
that misses frames is known the sooner."""


@dataclass(slots=True, eq=False)
class SetpointBroadcast:
    """Satisfies `drivers.ports.SlaveDriver`. A delivery group is what fits one frame.

    The radio is started and stopped by whoever made it. `last_counters` are those of the newest accepted
    frame of each group, by its first slot.
    """

    radio: Radio
    counter: FrameCounter
    key: bytes
    frame_ttl_s: int
    slots: tuple[int, ...]
    clock: Callable[[], float]
    reports_asked_total: int = 0
    last_counters: dict[int, int] = field(default_factory=dict)
    refused_leaps: dict[int, int] = field(default_factory=dict)
    """By slot: a counter that it told and that was not believed."""
    _asked_at_s: dict[int, float] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether a coordinator runs its network."""
        return self.radio.up and self.radio.network_id is not None

    def ttl_s(self, slot: int) -> float:
        """The same for all: it stands in the frame."""
        del slot
        return float(self.frame_ttl_s)

    async def start(self) -> None:
        """Nothing: the radio is up or on its way."""

    async def stop(self) -> None:
        """Nothing: the radio is stopped by whoever started it."""

    def encode(self, setpoints_w: Mapping[int, int], *, rest: bool) -> bytes:
        """One frame with the next counter. Raises ConfigError when there is none left, or no network."""
        for slot, seen in self.radio.unknown_counters().items():
            if not self.counter.skip_past(seen):  # after an old backup of the file the slaves know better
                self.refused_leaps[slot] = seen
        asked_at_s = self._asked_at_s.get(min(setpoints_w), float("-inf"))
        (payload,) = encode(
            setpoints_w,
            counter=self.counter.take(1),
            ttl_s=self.frame_ttl_s,
            safe_release=rest,
            report=self.clock() - asked_at_s >= report_every_s(len(self.slots)),
            key=self.key,
            network_id=self._network_id(),
        )
        return payload

    def decode(self, payload: bytes) -> Decoded:
        """The frame that these bytes are, its tag verified. Raises FrameError."""
        return decode(payload, self.key, self._network_id())

    async def send(self, message: AuthorizedFrame) -> None:
        """Broadcast one frame. Raises Transient or Unconfirmed, as the radio does."""
        await self.radio.send(message)
        frame = message.said
        if not isinstance(frame, SetpointFrame):
            return
        self.last_counters[frame.base] = frame.counter
        if frame.report:
            self._asked_at_s[frame.base] = self.clock()
            self.reports_asked_total += len(self._told(frame.base, len(frame.setpoints_w)))

    def settled(self) -> tuple[tuple[Decoded, float], ...]:
        """None: a coordinator that is late never says what became of the frame."""
        return ()

    def reports(self) -> dict[int, SlaveStatus]:
        """Newest report of every slot heard so far."""
        return self.radio.reports()

    def resting(self) -> bool:
        """Whether every slave that is heard rests, by a report that answers its last frame or a newer one."""
        reports = self.radio.reports()
        return bool(reports) and all(
            report.resting and report.counter >= self._last_counter(slot) for slot, report in reports.items()
        )

    def _last_counter(self, slot: int) -> int:
        base = max((base for base in self.last_counters if base <= slot), default=None)
        return -1 if base is None else self.last_counters[base]

    def _told(self, base: int, n: int) -> list[int]:
        return [slot for slot in self.slots if base <= slot < base + n]

    def _network_id(self) -> bytes:
        network_id = self.radio.network_id
        if network_id is None:
            raise ConfigError("the radio has no network yet")
        return network_id


def report_every_s(slaves: int) -> float:
    """How often so many slaves are asked to report."""
    return min(REPORT_EVERY_S, max(REPORT_SOONEST_S, slaves / REPORTS_PER_S))
