"""Replays a journal through the same `decide()` and compares every decision, to the last bit."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from core.decision import Decision
from core.tick import decide
from daemon.assembly import AnyMemory, AnyParts
from daemon.records import AnyRecord, Continuation, JournalError, PolicyChange, Start, Tick

_DECISION = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True)
class Compared:
    """One replayed tick: what the journal holds and what came out now."""

    tick: int
    recorded: Decision
    replayed: Decision

    @property
    def equal(self) -> bool:
        """Whether both are the same in every bit (compared as text, so that a NaN equals itself)."""
        return _DECISION.dump_json(self.recorded) == _DECISION.dump_json(self.replayed)

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Fields that differ: name to (recorded, replayed)."""
        one, other = _DECISION.dump_python(self.recorded), _DECISION.dump_python(self.replayed)
        return {name: (one[name], other[name]) for name in one if repr(one[name]) != repr(other[name])}


def replay(
    records: Iterable[AnyRecord],
    begin: Callable[[Start], tuple[AnyParts, AnyMemory]],
    change: Callable[[PolicyChange, AnyMemory], tuple[AnyParts, AnyMemory]],
) -> Iterator[Compared]:
    """Decide again what was decided then.

    Args:
        records: of a journal, in order. Ticks without everything before them (the start of their run has
            been removed with its first segment, lines were dropped while the disk was full) cannot be
            decided again and are left out, up to the next start.
        begin: parts and first memory for a start record.
        change: parts and memory after a change of policy, given the memory before.

    Raises:
        JournalError: ticks before any start.
    """
    parts: AnyParts | None = None
    memory: AnyMemory | None = None
    run: Start | None = None
    expected: int | None = None
    is_headless = False
    for record in records:
        if isinstance(record, Start):
            parts, memory = begin(record)
            run, expected, is_headless = record, None, False
        elif isinstance(record, Continuation):
            is_headless |= record.start != run
        elif isinstance(record, PolicyChange) and memory is not None and not is_headless:
            parts, memory = change(record, memory)
        elif isinstance(record, Tick) and not is_headless:
            if parts is None or memory is None:
                raise JournalError("the journal has no start before its first tick: give the whole directory")
            tick = record.snapshot.tick
            if expected is not None and tick != expected:
                is_headless = True
                continue
            expected = tick + 1
            decision, memory = decide(record.snapshot, record.authority, memory, parts)
            yield Compared(tick, record.decision, decision)
