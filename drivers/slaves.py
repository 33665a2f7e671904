"""What is known of the slaves: their reports, their addresses, the frames they should have heard."""

from collections.abc import Iterable, Iterator

from core.clearance import Cleared
from drivers.acknowledge import LinkQuality
from drivers.frame import (
    FrameError,
    SetpointFrame,
    SlaveReport,
    SlaveState,
    decode_report,
    unwrap_report,
)
from drivers.ports import Report

REPAIR_FRAME_MAX_AGE_S = 5.0
"""An older frame is not worth a unicast: a keep-alive should have followed long ago."""


class Slaves:
    """Listens to the slaves and remembers what was sent to them. Time is an argument."""

    def __init__(self, slots: Iterable[int], key: bytes) -> None:
        """Args: the commissioned slots; the site key, 32 bytes."""
        self._slots = frozenset(slots)
        self._key = key
        self.quality = LinkQuality(self._slots)
        self.reports: dict[int, Report] = {}
        self.addresses: dict[int, int] = {}
        """Network address of every slot that was heard; it may change when a slave joins again."""
        self._on_air: dict[int, tuple[Cleared, SetpointFrame, float]] = {}

    def heard(self, address: int, zcl: bytes, network_id: bytes, at_s: float) -> bool:
        """One frame of the setpoint cluster arrived from a network address.

        Returns:
            Whether it was a sound report of a commissioned slot, and not an old one.
        """
        try:
            report = decode_report(unwrap_report(zcl), self._key, network_id)
        except FrameError:
            return False
        if report.slot not in self._slots or self._overtaken(report):
            return False
        self.addresses[report.slot] = address
        self.reports[report.slot] = Report(
            slot=report.slot,
            counter=report.counter,
            applied_w=report.applied_w,
            power_w=None if report.power_w is None else float(report.power_w),
            resting=report.state is not SlaveState.FOLLOWING,
            heard_at_s=at_s,
        )
        self.quality.heard(report, at_s)
        return True

    def told(self, frame: Cleared, at_s: float) -> None:
        """The coordinator accepted this broadcast."""
        if isinstance(frame.said, SetpointFrame):
            self._on_air[frame.said.base] = (frame, frame.said, at_s)
            self.quality.sent(frame.said, at_s)

    def radio_lost(self) -> None:
        """Nothing that is on air any more is waiting for an answer, or worth repeating."""
        self._on_air.clear()
        self.quality.forget_waiting()

    def repairs(self, at_s: float) -> Iterator[tuple[int, Cleared]]:
        """Slots to repair now, and with which frame."""
        for slot in self.quality.repair_due(at_s):
            frame = self._newest_frame(slot, at_s)
            if frame is not None and slot in self.addresses:
                yield slot, frame

    def _overtaken(self, report: SlaveReport) -> bool:
        """Overtaken on its way, or played back by somebody. A slave that restarts may have forgotten."""
        before = self.reports.get(report.slot)
        return (
            before is not None
            and report.counter < before.counter
            and report.state is not SlaveState.RESTING_START
        )

    def _newest_frame(self, slot: int, at_s: float) -> Cleared | None:
        for frame, setpoints, sent_at_s in self._on_air.values():
            inside = 0 <= slot - setpoints.base < len(setpoints.setpoints_w)
            if inside and at_s - sent_at_s <= REPAIR_FRAME_MAX_AGE_S:
                return frame
        return None
