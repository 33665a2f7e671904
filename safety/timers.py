"""What outlives the process: running fallbacks, latched causes, and how they are restored after a restart.

Times are seconds left on CLOCK_BOOTTIME. They are extended or run down, never shortened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.causes import Cause
from safety.faults import FAULTS, Clears, cause

VERSION = 1
REPEATED_WITHIN_S = 86400.0
"""Three fallbacks within this time stay until acknowledged (pattern: EREC G100 issue 2, state 3)."""
REPEATED = 3
NUMBER_MAX = 1e18
"""Of a record, in s; a larger whole number would not even become a float."""


@dataclass(frozen=True, slots=True)
class PersistentFaults:
    """Running fallbacks and latched causes, which outlive a restart.

    Seconds are those left as of `at_s` on CLOCK_BOOTTIME (None before the first tick). `left_s` names each
    running fallback; `recent_s` has one entry per violation not yet forgotten; `latched` are the causes that
    wait for an operator.
    """

    left_s: tuple[tuple[str, float], ...] = ()
    recent_s: tuple[float, ...] = ()
    latched: tuple[str, ...] = ()
    at_s: float | None = None


def advance(standing: PersistentFaults, at_s: float) -> PersistentFaults:
    """Let time pass up to `at_s`; an instant before the last one passes none and is forgotten."""
    if standing.at_s is None:
        return replace(standing, at_s=at_s)
    elapsed_s = at_s - standing.at_s
    return replace(_elapse(standing, elapsed_s), at_s=at_s) if elapsed_s > 0.0 else standing


def start(standing: PersistentFaults, name: str) -> PersistentFaults:
    """Run the least time of a cause, or what is left of it when that is more."""
    left_s = dict(standing.left_s)
    left_s[name] = max(left_s.get(name, 0.0), cause(name).least_s)
    return replace(standing, left_s=tuple(sorted(left_s.items())))


def start_violation(standing: PersistentFaults) -> PersistentFaults:
    """Start the fallback of a violation; the third within a day latches."""
    standing = start(standing, Cause.VIOLATION)
    recent_s = (*standing.recent_s, REPEATED_WITHIN_S)[-REPEATED:]
    standing = replace(standing, recent_s=recent_s)
    return latch(standing, (Cause.REPEATED_VIOLATIONS,)) if len(recent_s) == REPEATED else standing


def latch(standing: PersistentFaults, names: tuple[str, ...]) -> PersistentFaults:
    """Keep those of the causes that wait for an operator."""
    latching = {name for name in names if cause(name).clears is Clears.ACKNOWLEDGED}
    return replace(standing, latched=tuple(sorted(latching.union(standing.latched))))


def acknowledge(standing: PersistentFaults, names: tuple[str, ...]) -> PersistentFaults:
    """Drop latched causes that an operator has cleared. Times run on."""
    cleared = {*names}.intersection(standing.latched)
    recent_s = () if Cause.REPEATED_VIOLATIONS in cleared else standing.recent_s
    latched = tuple(name for name in standing.latched if name not in cleared)
    return replace(standing, latched=latched, recent_s=recent_s)


def save(standing: PersistentFaults, *, boot_id: str, unix_s: float, synced: bool) -> dict[str, Any]:
    """A record for the state file, in plain JSON values.

    Args:
        boot_id: identity of this boot, ``/proc/sys/kernel/random/boot_id``.
        unix_s: wall clock now.
        synced: whether the wall clock is synchronised.
    """
    return {
        "boot_id": boot_id,
        "unix_s": unix_s,
        "synced": synced,
        "standing": to_record(standing),
    }


def restore(
    record: Mapping[str, Any] | None, *, boot_id: str, boottime_s: float, unix_s: float, synced: bool
) -> PersistentFaults:
    """What still stands after a restart.

    Within one boot time runs on exactly. Across a boot, wall time counts only if the clock was
    synchronised when the record was saved and is now. A record that is missing or makes no sense costs one
    hour with the fallback (`state_lost`).

    Args:
        record: what `save` made, or None when there is none.
        boottime_s: CLOCK_BOOTTIME now.
    """
    try:
        if record is None or record.keys() != {"boot_id", "unix_s", "synced", "standing"}:
            raise ValueError("not what `save` makes")
        standing = from_record(record["standing"])
        saved_unix_s = number(record["unix_s"])
    except (TypeError, ValueError):
        return start(PersistentFaults(at_s=boottime_s), Cause.STATE_LOST)
    if record["boot_id"] == boot_id != "" and standing.at_s is not None and standing.at_s <= boottime_s:
        return advance(standing, boottime_s)
    credit_s = max(0.0, unix_s - saved_unix_s) if synced and record["synced"] is True else 0.0
    return replace(_elapse(standing, credit_s), at_s=boottime_s)


def to_record(standing: PersistentFaults) -> dict[str, Any]:
    """Plain JSON values of what stands."""
    return {
        "version": VERSION,
        "left_s": dict(standing.left_s),
        "recent_s": list(standing.recent_s),
        "latched": list(standing.latched),
        "at_s": standing.at_s,
    }


def from_record(record: Any) -> PersistentFaults:
    """The inverse of `to_record`.

    Raises:
        ValueError: not exactly what `to_record` makes.
    """
    if not isinstance(record, dict) or record.keys() != {"version", "left_s", "recent_s", "latched", "at_s"}:
        raise ValueError("not what stands")
    if record["version"] != VERSION:
        raise ValueError("another version")
    left_s, recent_s, latched = record["left_s"], record["recent_s"], record["latched"]
    if not (isinstance(left_s, dict) and isinstance(recent_s, list) and isinstance(latched, list)):
        raise ValueError("not what stands")
    if not all(name in FAULTS for name in (*left_s, *latched)) or len(recent_s) > REPEATED:
        raise ValueError("an unknown cause")
    return PersistentFaults(
        left_s=tuple(sorted((name, number(left)) for name, left in left_s.items())),
        recent_s=tuple(map(number, recent_s)),
        latched=tuple(sorted(latched)),
        at_s=None if record["at_s"] is None else number(record["at_s"]),
    )


def number(value: Any) -> float:
    """A finite number >= 0 of a record, as a float.

    Raises:
        ValueError: anything else, booleans included.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= NUMBER_MAX:
        raise ValueError(f"{value!r} is not a number >= 0")
    return float(value)


def _elapse(standing: PersistentFaults, elapsed_s: float) -> PersistentFaults:
    """Subtract time that was lived through."""
    left = ((name, left_s - elapsed_s) for name, left_s in standing.left_s)
    recent = (left_s - elapsed_s for left_s in standing.recent_s)
    return replace(
        standing,
        left_s=tuple((name, left_s) for name, left_s in left if left_s > 0.0),
        recent_s=tuple(left_s for left_s in recent if left_s > 0.0),
    )
