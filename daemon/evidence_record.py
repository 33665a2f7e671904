"""The judge's evidence as JSON: everything but the turns of the last minute."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from safety.judge import Evidence

_ADAPTER = TypeAdapter(Evidence)
_TURNS = {"own_turns", "twin_turns"}


def to_record(evidence: Evidence) -> dict[str, Any]:
    """Plain JSON values."""
    record: dict[str, Any] = _ADAPTER.dump_python(evidence, mode="json", exclude=_TURNS)
    return record


def from_record(record: Any) -> Evidence | None:
    """The inverse; None for anything that `to_record` does not make."""
    try:
        json.dumps(record, allow_nan=False)
        return _ADAPTER.validate_python(record)
    except (TypeError, ValueError, ValidationError):
        return None
