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
    """Where the totals can be from now until the next decision, and how they can have moved by then.

    Per phase: `low_w` and `high_w` of the totals; `raised_w` what the messages of this decision can raise
    them; `rise_w` and `fall_w` how far they can get from where they are now, with what earlier messages of
    unknown fate still do; `width_w` how far any two of their values are apart. `moves` is whether any message
    changes, or may change, what its group follows; `is_known` whether it is known what is on air now.
    """

    low_w: Phases
    high_w: Phases
    raised_w: Phases
    rise_w: Phases
    fall_w: Phases
    width_w: Phases
    moves: bool
    is_known: bool


def reachable(
    setpoints_w: tuple[int, ...], withheld: tuple[int, ...], snapshot: Snapshot, site: Site
) -> Reachable:
    """What telling every group but those withheld its part of these setpoints can come to."""
    low_w, high_w, raised_w, rise_w, fall_w, width_w = ([0.0] * 3 for _ in range(6))
    moves, is_known = False, True
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
                low_w[phase] += least_w
                high_w[phase] += most_w
                for total_w in (rise_w, fall_w, width_w):
                    total_w[phase] += most_w - group.low_w[phase]  # resting alone is no move that counts
                continue
            lowest_w, highest_w = min(least_w, now_w), max(most_w, now_w)
            low_w[phase] += lowest_w
            high_w[phase] += highest_w
            raised_w[phase] += max(0.0, now_w - least_w)
            rise_w[phase] += highest_w - least_w
            fall_w[phase] += most_w - lowest_w
            width_w[phase] += highest_w - lowest_w
            moves = moves or highest_w != lowest_w
    return Reachable(
        low_w=per_phase(low_w),
        high_w=per_phase(high_w),
        raised_w=per_phase(raised_w),
        rise_w=per_phase(rise_w),
        fall_w=per_phase(fall_w),
        width_w=per_phase(width_w),
        moves=moves,
        is_known=is_known,
    )


def corners(low_w: Phases, high_w: Phases) -> Iterator[Phases]:
    """The eight corners of a box."""
    yield from product(*zip(low_w, high_w, strict=True))
