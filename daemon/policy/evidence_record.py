"""The evidence of the policy comparison as JSON, without the reversals of the last minute."""

import json
from collections.abc import Iterator
from math import inf
from typing import Any

from daemon.monitoring.totals_format import EVIDENCE
from daemon.system.file_format import FormatError
from safety.policy_comparison import ComparisonState


def to_record(evidence: ComparisonState) -> dict[str, Any]:
    """Plain JSON values."""
    record: dict[str, Any] = EVIDENCE.encode(evidence)
    return record


ADDED = ("export_days", "j_days", "day")
"""Keys of a record that an older release did not write: its whole days begin anew, its spans go on."""


def from_record(record: Any) -> ComparisonState | None:
    """The inverse; None for anything that `to_record` does not make."""
    if isinstance(record, dict) and not any(key in record for key in ADDED):
        fresh = to_record(ComparisonState())
        record = {**record, **{key: fresh[key] for key in ADDED}}
    try:
        evidence: ComparisonState = EVIDENCE.decode(ComparisonState, record)
        is_whole = json.dumps(to_record(evidence), sort_keys=True) == json.dumps(record, sort_keys=True)
    except (FormatError, OverflowError):
        return None
    return evidence if is_whole and all(0.0 <= number < inf for number in _numbers(record)) else None


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)
    else:
        yield value
