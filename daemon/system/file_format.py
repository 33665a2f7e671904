"""Names in files apart from names in code: how values are read from plain JSON values and written to them.

Classes, fields and members of enums may be renamed at any time; what a file calls them is fixed by the
tables of its version. A value is built by its class's type hints, so a file cannot bring anything else in.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Constant:
    """What a key always says in the file; no field in the code."""

    text: str


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the fields of a class: a property of it. A file that says otherwise is refused."""

    name: str


Keys: TypeAlias = Mapping[str, str | Constant | Derived]
"""From the key in the file to the field in the code."""
Texts: TypeAlias = Mapping[str, Enum]
"""From the text in the file to the member of an enum."""
Convert: TypeAlias = Callable[[Any], Any]


class FormatError(ValueError):
    """Not what a file of this version holds; the message names the place."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Both directions between a value and plain JSON values. Decoding raises FormatError.

    `plain` are the types of JSON values that decoding gives back as they are.
    """

    encode: Convert
    decode: Convert
    plain: frozenset[type] = frozenset()


class FileFormat:
    """One version of a file: the keys of every class in it, and the texts of every enum.

    A key that is absent leaves its field at the default; a key that the table does not name is an error.

    Args:
        classes: of each class, key by key, the field it is.
        enums: of each enum, text by text, the member it is.
    """

    def __init__(self, classes: Mapping[type, Keys], enums: Mapping[type[Enum], Texts]) -> None:
        self._classes, self._enums = classes, enums
        self._codecs: dict[Any, Codec] = {}

    def codec(self, kind: Any) -> Codec:
        """How values of a type are read and written: a class or an enum of the tables, or of plain values."""
        if kind not in self._codecs:
            self._codecs[kind] = self._made(kind)
        return self._codecs[kind]

    def encode(self, value: Any) -> Any:
        """Plain JSON values of an instance of a class of the tables."""
        return self.codec(type(value)).encode(value)

    def decode(self, kind: Any, value: Any) -> Any:
        """The inverse, for a class of the tables.

        Raises:
            FormatError: not what `encode` makes.
        """
        return self.codec(kind).decode(value)

    def _made(self, kind: Any) -> Codec:
        if kind in _PLAIN:
            return _PLAIN[kind]
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _of_enum(kind, self._enums[kind])
        if isinstance(kind, type) and is_dataclass(kind):
            return self._of_class(kind)
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType) and len(inner) == 2 and NoneType in inner:
            return _or_none(self.codec(next(one for one in inner if one is not NoneType)))
        if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
            return _of_any_length(self.codec(inner[0]))
        if origin is tuple:
            return _of_length([self.codec(one) for one in inner])
        if origin is dict:
            return Codec(dict, _checked(dict))
        raise TypeError(f"{kind} has no form in a file")

    def _of_class(self, kind: type) -> Codec:
        cells = _ClassCells(kind)
        # known before its fields are: a class may hold itself
        self._codecs[kind] = codec = Codec(cells.encode, cells.decode)
        hints, by_name = get_type_hints(kind), {one.name: one for one in fields(kind)}
        for key, name in self._classes[kind].items():
            if isinstance(name, Constant):
                cells.constant(key, name.text)
            elif isinstance(name, Derived):
                cells.derived(key, name.name, self.codec(_type_of(kind, name.name)))
            else:
                cells.add(key, by_name[name], self.codec(hints[name]))
        return codec


