"""Whether the policy says the same while what it should answer to changes."""

from dataclasses import dataclass

from core.site import Phases

STUCK_S = 600.0
SAME_W = 1.0
CHANGED_W = 500.0
"""Of what could be placed on a phase: several times the meter's noise and a policy's own deadband."""


@dataclass(slots=True)
class StuckPolicy:
    """Follows proposals, and what could be placed: the surplus, from nothing to what the slaves take.

    By night nothing can be placed and in full sun everything: there a sound policy says the same for hours.
    """

    is_stuck: bool = False
    _same_since_s: float = 0.0
    _said_w: Phases | None = None
    _least_w: Phases = (0.0, 0.0, 0.0)
    _most_w: Phases = (0.0, 0.0, 0.0)

    def update(self, at_s: float, proposed_w: Phases | None, surplus_w: Phases, capacity_w: Phases) -> bool:
        """Take in a tick; whether the policy is stuck now and was not before.

        Args:
            proposed_w: by the policy; None where it said nothing, which begins anew.
            surplus_w: estimated, per phase.
            capacity_w: what the slaves of each phase take.
        """
        a, b, c = (max(0.0, min(w, most_w)) for w, most_w in zip(surplus_w, capacity_w, strict=True))
        if proposed_w is None or self._said_w is None or _apart_w(proposed_w, self._said_w) > SAME_W:
            self._said_w, self._same_since_s, self.is_stuck = proposed_w, at_s, False
            self._least_w = self._most_w = (a, b, c)
            return False
        self._least_w = (min(self._least_w[0], a), min(self._least_w[1], b), min(self._least_w[2], c))
        self._most_w = (max(self._most_w[0], a), max(self._most_w[1], b), max(self._most_w[2], c))
        was_stuck = self.is_stuck
        has_changed = _apart_w(self._most_w, self._least_w) > CHANGED_W
        self.is_stuck = has_changed and at_s - self._same_since_s >= STUCK_S
        return self.is_stuck and not was_stuck


def _apart_w(one_w: Phases, other_w: Phases) -> float:
    """Largest difference of any phase."""
    return max(abs(x - y) for x, y in zip(one_w, other_w, strict=True))
