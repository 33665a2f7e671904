"""What is wrong with a configuration, in words: where, why, and what to do about it."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S
from daemon.config.toml_lines import LineIndex, Location

SHOWN_CHARS = 60
TRANSPORTS = ("tcp", "rtu", "p1", "sml")
"""The types of [meter.transport]."""
_HARD_CAPS = {
    ("limits", "phase_max_w"): f"{PHASE_CAP_W:g} W",
    ("limits", "step_max_w_per_s"): f"{STEP_CAP_W_PER_S:g} W/s",
    ("limits", "imbalance_max_w"): f"{IMBALANCE_CAP_W:g} W",
}
_KINDS = {
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text in quotes",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
}
_DESCRIBED = ("range", "slave", "thermostat")
"""Kinds of errors in the description of a plant whose text says what to do."""
_COMPARISONS = {
    "greater_than": ("gt", "is too small", "Write a value above {}"),
    "greater_than_equal": ("ge", "is too small", "Write at least {}"),
    "less_than": ("lt", "is too large", "Write a value below {}"),
    "less_than_equal": ("le", "is too large", "Write at most {}"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a configuration is refused. `key` is dotted, empty when the whole file is meant."""

    path: Path
    line: int
    key: str
    reason: str
    advice: str
    column: int | None = None

    def __str__(self) -> str:
        place = (
            f"{self.path}:{self.line}" if self.column is None else f"{self.path}:{self.line}:{self.column}"
        )
        key = f"{self.key}: " if self.key else ""
        end = "" if self.advice.endswith("?") else "."
        return f"{place}: {key}{self.reason}. {self.advice}{end}"


def dotted(location: Location) -> str:
    """The key as a person would write it; control characters escaped."""
    return ".".join(str(part) if str(part).isprintable() else ascii(part) for part in location)


def problem_of(error: ErrorDetails, model: type[BaseModel], index: LineIndex, path: Path) -> Problem:
    """The problem behind one error of pydantic."""
    location = _without_tag(tuple(error["loc"]))
    reason, advice = _words(error, location, model)
    return Problem(path, index.line_of(location), dotted(location), reason, advice)


def _without_tag(location: Location) -> Location:
    """pydantic names the chosen member of a union in the location; the file has no such key."""
    if location[:2] == ("meter", "transport") and len(location) > 2 and location[2] in TRANSPORTS:
        return location[:2] + location[3:]
    return location


def _words(error: ErrorDetails, location: Location, model: type[BaseModel]) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    key = dotted(location[-1:])
    if kind == "extra_forbidden":
        return "unknown key", _nearest(tuple(error["loc"]), model)
    if kind == "missing":
        section = dotted(tuple(part for part in location[:-1] if isinstance(part, str)))
        return (
            "is missing",
            f"Add {key} to {_heading(section)}" if section else f"Add a section {_heading(key)}",
        )
    if kind == "union_tag_not_found":
        return 'has no "type"', "Add " + " or ".join(f'type = "{name}"' for name in TRANSPORTS)
    if kind == "union_tag_invalid":
        return f"type {_shown(context['tag'])} is not a choice", f"Choose {context['expected_tags']}"
    got = _shown(error["input"])
    if location in _HARD_CAPS and kind == "less_than_equal":
        cap = _HARD_CAPS[location]
        return (
            f"{got} is beyond the hard cap of {cap}",
            f"Write at most {cap}; a configuration can only tighten",
        )
    if kind in _COMPARISONS:
        bound, reason, advice = _COMPARISONS[kind]
        return f"{got} {reason}", advice.format(f"{context[bound]:g}")
    if kind in ("enum", "literal_error"):
        return f"{got} is not a choice", f"Choose {context['expected']}"
    if kind in _KINDS:
        return _wrong_kind(kind, location, got)
    return _other(error, got)


def _wrong_kind(kind: str, location: Location, got: str) -> tuple[str, str]:
    if location == ("slaves",):
        return f"is {got}, and each device has one of its own", "Write [[slaves]] with two brackets"
    if kind == "int_type" and str(location[-1]).endswith("_w"):
        return f"{got} is not a whole number", "Write whole watts"
    return f"{got} is not {_KINDS[kind]}", f"Write {_KINDS[kind]}"


def _heading(section: str) -> str:
    """How a section is written: slaves are an array of tables."""
    return "[[slaves]]" if section == "slaves" else f"[{section}]"


def _other(error: ErrorDetails, got: str) -> tuple[str, str]:
    kind, message = error["type"], error["msg"]
    if kind == "finite_number":
        return f"{got} is not a finite number", "Write a finite number"
    if kind in ("time_of_day", "time_zone", "printable", "loopback", "path", "public_key", *_DESCRIBED):
        reason, _, advice = message.partition(". ")
        return f"{got} {reason}", advice
    if kind == "too_long":
        context = error["ctx"]
        return f"are more than {context['max_length']}", f"Write at most {context['max_length']}"
    if kind == "string_too_short":
        return "is empty", "Write at least one character"
    return f"{got}: {message[:1].lower()}{message[1:]}", "Correct it"


def _shown(value: object) -> str:
    """A value for a message: escaped, and short."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = ascii(value) if not isinstance(value, str) else repr(value)
    except ValueError:  # an integer with thousands of digits
        text = "this number"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


def _nearest(location: Location, model: type[BaseModel]) -> str:
    known = _keys_beside(location, model)
    close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Remove it; known here are {', '.join(sorted(known))}"


def _keys_beside(location: Location, model: type[BaseModel]) -> list[str]:
    """The keys allowed in the table that holds `location`, which names members of unions."""
    models = [model]
    for part in location[:-1]:
        fields = [one.model_fields[str(part)] for one in models if str(part) in one.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
        elif isinstance(part, str):
            models = [one for one in models if part in get_args(one.model_fields["type"].annotation)]
    return [name for one in models for name in one.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple):
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    return []