class _ClassCells:
    """The keys of one class."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.constants: dict[str, str] = {}
        self._cells: list[tuple[str, str, Convert]] = []
        self._readers: dict[str, tuple[str, Convert]] = {}
        self._needed: set[str] = set()
        self._derived: list[tuple[str, str]] = []
        self._plain: dict[str, frozenset[type]] = {}
        self._usual: tuple[str, ...] = ()
        self._names: list[str] = []
        self._count = 0
        self._value: Any = self
        self._made: Any = None

    def constant(self, key: str, text: str) -> None:
        self.constants[key] = text
        self._readers[key] = (key, _only(text))
        self._plain[key] = frozenset()

    def derived(self, key: str, name: str, codec: Codec) -> None:
        self._cells.append((key, name, codec.encode))
        self._readers[key] = (key, codec.decode)
        self._plain[key] = frozenset()
        self._derived.append((key, name))

    def add(self, key: str, one: Field[Any], codec: Codec) -> None:
        self._cells.append((key, one.name, codec.encode))
        self._readers[key] = (one.name, codec.decode)
        self._plain[key] = codec.plain
        self._usual, self._names = (*self._usual, key), [*self._names, one.name]
        self._count += 1
        if one.default is MISSING and one.default_factory is MISSING:
            self._needed.add(one.name)

    def encode(self, value: Any) -> dict[str, Any]:
        return self.constants | {key: encode(getattr(value, name)) for key, name, encode in self._cells}

    def decode(self, value: Any) -> Any:
        if value is self._value:  # a reader of differences gives the very same object where nothing changed
            return self._made
        made = self._as_written(value) or self._decoded(value)
        self._value, self._made = value, made
        return made

    def _as_written(self, value: Any) -> Any:
        """Of an object with just the keys that are written, in their order; None of any other."""
        if type(value) is not dict or tuple(value) != self._usual:
            return None
        cells = zip(self._plain.values(), self._readers.values(), value.values(), strict=True)
        try:
            made = [one if type(one) in plain else decode(one) for plain, (_, decode), one in cells]
        except FormatError:
            return None  # read key by key, it says which
        return self.kind(**dict(zip(self._names, made, strict=True)))

    def _decoded(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise FormatError("no object")
        readers, plain, made, key = self._readers, self._plain, {}, ""
        try:
            for key, one in value.items():
                name, decode = readers[key]
                made[name] = one if type(one) in plain[key] else decode(one)
        except KeyError:
            raise FormatError(f"{key}: unknown") from None
        except FormatError as error:
            raise FormatError(f"{key}.{error}") from None
        for name in self.constants:
            if made.pop(name, None) is None:
                raise FormatError(f"{name}: missing")
        told = [(key, name, made.pop(key)) for key, name in self._derived if key in made]
        if len(made) < self._count and not self._needed <= made.keys():
            raise FormatError(f"{min(self._needed - made.keys())}: missing")
        value = self.kind(**made)
        for key, name, one in told:
            if one != getattr(value, name):
                raise FormatError(f"{key}: does not follow from the rest")
        return value


def _type_of(kind: type, name: str) -> Any:
    """What a property gives."""
    return get_type_hints(getattr(kind, name).fget)["return"]


def _of_enum(kind: type[Enum], texts: Texts) -> Codec:
    by_member = {member: text for text, member in texts.items()}
    if set(by_member) != set(kind):
        raise TypeError(f"{kind} has members that this version does not name")

    def decode(value: Any) -> Enum:
        try:
            return texts[value]
        except (KeyError, TypeError):
            raise FormatError(f"{value!r} is unknown") from None

    return Codec(by_member.__getitem__, decode)


def _or_none(codec: Codec) -> Codec:
    return Codec(
        lambda value: None if value is None else codec.encode(value),
        lambda value: None if value is None else codec.decode(value),
        codec.plain | {NoneType},
    )


def _of_any_length(codec: Codec) -> Codec:
    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise FormatError("no list")
        return tuple(value) if codec.plain.issuperset(map(type, value)) else tuple(map(codec.decode, value))

    return Codec(lambda value: list(map(codec.encode, value)), decode)


def _of_length(codecs: list[Codec]) -> Codec:
    plain = frozenset.intersection(*(codec.plain for codec in codecs)) if codecs else frozenset()

    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(codecs):
            raise FormatError(f"no list of {len(codecs)}")
        if plain.issuperset(map(type, value)):
            return tuple(value)
        return tuple(codec.decode(one) for codec, one in zip(codecs, value, strict=True))

    return Codec(lambda value: [codec.encode(one) for codec, one in zip(codecs, value, strict=True)], decode)


def _only(text: str) -> Convert:
    def decode(value: Any) -> Any:
        if value != text:
            raise FormatError("of another kind")
        return text

    return decode


def _checked(kind: type) -> Convert:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise FormatError(f"{value!r} is no {kind.__name__}")
        return value

    return decode


def _float(value: Any) -> float:
    if type(value) not in (float, int):
        raise FormatError(f"{value!r} is no number")
    return float(value)


def _same(value: Any) -> Any:
    return value


_PLAIN: dict[Any, Codec] = {
    float: Codec(float, _float, frozenset((float,))),
    Any: Codec(_same, _same),
    str: Codec(str, _checked(str), frozenset((str,))),  # an enum of texts is written as the text
    **{kind: Codec(_same, _checked(kind), frozenset((kind,))) for kind in (int, bool)},
}
