"""What several messages can come to, whichever of them get through, in whatever order, and when.

Each delivery group follows something between the least and the most that it was told; a message moves it
from there to what the message says, or does not. So the totals of the site stay in a box: on each phase
between the sum of the least and the sum of the most that the groups can be at. Every limit holds on a convex
set, and a box lies in a convex set if its eight corners do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from core.site import Phases, Site, per_phase
from core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Reachable:
    """Where the totals can be from now until the next decision, and how far they can move.

    Per phase: `low_w` and `high_w` of the totals; `up_w` and `down_w` what the messages of this decision can
    move them; `pending_w` what earlier messages of unknown fate still can, to groups that are told nothing
    now. `is_known` is whether it is known what is on air before.
    """

    low_w: Phases
    high_w: Phases
    up_w: Phases
    down_w: Phases
    pending_w: Phases
    is_known: bool

    @property
    def moves(self) -> bool:
        """Whether any message changes, or may change, what its group follows."""
        return self.up_w != (0.0,) * 3 or self.down_w != (0.0,) * 3

    @property
    def width_w(self) -> Phases:
        """The most that the totals can move."""
        return per_phase([sum(moves) for moves in zip(self.up_w, self.down_w, self.pending_w, strict=True)])


def reachable(
    setpoints_w: tuple[int, ...], withheld: tuple[int, ...], snapshot: Snapshot, site: Site
) -> Reachable:
    """What telling every group but those withheld its part of these setpoints can come to."""
    low_w, high_w, up_w, down_w, pending_w = ([0.0] * 3 for _ in range(5))
    is_known = True
    for number, group in enumerate(snapshot.on_air.groups):
        told_w = [0.0] * 3
        for place in group.slaves:
            slave = site.slaves[place]
            for phase in slave.phases:
                told_w[phase] += setpoints_w[place] / len(slave.phases)
        for phase, (now_w, most_w) in enumerate(zip(told_w, group.high_w, strict=True)):
            least_w = 0.0 if group.may_rest else group.low_w[phase]
            is_known = is_known and least_w == most_w
            if number in withheld:
                pending_w[phase] += most_w - group.low_w[phase]  # resting alone is no move that counts
                low_w[phase] += least_w
                high_w[phase] += most_w
                continue
            up_w[phase] += max(0.0, now_w - least_w)
            down_w[phase] += max(0.0, most_w - now_w)
            low_w[phase] += min(least_w, now_w)
            high_w[phase] += max(most_w, now_w)
    return Reachable(
        per_phase(low_w),
        per_phase(high_w),
        per_phase(up_w),
        per_phase(down_w),
        per_phase(pending_w),
        is_known,
    )


def corners(low_w: Phases, high_w: Phases) -> Iterator[Phases]:
    """The eight corners of a box."""
    yield from product(*zip(low_w, high_w, strict=True))
