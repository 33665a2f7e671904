"""Slaves that break one rule of the protocol each, on the air of a virtual coordinator."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from plant.radio.medium import RadioMedium
from plant.radio.slave_firmware import HEAD, TAG_BYTES, Faults, Firmware, Ignored
from plant.radio.slave_node import SlaveNode

Measured = Callable[[int], float | None]


class Lenient(Firmware):
    """Pardons frames that break one of the rules."""

    pardons: Ignored

    def _check(self, payload: bytes, extended_pan_id: bytes) -> Ignored | None:
        reason = super()._check(payload, extended_pan_id)
        return None if reason is self.pardons and len(payload) > HEAD.size else reason

    def _apply(self, release: bool, setpoint_w: int, time_to_live_s: int, at_s: float) -> None:
        bounded_w = setpoint_w if self.pardons is Ignored.SETPOINT else max(0, setpoint_w)
        super()._apply(release, bounded_w, time_to_live_s, at_s)


def pardoning(reason: Ignored) -> type[Firmware]:
    return type(f"Pardons{reason.name}", (Lenient,), {"pardons": reason})


class ShortTag(Firmware):
    """Compares half of the tag."""

    def _authentic(self, payload: bytes, extended_pan_id: bytes) -> bool:
        body, tag = payload[:-TAG_BYTES], payload[-TAG_BYTES:]
        return tag[:4] == self._tag(extended_pan_id, body)[:4]


class AnyNetwork(Firmware):
    """Leaves the network out of what it checks: it takes the tag of any."""

    def _authentic(self, payload: bytes, extended_pan_id: bytes) -> bool:
        others = (extended_pan_id, bytes(byte ^ 0xFF for byte in extended_pan_id))
        return any(super(AnyNetwork, self)._authentic(payload, network) for network in others)


class FeedsOnAnything(Firmware):
    """Every frame feeds its watchdog, whether it believes it or not."""

    def hear(self, payload: bytes, extended_pan_id: bytes, at_s: float) -> Ignored | None:
        reason = super().hear(payload, extended_pan_id, at_s)
        if reason is not None and self._deadline_s is not None:
            self._deadline_s = at_s + 15.0
        return reason


class RemembersCounterFirst(Firmware):
    """Takes note of the counter before it looks at the tag: one forged frame makes it deaf."""

    def hear(self, payload: bytes, extended_pan_id: bytes, at_s: float) -> Ignored | None:
        reason = super().hear(payload, extended_pan_id, at_s)
        if reason is not None and len(payload) >= HEAD.size:
            self.counter = max(self.counter or 0, HEAD.unpack_from(payload)[1])
        return reason


class NoWatchdog(Firmware):
    """Never rests by itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, faults=Faults(watchdog=False))


class OwnTimeToLive(Firmware):
    """Takes 8 s, whatever the frame says."""

    def _apply(self, release: bool, setpoint_w: int, time_to_live_s: int, at_s: float) -> None:
        super()._apply(release, setpoint_w, 8, at_s)


class NoRelease(Firmware):
    """Does not know the safe release."""

    def _apply(self, release: bool, setpoint_w: int, time_to_live_s: int, at_s: float) -> None:
        super()._apply(False, setpoint_w, time_to_live_s, at_s)


class FirstSetpoint(Firmware):
    """Takes the first setpoint of the frame for its own."""

    def _apply(self, release: bool, setpoint_w: int, time_to_live_s: int, at_s: float) -> None:
        super()._apply(release, self._first_w, time_to_live_s, at_s)

    def hear(self, payload: bytes, extended_pan_id: bytes, at_s: float) -> Ignored | None:
        self._first_w = int.from_bytes(payload[HEAD.size :][:2], "little", signed=True)
        return super().hear(payload, extended_pan_id, at_s)


class NoRating(Firmware):
    """Applies what it is told, whatever it was built for."""

    def __init__(self, slot: int, key: bytes, max_w: int) -> None:
        super().__init__(slot, key, 0x7FFF)


class SpeaksWhenAsked(Firmware):
    """Reports when it is asked and never else."""

    def wants_report(self, at_s: float) -> bool:
        return self._asked


class SpeaksAlways(Firmware):
    """Reports after every frame."""

    def wants_report(self, at_s: float) -> bool:
        return True


class BadTag(Firmware):
    """Its reports cannot be believed."""

    def report(self, at_s: float, measured_w: float | None, extended_pan_id: bytes) -> bytes:
        return super().report(at_s, measured_w, extended_pan_id)[:-1] + b"\0"


class AtOnce(SlaveNode):
    """Does not wait for its time slot."""

    def _consider_report(self) -> None:
        if self.firmware.wants_report(self.air.clock()):
            self._report_number += 1
            self.air.later(0.02, self._report, self._report_number)


class NeverReplaces(SlaveNode):
    """Sends every report that it has begun."""

    def _report(self, number: int) -> None:
        super()._report(self._report_number)


class OneTransaction(SlaveNode):
    """Counts no transactions."""

    def next_sequence(self) -> int:
        return 7


@dataclass(frozen=True)
class Liar:
    """One kind of slave, and the rules that a test must find broken."""

    name: str
    breaks: frozenset[str]
    firmware: type[Firmware] = Firmware
    node: type[SlaveNode] = SlaveNode
    measured_w: float | None = None

    def make(
        self, air: RadioMedium, slot: int, key: bytes, max_w: int, measured_w: Measured, rng: Random
    ) -> SlaveNode:
        """For `plant.radio.network`."""
        return self.node(air, self.firmware(slot, key, max_w), lambda _: self.measured_w, rng)


def _liar(name: str, breaks: str, firmware: type[Firmware] = Firmware, **more: Any) -> Liar:
    return Liar(name, frozenset(breaks.split()), firmware, **more)


LIARS = (
    _liar("any length", "F1", pardoning(Ignored.LENGTH)),
    _liar("any version", "F2", pardoning(Ignored.VERSION)),
    _liar("reserved bits", "F3", pardoning(Ignored.RESERVED)),
    _liar("no tag", "F4 F9", pardoning(Ignored.TAG)),
    _liar("half a tag", "F4 F9", ShortTag),
    _liar("any network", "F4", AnyNetwork),
    _liar("any counter", "F5", pardoning(Ignored.COUNTER)),
    _liar("any time to live", "F6", pardoning(Ignored.TIME_TO_LIVE)),
    _liar("any slot", "F7", pardoning(Ignored.SLOT)),
    _liar("first setpoint", "F7", FirstSetpoint),
    _liar("negative setpoints", "F8 R1", pardoning(Ignored.SETPOINT)),
    _liar("fed by anything", "F9", FeedsOnAnything),
    _liar("deaf after a forged frame", "F2 F3 F4 F6 F7 F8", RemembersCounterFirst),
    _liar("no rating", "F10", NoRating),
    _liar("no watchdog", "W3 F9", NoWatchdog),
    _liar("its own time to live", "W3 F9", OwnTimeToLive),
    _liar("no safe release", "R4 W4", NoRelease),
    _liar("stays hot", "W4", measured_w=90.0),
    _liar("speaks when asked", "R3 W3 F9", SpeaksWhenAsked),
    _liar("speaks always", "R3", SpeaksAlways),
    _liar("at once", "R5 R6", node=AtOnce),
    _liar("never replaces", "R6", node=NeverReplaces),
    _liar("one transaction", "R1", node=OneTransaction),
)
