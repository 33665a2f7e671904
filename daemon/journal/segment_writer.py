"""What the lines of one segment are: which ticks are told whole, and when the memory is."""

import json

from core.decision import SupervisorDecision
from core.parts import Memory
from daemon.journal.compact_ticks import TickWriter
from daemon.journal.digest import digest
from daemon.journal.format import VERSION, inputs_tree, to_line
from daemon.journal.keys import FORMATS, KIND
from daemon.journal.memory_record import to_checkpoint
from daemon.journal.records import AnyRecord, Segment, Start, Tick, TickInputs, checked

WHOLE_EVERY_S = 60.0
"""What a journal tells to a reader that cannot compute the rest again."""
MEMORY_EVERY_S = 900.0
"""After lines were lost, so much at most cannot be decided again."""


class SegmentWriter:
    """Makes the lines of one file, in order. Begins anew with every file."""

    def __init__(self) -> None:
        self._ticks = TickWriter()
        self._verdict: SupervisorDecision | None = None
        self._whole_at_s = self._memory_at_s = float("-inf")
        self._is_begun = False
        self._tick: int | None = None

    def lines(self, record: AnyRecord, before: Memory | None = None) -> bytes:
        """The lines of a record.

        Args:
            before: the memory with which a tick was decided.
        """
        first = b"" if self._is_begun else to_line(Segment(version=VERSION))
        self._is_begun = True
        if isinstance(record, Tick):
            return first + self._of_tick(record, before)
        self._whole_at_s = float("-inf")  # after anything else, a tick is told whole
        if isinstance(record, Start):
            self._memory_at_s, self._tick = float("inf"), None  # the first tick begins cold
        return first + to_line(record)

    def _of_tick(self, tick: Tick, before: Memory | None) -> bytes:
        at_s, verdict = tick.snapshot.at_s, tick.decision.verdict
        lines = b""
        if self._tick is not None and tick.snapshot.tick != self._tick + 1:  # ticks before it were dropped
            self._whole_at_s = self._memory_at_s = float("-inf")
        self._tick = tick.snapshot.tick
        if self._memory_at_s == float("inf"):
            self._memory_at_s = at_s
        elif before is not None and not 0.0 <= at_s - self._memory_at_s < MEMORY_EVERY_S:
            self._memory_at_s = at_s
            lines = to_line(to_checkpoint(before))
        is_quiet = 0.0 <= at_s - self._whole_at_s < WHOLE_EVERY_S and verdict == self._verdict
        self._verdict = verdict
        if is_quiet:
            tree = FORMATS[VERSION].encode(TickInputs.of(tick, digest(tick.decision)))
            told = {KIND: tree[KIND], **self._ticks.difference(tree)}
            return lines + checked(json.dumps(told, separators=(",", ":")).encode())
        self._whole_at_s = at_s
        self._ticks.whole(inputs_tree(tick))
        return lines + to_line(tick)
