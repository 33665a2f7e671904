"""Replays a journal through the same `decide()` and compares every decision, to the last bit."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from core.decision import Decision
from core.parts import Memory, Parts
from core.tick import decide
from daemon.journal.digest import digest
from daemon.journal.keys import FORMATS
from daemon.journal.memory_record import from_checkpoint
from daemon.journal.records import (
    AnyRecord,
    Checkpoint,
    Continuation,
    JournalError,
    Outcome,
    PolicyChange,
    Start,
    Tick,
    TickInputs,
)

_FORMAT = FORMATS[max(FORMATS)]


@dataclass(frozen=True, slots=True)
class Compared:
    """One replayed tick: what the journal holds and what came out now."""

    tick: int
    recorded: Tick | TickInputs
    replayed: Decision

    @property
    def equal(self) -> bool:
        """Whether both are the same in every bit; of a tick that is not told whole, by its digest."""
        recorded = self.recorded
        then = recorded.digest if isinstance(recorded, TickInputs) else digest(recorded.decision)
        return digest(self.replayed) == then

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Fields that differ: name to (recorded, replayed). Of a tick not told whole, those that it has."""
        recorded, replayed, told = self.recorded, self.replayed, dict[str, tuple[Any, Any]]()
        if isinstance(recorded, TickInputs):
            told["digest"] = recorded.digest, digest(replayed)
            one, other = _FORMAT.encode(recorded.outcome), _FORMAT.encode(Outcome.of(replayed))
        else:
            one, other = _FORMAT.encode(recorded.decision), _FORMAT.encode(replayed)
        return told | {name: (one[name], other[name]) for name in one if repr(one[name]) != repr(other[name])}


Begin = Callable[[Start], tuple[Parts, Memory]]
Change = Callable[[PolicyChange, Memory], tuple[Parts, Memory]]


@dataclass(slots=True)
class Replay:
    """Decides again what was decided then.

    Ticks without everything before them (the start of their run has been removed with its first segment,
    lines were dropped while the disk was full) cannot be decided again and are left out, up to the next
    start or the next memory in the journal.

    Args:
        begin: parts and first memory for a start record.
        change: parts and memory after a change of policy, given the memory before.
    """

    begin: Begin
    change: Change
    _run: Start | None = None
    _policy: PolicyChange | None = None
    _parts: Parts | None = None
    _memory: Memory | None = None
    _expected: int | None = None

    def compare(self, records: Iterable[AnyRecord]) -> Iterator[Compared]:
        """Every tick of a journal that can be decided again.

        Args:
            records: in order.

        Raises:
            JournalError: ticks before any start.
        """
        for record in records:
            if isinstance(record, Tick | TickInputs):
                compared = self._compared(record)
                if compared is not None:
                    yield compared
            elif isinstance(record, Start):
                self._run, self._policy, self._expected = record, None, None
                self._parts, self._memory = self.begin(record)
            elif isinstance(record, Continuation):
                if record.start != self._run:
                    self._parts = self._memory = None
                self._run, self._policy = record.start, record.policy
            elif isinstance(record, PolicyChange):
                self._policy = record
                if self._memory is not None:
                    self._parts, self._memory = self.change(record, self._memory)
            elif isinstance(record, Checkpoint) and self._run is not None:
                self._go_on(record, self._run)

    def _go_on(self, checkpoint: Checkpoint, run: Start) -> None:
        """Begin in the middle of a run, or go on in it whatever is missing before."""
        self._expected = None
        if self._parts is not None and self._memory is not None:
            self._memory = from_checkpoint(checkpoint, self._memory)
            return
        parts, cold = self.begin(run)
        if self._policy is not None:
            parts, cold = self.change(self._policy, cold)
        self._parts, self._memory = parts, from_checkpoint(checkpoint, cold)

    def _compared(self, record: Tick | TickInputs) -> Compared | None:
        if self._run is None:
            raise JournalError("the journal has no start before its first tick: give the whole directory")
        tick = record.snapshot.tick
        if self._expected not in (None, tick):
            self._memory = None
        if self._parts is None or self._memory is None:
            return None
        self._expected = tick + 1
        decision, self._memory = decide(record.snapshot, record.authority, self._memory, self._parts)
        return Compared(tick, record, decision)
