"""Whether setpoints still get through although the coordinator answers. Time is an argument.

Two things that no sign of life shows: a broadcast table that others keep full, so that frames are refused,
and a coordinator that accepts every frame and transmits none, or a site whose slaves are all dead.
"""

from collections import deque
from math import inf

from core.causes import Cause

AIRTIME_WINDOW_S = 30.0
REFUSED_MIN = 4
"""Refused within the window, and at least as many as were accepted: at one frame in 2 s, 8 s without any."""
SILENT_AFTER_S = 20.0
SENT_MIN = 5
"""So many frames without one report: every slave was asked three times, 5 s apart."""
REBUILD_AFTER_S = 60.0
REBUILD_PAUSE_MAX_S = 3600.0
"""Slaves that are all switched off cost a start of the coordinator an hour, 3 s each."""


class RadioHealth:
    """Follows what became of the frames, and whether anybody answers them."""

    def __init__(self) -> None:
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._quiet_since_s = inf
        self._unanswered = 0
        self._rebuild_after_s = REBUILD_AFTER_S

    def came_up(self, at_s: float) -> None:
        """A coordinator has started."""
        self._outcomes.clear()
        self._quiet_since_s, self._unanswered = at_s, 0

    def went_down(self) -> None:
        """Without a coordinator nothing can be said."""
        self._outcomes.clear()
        self._quiet_since_s, self._unanswered = inf, 0

    def frame(self, at_s: float, *, accepted: bool) -> None:
        """The coordinator took a frame of setpoints, or refused it as busy."""
        self._outcomes.append((at_s, accepted))
        self._unanswered += accepted

    def report(self, at_s: float) -> None:
        """A slave was heard, beyond doubt and just now."""
        self._quiet_since_s, self._unanswered = at_s, 0
        self._rebuild_after_s = REBUILD_AFTER_S

    def causes(self, at_s: float) -> tuple[Cause, ...]:
        """Causes of `safety.faults` that hold now."""
        while self._outcomes and at_s - self._outcomes[0][0] > AIRTIME_WINDOW_S:
            self._outcomes.popleft()
        refused = sum(not accepted for _, accepted in self._outcomes)
        flags = {
            Cause.AIRTIME_LOST: refused >= max(REFUSED_MIN, len(self._outcomes) - refused),
            Cause.SLAVES_SILENT: self._is_silent(at_s, SILENT_AFTER_S),
        }
        return tuple(name for name, is_raised in flags.items() if is_raised)

    def rebuild_due(self, at_s: float) -> bool:
        """Whether a fresh start of the coordinator is worth a try; the wait for the next one doubles then."""
        if not self._is_silent(at_s, self._rebuild_after_s):
            return False
        self._rebuild_after_s = min(2.0 * self._rebuild_after_s, REBUILD_PAUSE_MAX_S)
        return True

    def _is_silent(self, at_s: float, after_s: float) -> bool:
        return self._unanswered >= SENT_MIN and at_s - self._quiet_since_s > after_s
