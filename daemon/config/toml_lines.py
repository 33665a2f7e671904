"""Where a key stands in a TOML file. `tomllib` keeps no positions."""

import re
from collections.abc import Iterator

Location = tuple[str | int, ...]
"""Keys and list indices that lead to a value."""

_TABLE_ARRAY = re.compile(r"\[\[\s*(.+?)\s*\]\]")
_TABLE = re.compile(r"\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(
    r"""((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r""""[^"]*"|'[^']*'|[^.\s]+""")
_MULTILINE = ('"""', "'''")


class LineIndex:
    """Where every table and key of a text stands. Made once for all questions about it."""

    def __init__(self, text: str) -> None:
        self._places = tuple(_places(text))

    def line_of(self, location: Location) -> int:
        """The line (from 1) of the deepest table or key that leads to `location`; 1 when nothing does.

        Keys inside an inline table and elements of a list resolve to the line on which it starts.
        """
        wanted = tuple(map(str, location))
        depth, best = 0, 1
        for number, here in self._places:
            shared = _shared(here, wanted)
            # a table's own line also serves for a key that is missing inside it
            if shared > depth and (shared == len(here) or shared == len(wanted)):
                depth, best = shared, number
        return best


def line_of(text: str, location: Location) -> int:
    """The line of one location; see `LineIndex`."""
    return LineIndex(text).line_of(location)


def _places(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and full path of every table and key."""
    table: tuple[str, ...] = ()
    seen: dict[tuple[str, ...], int] = {}
    for number, line in _logical_lines(text):
        if match := _TABLE_ARRAY.match(line):
            name = _parts(match[1], seen)
            seen[name] = seen.get(name, -1) + 1
            table = (*name, str(seen[name]))
            yield number, table
        elif match := _TABLE.match(line):
            table = _parts(match[1], seen)
            yield number, table
        elif match := _KEY.match(line):
            yield number, (*table, *_split(match[1]))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside of multi-line strings, with their numbers."""
    inside: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if inside is None:
            yield number, line.strip()
            opened = [quote for quote in _MULTILINE if line.count(quote) % 2]
            inside = opened[0] if opened else None
        elif inside in line:
            inside = None


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _parts(dotted: str, seen: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    """Keys of a table's name; inside an array of tables, with the index of its newest element."""
    path: tuple[str, ...] = ()
    parts = _split(dotted)
    for part in parts[:-1]:
        path = (*path, part)
        if path in seen:
            path = (*path, str(seen[path]))
    return (*path, parts[-1]) if parts else ()


def _shared(here: tuple[str, ...], wanted: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(here, wanted, strict=False):
        if one != other:
            break
        count += 1
    return count
