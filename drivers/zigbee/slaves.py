"""What is known of the slaves: their reports, their addresses, the frames they should have heard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.authorization import AuthorizedFrame
from drivers.ports import SlaveStatus
from drivers.zigbee.link_quality import GRACE_S, LinkQuality, reply_delay_s
from drivers.zigbee.setpoint_frame import (
    FrameError,
    ReportedState,
    SetpointFrame,
    SlaveReport,
    decode_report,
    unwrap_report,
)

REPAIR_FRAME_MAX_AGE_S = 5.0
"""An older frame is not worth a unicast: a keep-alive should have followed long ago."""
REMEMBERED_S = 90.0
"""How long a frame may be answered: the longest time to live, after which a slave says once more that it
rests, and the longest way, with room."""
_PHASE = {
    ReportedState.FOLLOWING: 0,
    ReportedState.RESTING_RELEASED: 0,
    ReportedState.RESTING_SILENCE: 1,
    ReportedState.RESTING_START: 2,
}
"""Order in which a slave can be in these states after one and the same frame."""


@dataclass(frozen=True, slots=True)
class _SentFrame:
    """A frame that may be on air, and since when."""

    frame: SetpointFrame
    at_s: float


class Slaves:
    """Listens to the slaves and remembers what was sent to them. Time is an argument."""

    def __init__(self, slots: Iterable[int], key: bytes) -> None:
        """Args: the commissioned slots; the site key, 32 bytes."""
        self._slots = frozenset(slots)
        self._key = key
        self.quality = LinkQuality(self._slots)
        self.reports: dict[int, SlaveStatus] = {}
        self.addresses: dict[int, int] = {}
        """Network address of every slot that was heard; it may change when a slave joins again."""
        self.unknown_counters: dict[int, int] = {}
        """By slot: the counter of the newest authentic report that answers no frame of this life."""
        self._on_air: dict[int, tuple[AuthorizedFrame, SetpointFrame, float]] = {}
        self._sent: dict[int, _SentFrame] = {}
        self._newest: dict[int, tuple[int, int]] = {}

    def record_report(self, address: int, zcl: bytes, network_id: bytes, at_s: float) -> bool:
        """One frame of the setpoint cluster arrived from a network address.

        A report has no clock. What dates it is the frame that it answers: only frames of this life, in their
        order, each state after it once. So nothing that was recorded can be played back as news.

        Returns:
            Whether it was a sound report of a commissioned slot, and news.
        """
        try:
            report = decode_report(unwrap_report(zcl), self._key, network_id)
        except FrameError:
            return False
        if report.slot not in self._slots:
            return False
        sent = self._sent.get(report.counter)
        if sent is None:
            self._note_unknown(report)
            return False
        told_w = _told_w(sent.frame, report.slot)
        order = (report.counter, _PHASE[report.state])
        if told_w is None or not order > self._newest.get(report.slot, (-1, 0)):
            return False
        self._newest[report.slot] = order
        self.addresses[report.slot] = address
        self.reports[report.slot] = SlaveStatus(
            slot=report.slot,
            counter=report.counter,
            applied_w=report.applied_w,
            power_w=None if report.power_w is None else float(report.power_w),
            resting=report.state is not ReportedState.FOLLOWING,
            heard_at_s=min(at_s, _answered_by_s(sent, report)),
            told_w=told_w,
        )
        self.quality.record_report(report, at_s)
        return True

    def offered(self, frame: AuthorizedFrame, at_s: float) -> None:
        """The coordinator is asked to broadcast this: from now on it may be answered."""
        if isinstance(frame.said, SetpointFrame):
            self._sent.setdefault(frame.said.counter, _SentFrame(frame.said, at_s))
        for counter in [c for c, sent in self._sent.items() if at_s - sent.at_s > REMEMBERED_S]:
            del self._sent[counter]

    def record_sent(self, frame: AuthorizedFrame, at_s: float) -> None:
        """The coordinator accepted this broadcast."""
        self.offered(frame, at_s)
        if isinstance(frame.said, SetpointFrame):
            self._on_air[frame.said.base] = (frame, frame.said, at_s)
            self.quality.sent(frame.said, at_s)

    def radio_lost(self) -> None:
        """Nothing that is on air any more is waiting for an answer, or worth repeating."""
        self._on_air.clear()
        self.quality.forget_waiting()

    def repairs(self, at_s: float) -> Iterator[tuple[int, AuthorizedFrame]]:
        """Slots to repair now, and with which frame."""
        for slot in self.quality.repair_due(at_s):
            frame = self._newest_frame(slot, at_s)
            if frame is not None and slot in self.addresses:
                yield slot, frame

    def _note_unknown(self, report: SlaveReport) -> None:
        """A counter beyond every frame of this life: the file may have come back from an old backup."""
        if report.counter > max(self._sent, default=0):
            self.unknown_counters[report.slot] = report.counter

    def _newest_frame(self, slot: int, at_s: float) -> AuthorizedFrame | None:
        for frame, setpoints, sent_at_s in self._on_air.values():
            inside = 0 <= slot - setpoints.base < len(setpoints.setpoints_w)
            if inside and at_s - sent_at_s <= REPAIR_FRAME_MAX_AGE_S:
                return frame
        return None


def _told_w(frame: SetpointFrame, slot: int) -> int | None:
    """What a frame tells a slot; None when it does not speak to it."""
    if not 0 <= slot - frame.base < len(frame.setpoints_w):
        return None
    return 0 if frame.safe_release else frame.setpoints_w[slot - frame.base]


def _answered_by_s(sent: _SentFrame, report: SlaveReport) -> float:
    """The last instant at which this report can have been news."""
    lives_s = sent.frame.ttl_s if report.state is ReportedState.RESTING_SILENCE else 0.0
    return sent.at_s + lives_s + reply_delay_s(report.slot) + GRACE_S
