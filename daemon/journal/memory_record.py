"""The controller's memory as plain JSON values, by position: it holds no name, so names can change.

A memory is read by the release that wrote it, or by one whose memory has the same shape.
"""

import zlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from core.parts import Memory
from daemon.journal.records import Checkpoint

PARTS = tuple(one.name for one in fields(Memory))
"""Of a memory, in the order in which they are written."""


def to_checkpoint(memory: Memory) -> Checkpoint:
    """The memory as it stands in the journal."""
    parts = [getattr(memory, name) for name in PARTS]
    return Checkpoint(shapes=tuple(map(_shape_of, parts)), values=_positions(parts))


def from_checkpoint(checkpoint: Checkpoint, cold: Memory, names: Sequence[str] = PARTS) -> Memory | None:
    """The memory, or None when a part of it has another shape.

    Args:
        cold: that of the controller before its first tick.
        names: the parts that are wanted; the others stay cold.
    """
    found = {}
    for name, shape, value in zip(PARTS, checkpoint.shapes, checkpoint.values, strict=False):
        if name in names:
            kind = type(getattr(cold, name))
            if shape != _shape_of(getattr(cold, name)):
                return None
            try:
                found[name] = _value(kind, value)
            except (TypeError, ValueError, IndexError):
                return None
    return replace(cold, **found) if len(found) == len(names) else None


def _shape_of(part: Any) -> str:
    return f"{zlib.crc32(repr(_shape(type(part))).encode()):08x}"


def _shape(kind: Any) -> Any:
    """Nested lists of the types of plain values."""
    if _is_record(kind):
        return [_shape(hint) for hint in _hints(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return len(kind)
    inner = get_args(kind)
    return [_shape(one) for one in inner] if inner else getattr(kind, "__name__", str(kind))


def _positions(value: Any) -> Any:
    if is_dataclass(value):
        return [_positions(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, tuple | list):
        return [_positions(one) for one in value]
    if not isinstance(value, Enum):
        return value
    return str(value) if isinstance(value, str) else list(type(value)).index(value)


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    kind = _present(kind)
    if _is_record(kind):
        hints = _hints(kind)
        return kind(*(_value(hint, one) for hint, one in zip(hints, value, strict=True)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[value]
    if isinstance(value, list):
        return tuple(_value(hint, one) for hint, one in zip(_of_items(kind, len(value)), value, strict=True))
    return value


def _present(kind: Any) -> Any:
    """The other type of one that may be None."""
    inner = [one for one in get_args(kind) if one is not NoneType]
    return inner[0] if get_origin(kind) in (Union, UnionType) and len(inner) == 1 else kind


def _of_items(kind: Any, length: int) -> list[Any]:
    """Types of the items of a tuple; of one that is not known, plain values."""
    inner = get_args(kind)
    if not inner:
        return [Any] * length
    return [inner[0]] * length if inner[-1] is Ellipsis else list(inner)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_fields"))


def _hints(kind: Any) -> list[Any]:
    hints = get_type_hints(kind)
    names = kind._fields if hasattr(kind, "_fields") else [one.name for one in fields(kind)]
    return [hints[name] for name in names]
