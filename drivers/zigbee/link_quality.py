"""Who answered which frame: acknowledgement rate, loss, delay, and whom to repair. Time is an argument.

A broadcast has no acknowledgement of its own. The slaves' reports are one: each names the counter of the
last frame that its slave accepted, and comes in a known time slot behind that frame.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from core.estimation.actuator_model import MEAN_AGE_S
from drivers.zigbee.setpoint_frame import SetpointFrame, SlaveReport

REPLY_AFTER_S = 0.3
REPLY_SLOT_S = 0.04
REPLY_JITTER_S = 0.02
"""How long a slave waits before it reports (docs/develop/setpoint-protocol.md)."""
GRACE_S = 5.5
"""How much later than its slot an answer still counts: a command takes up to 5 s on a slow network."""
OVERTAKE_S = 4.0
"""Commands take 1 to 5 s there, so frames this far apart arrive in order. Of two closer ones the older may go
unanswered because the newer one was there first: that says nothing about the link."""
RATE_WINDOW_S = 300.0
LOSS_WINDOW_S = 60.0
DELAY_SAMPLES = 31
DELAY_SAMPLES_MIN = 5
PATIENCE_MIN_S = 0.7
"""How much later than its slot an answer may come where commands are known to be quick."""
PATIENCE_DELAYS = 2.0
"""Times the longest of the last delays."""
MISSES_TO_REPAIR = 2
REPAIR_AGAIN_S = 10.0
REPAIR_AGAIN_MAX_S = 300.0
"""A unicast to a dead slave costs a route discovery, which is a broadcast: ask less and less often."""


def reply_delay_s(slot: int) -> float:
    """Mean time between the arrival of a frame and the report of this slot."""
    return REPLY_AFTER_S + slot * REPLY_SLOT_S + REPLY_JITTER_S / 2


@dataclass(slots=True)
class _Link:
    """What is known of the link to one slot. `waiting` holds (counter, sent at) of unanswered frames."""

    waiting: deque[tuple[int, float]]
    told: int | None = None
    misses: int = 0
    missed_counter: int = -1
    answered: int = 0
    missed: int = 0
    delays_s: deque[float] = field(default_factory=lambda: deque(maxlen=DELAY_SAMPLES))
    repair_at_s: float = 0.0
    repair_pause_s: float = REPAIR_AGAIN_S


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    """Answers of one slot that came and that did not, and the newest 31 delays of those that came.

    A delay is that of the command and of the way back; the time slot of the answer is taken off.
    """

    answered: int
    missed: int
    delays_s: tuple[float, ...]


class LinkQuality:
    """Follows the frames that were sent and the reports that came.

    All instants are of one monotonic clock and must not fall.
    """

    def __init__(self, slots: Iterable[int], nominal_delay_s: float = MEAN_AGE_S) -> None:
        """Args: the slots that have a slave; the mean delay of a command that controllers take as given."""
        self._links = {slot: _Link(deque()) for slot in slots}
        self._nominal_delay_s = nominal_delay_s
        self._outcomes: deque[tuple[float, int, bool]] = deque()
        self._delays_s: deque[tuple[float, float]] = deque(maxlen=DELAY_SAMPLES)

    def sent(self, frame: SetpointFrame, at_s: float) -> None:
        """The coordinator accepted this frame: remember whose answer is due."""
        self._settle(at_s)
        for offset, watts in enumerate(frame.setpoints_w):
            link = self._links.get(frame.base + offset)
            if link is None:
                continue
            told = -1 if frame.safe_release else watts
            changed = link.told is not None and told != link.told
            link.told = told
            replaced = self._drop_replaced(frame.base + offset, link, at_s)
            if frame.report or changed or replaced:
                link.waiting.append((frame.counter, at_s))

    def record_report(self, report: SlaveReport, at_s: float) -> None:
        """A verified report arrived."""
        self._settle(at_s)
        link = self._links.get(report.slot)
        if link is None:
            return
        passed: list[float] = []
        while link.waiting and link.waiting[0][0] <= report.counter:
            counter, sent_at_s = link.waiting.popleft()
            if counter == report.counter:
                for _ in (p for p in passed if sent_at_s - p >= OVERTAKE_S):
                    self._settled(at_s, report.slot, answered=False)
                self._settled(at_s, report.slot, answered=True)
                delay_s = at_s - sent_at_s - reply_delay_s(report.slot)
                self._delays_s.append((at_s, delay_s))
                link.delays_s.append(delay_s)
            passed.append(sent_at_s)
        if report.counter >= link.missed_counter:
            link.misses, link.repair_at_s, link.repair_pause_s = 0, 0.0, REPAIR_AGAIN_S

    def ack_rate(self, at_s: float, slot: int | None = None) -> float | None:
        """Share of the answers due in the last 5 minutes that came; None when none was due."""
        return self._share(at_s, RATE_WINDOW_S, slot)

    def link_loss_rate(self, at_s: float) -> float:
        """Share of the answers due in the last minute that did not come; 0 when none was due."""
        share = self._share(at_s, LOSS_WINDOW_S, None)
        return 0.0 if share is None else 1.0 - share

    def extra_delay_s(self, at_s: float) -> float:
        """Delay of a command beyond the nominal one: median of the last answers, 0 while there are too few.

        The way back is a unicast of some 10 ms and is not told apart.
        """
        delays_s = self._recent_delays_s(at_s)
        if len(delays_s) < DELAY_SAMPLES_MIN:
            return 0.0
        return max(0.0, median(delays_s) - self._nominal_delay_s)

    def misses(self, at_s: float) -> dict[int, int]:
        """Answers in a row that every slot has failed to give."""
        self._settle(at_s)
        return {slot: link.misses for slot, link in self._links.items()}

    def tally(self, slot: int, at_s: float) -> SlotStatistics:
        """What became of the answers that this slot owed since the start."""
        self._settle(at_s)
        link = self._links[slot]
        return SlotStatistics(
            link.answered, link.missed, tuple(max(0.0, delay_s) for delay_s in link.delays_s)
        )

    @property
    def waiting(self) -> bool:
        """Whether an answer is still due from anybody."""
        return any(link.waiting for link in self._links.values())

    def repair_due(self, at_s: float) -> tuple[int, ...]:
        """Slots to repair that were not repaired lately: those that missed two answers in a row.

        And one that owes an answer for longer than this network takes: the one that owes it longest.
        """
        self._settle(at_s)
        may = {slot: link for slot, link in self._links.items() if at_s >= link.repair_at_s}
        due = tuple(slot for slot, link in may.items() if link.misses >= MISSES_TO_REPAIR)
        patience_s = self._patience_s(at_s)
        late_s = {
            slot: at_s - link.waiting[0][1] - reply_delay_s(slot)
            for slot, link in may.items()
            if link.waiting and slot not in due
        }
        slowest = max(late_s, key=lambda slot: late_s[slot], default=None)
        return due if slowest is None or not late_s[slowest] > patience_s else (*due, slowest)

    def _patience_s(self, at_s: float) -> float:
        """How long after its slot an answer is late here; the longest of all while little is known."""
        delays_s = self._recent_delays_s(at_s)
        if len(delays_s) < DELAY_SAMPLES_MIN:
            return GRACE_S
        return min(GRACE_S, max(PATIENCE_MIN_S, PATIENCE_DELAYS * max(delays_s)))

    def _recent_delays_s(self, at_s: float) -> list[float]:
        return [delay_s for heard_at_s, delay_s in self._delays_s if at_s - heard_at_s <= RATE_WINDOW_S]

    def repair_sent(self, slot: int, at_s: float) -> None:
        """A repair was tried; the pause before the next doubles until the slave is heard."""
        link = self._links[slot]
        link.repair_at_s = at_s + link.repair_pause_s
        link.repair_pause_s = min(2 * link.repair_pause_s, REPAIR_AGAIN_MAX_S)

    def forget_waiting(self) -> None:
        """The radio was lost: what was not answered by now says nothing about the links."""
        for link in self._links.values():
            link.waiting.clear()

    def _settled(self, at_s: float, slot: int, *, answered: bool) -> None:
        link = self._links[slot]
        link.answered, link.missed = link.answered + answered, link.missed + (not answered)
        self._outcomes.append((at_s, slot, answered))

    def _share(self, at_s: float, window_s: float, slot: int | None) -> float | None:
        self._settle(at_s)
        outcomes = [
            answered
            for settled_at_s, of_slot, answered in self._outcomes
            if at_s - settled_at_s <= window_s and slot in (None, of_slot)
        ]
        return sum(outcomes) / len(outcomes) if outcomes else None

    def _drop_replaced(self, slot: int, link: _Link, at_s: float) -> bool:
        """A frame that arrives before the reply to the last one replaces that reply."""
        longest_wait_s = reply_delay_s(slot) + REPLY_JITTER_S / 2
        if link.waiting and at_s - link.waiting[-1][1] < longest_wait_s:
            link.waiting.pop()
            return True
        return False

    def _settle(self, at_s: float) -> None:
        """Turn answers that are overdue into misses, and forget what is older than every window."""
        for slot, link in self._links.items():
            while link.waiting and at_s - link.waiting[0][1] > reply_delay_s(slot) + GRACE_S:
                link.missed_counter, _ = link.waiting.popleft()
                link.misses += 1
                self._settled(at_s, slot, answered=False)
        while self._outcomes and at_s - self._outcomes[0][0] > RATE_WINDOW_S:
            self._outcomes.popleft()
