"""Whether somebody else speaks on the meter's serial line."""

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 60.0
MOST = 3
"""One in twenty reads of a tick of a second."""


@dataclass(slots=True)
class BusWatch:
    """Follows how often bytes came that nobody had asked for; an RTU line has one master, and slaves that are
    silent until they are asked."""

    is_disturbed: bool = False
    _seen_total: int = 0
    _came_at_s: deque[float] = field(default_factory=deque)

    def update(self, at_s: float, unasked_total: int) -> bool:
        """Take in a tick; whether the line is disturbed now and was not before.

        Args:
            unasked_total: since the start, as the meter counts it.
        """
        if unasked_total > self._seen_total:
            self._came_at_s.append(at_s)
        self._seen_total = unasked_total
        while self._came_at_s and at_s - self._came_at_s[0] > WINDOW_S:
            self._came_at_s.popleft()
        was_disturbed, self.is_disturbed = self.is_disturbed, len(self._came_at_s) > MOST
        return self.is_disturbed and not was_disturbed
