"""The ports: `Meter` in, `SlaveDriver` out. Protocols only; a driver satisfies them by its shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from core.authorization import AuthorizedFrame, Decoded
from core.site import Phases


@dataclass(frozen=True, slots=True)
class Reading:
    """One valid sample of the meter.

    `grid_power_w` + import, - export; `raw` the registers as read, for the journal. Quantities that the
    meter does not tell in the same moment are None.
    """

    grid_power_w: Phases
    total_power_w: float
    voltage_v: Phases | None
    current_a: Phases | None
    frequency_hz: float | None
    raw: tuple[int, ...]
    power_factor: Phases | None = None


@dataclass(frozen=True, slots=True)
class EnergyCounters:
    """The meter's counters, and when each was last read (monotonic). None: not told, or not yet.

    Like the power they go by what flows in and out of the site, whichever way the transformers sit.
    """

    import_wh: float | None = None
    export_wh: float | None = None
    import_at_s: float = -inf
    export_at_s: float = -inf


@dataclass(frozen=True, slots=True)
class SlaveStatus:
    """What a slave last said about itself.

    `heard_at_s` is the monotonic instant of arrival, or the last one at which an answer to its frame could
    have come, if that is earlier. `told_w` is what the frame that it answers told this slave.
    """

    slot: int
    counter: int
    applied_w: int
    power_w: float | None
    resting: bool
    heard_at_s: float
    told_w: int | None = None


class Meter(Protocol):
    """Reads the grid connection point."""

    @property
    def identity(self) -> tuple[int, ...] | None:
        """What tells this device from another; None before `start`, empty when it tells nothing."""
        ...

    @property
    def connects(self) -> int:
        """Attempts to connect so far."""
        ...

    @property
    def unasked_total(self) -> int:
        """How often bytes came on a polled line while nothing was asked for."""
        ...

    @property
    def energy(self) -> EnergyCounters:
        """The counters as last read."""
        ...

    async def start(self) -> None:
        """Connect and check identity. Raises Transient, Broken or ConfigError."""
        ...

    async def read(self) -> Reading:
        """One sample, at most one retry, within the tick. Raises Transient or Broken."""
        ...

    async def stop(self) -> None: ...


class SlaveDriver(Protocol):
    """Speaks to the slaves of one wire: a broadcast to many, or one device.

    Slaves that are told in one message are a delivery group: those of one setpoint frame, or one device. What
    this port is given has been cleared by safety; it changes nothing and repeats nothing by itself, because
    a setpoint of an earlier tick is stale.
    """

    @property
    def slots(self) -> tuple[int, ...]:
        """The slaves on this wire."""
        ...

    @property
    def up(self) -> bool:
        """Whether a message has a chance to arrive."""
        ...

    def ttl_s(self, slot: int) -> float:
        """For how long a slave follows its last message; then it rests by itself."""
        ...

    async def start(self) -> None:
        """Begin to keep the wire up, in the background; never blocks on a device that is missing."""
        ...

    async def stop(self) -> None: ...

    def encode(self, setpoints_w: Mapping[int, int], *, rest: bool) -> bytes:
        """One message to one delivery group: its setpoints by slot, in whole watts.

        Raises ConfigError when this wire can make no message any more; the text says what to do.
        """
        ...

    def decode(self, payload: bytes) -> Decoded:
        """The inverse of `encode`; may raise anything."""
        ...

    async def send(self, message: AuthorizedFrame) -> None:
        """Put one message out, once. Returns when it was accepted, within a fraction of a second.

        Raises Transient when it was not accepted (down, busy, written too often): then everything is as it
        was; Unconfirmed when nobody said what became of it.
        """
        ...

    def settled(self) -> Sequence[tuple[Decoded, float]]:
        """Messages that were unconfirmed and were accepted after all, and when; each is told once."""
        ...

    def reports(self) -> Mapping[int, "SlaveStatus"]:
        """What each slave last said about itself."""
        ...

    def resting(self) -> bool:
        """Whether every slave has said that it rests, in answer to the last message."""
        ...


class Radio(Protocol):
    """Puts cleared frames on air and collects what the slaves report."""

    async def start(self) -> None:
        """Begin to keep the radio up, in the background; never blocks on a missing coordinator."""
        ...

    @property
    def up(self) -> bool: ...

    @property
    def network_id(self) -> bytes | None:
        """Extended PAN id (8 bytes), part of what a frame's tag covers; None until the radio was up."""
        ...

    async def send(self, frame: AuthorizedFrame) -> None:
        """Broadcast one frame. Returns when the coordinator accepted it.

        Raises Transient when the frame was not accepted (busy, down): it is stale then, and the next
        tick's frame follows; Unconfirmed when nobody said whether it was accepted.
        """
        ...

    def reports(self) -> dict[int, SlaveStatus]:
        """Newest report of every slot heard so far."""
        ...

    def unknown_counters(self) -> dict[int, int]:
        """By slot: the counter of an authentic report that answers no frame of this radio."""
        ...

    async def stop(self) -> None: ...
