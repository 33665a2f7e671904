"""Ticks as differences: a line tells what is not as it was in the tick before, or not as foretold.

A clock goes on by itself, so an age is told as an instant: in whole microseconds before the tick, and not at
all while it is the same. A tick's number follows the last one, the wall clock keeps its distance from the
monotonic one. Watts that a 32-bit float holds exactly are told with the digits of one. Whatever does not come
out exactly so is told in full: a line always gives back every bit (docs/develop/journal.md).
"""

import struct
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

from daemon.journal.single_floats import single_meant, single_told

Tree: TypeAlias = dict[str, Any]
"""A tick as plain JSON values."""

AGES = frozenset(("age_s", "meter_age_s", "report_age_s", "still_s"))
SINGLE = frozenset(("grid_power_w", "policy_action_w", "power_w"))
"""Watts out of 32-bit registers or networks."""
PASSING: Tree = {
    "/frames_hex": [],
    "/accepted": None,
    "/outcome/setpoints_w": [],
    "/outcome/rules": [],
    "/outcome/withheld": [],
}
"""What is not told is this, and not what it was."""
_US = 1e6


class _Clocks:
    """What both ends know of the time: the last tick, and the instant behind every age."""

    def __init__(self) -> None:
        self.at_s, self.ahead_s, self.tick = 0.0, 0.0, -1
        self.instants_s: dict[str, float] = {}

    def learn(self, tree: Tree) -> None:
        """Of a tick that was told whole."""
        snapshot = tree["snapshot"]
        self.at_s, self.tick = snapshot["at_s"], snapshot["tick"]
        self.ahead_s = tree["unix_s"] - self.at_s
        self.instants_s.clear()
        self.learn_ages("", tree)

    def learn_ages(self, path: str, value: Any) -> None:
        """The instants behind the ages in something that was told whole."""
        for key, inner in _items(value):
            if key in AGES:
                self.instants_s[f"{path}/{key}"] = self.at_s - inner
            else:
                self.learn_ages(f"{path}/{key}", inner)


class TickWriter:
    """Writes what changes. Begins with a whole tick, and again after anything was lost."""

    def __init__(self) -> None:
        self._last: Tree | None = None
        self._clocks = _Clocks()

    @property
    def is_ready(self) -> bool:
        """Whether differences can be told."""
        return self._last is not None

    def whole(self, tree: Tree) -> None:
        """A tick that is told in full, outside of this class."""
        self._clocks.learn(tree)
        self._last = tree

    def difference(self, tree: Tree) -> Tree:
        """What `TickReader.next` needs to give this tick."""
        last, clocks = self._last, self._clocks
        assert last is not None
        snapshot, told = tree["snapshot"], dict[str, Any]()
        at_s: float = snapshot["at_s"]
        step_us = _whole_us(at_s - clocks.at_s)
        is_whole = step_us is not None and _moved(clocks.at_s, step_us) == at_s
        told["at"] = step_us if is_whole else at_s
        clocks.at_s = at_s
        if snapshot["tick"] != clocks.tick + 1:
            told["tick"] = snapshot["tick"]
        clocks.tick = snapshot["tick"]
        if round(at_s + clocks.ahead_s, 3) != tree["unix_s"]:
            told["unix_s"] = tree["unix_s"]
            clocks.ahead_s = tree["unix_s"] - at_s
        self._differences("", last, tree, told)
        self._last = tree
        return told

    def _differences(self, path: str, last: Tree, tree: Tree, told: Tree) -> None:
        for key, value in tree.items():
            place = f"{path}/{key}"
            if place in _BY_CLOCK:
                continue
            if key in AGES:
                self._age(place, key, value, told)
            elif place in PASSING:
                if value != PASSING[place]:
                    told[key] = value
            elif _is_alike(last[key], value):
                inner: Tree = {}
                self._differences(place, dict(_items(last[key])), dict(_items(value)), inner)
                if inner:
                    told[key] = inner
            elif repr(last[key]) != repr(value):
                told[key] = _shortened(key, value)
                self._clocks.learn_ages(place, value)

    def _age(self, place: str, key: str, age_s: float, told: Tree) -> None:
        clocks = self._clocks
        instant_s = clocks.instants_s.get(place)
        if instant_s is not None and clocks.at_s - instant_s == age_s:
            return
        us = _whole_us(age_s)
        if us is not None and clocks.at_s - _moved(clocks.at_s, -us) == age_s:
            told[key] = us
            clocks.instants_s[place] = _moved(clocks.at_s, -us)
        else:
            told[key] = age_s
            clocks.instants_s[place] = clocks.at_s - age_s


@dataclass(frozen=True, slots=True)
class _Layout:
    """The keys below a path: ages, what holds for one tick, what goes on item by item, and plain values."""

    ages: tuple[tuple[str, str], ...]
    passing: tuple[tuple[str, Any], ...]
    inner: tuple[tuple[str, str], ...]
    plain: frozenset[str]

    @classmethod
    def of(cls, path: str, tree: Tree) -> "_Layout":
        ages = {key: f"{path}/{key}" for key in tree if key in AGES}
        passing = {key: PASSING[f"{path}/{key}"] for key in tree if f"{path}/{key}" in PASSING}
        inner = {key: f"{path}/{key}" for key in tree if _is_object(tree[key])}
        for key in ages | passing:
            inner.pop(key, None)
        plain = frozenset(tree) - {*ages, *passing, *inner}
        return cls(tuple(ages.items()), tuple(passing.items()), tuple(inner.items()), plain)


class TickReader:
    """The inverse of `TickWriter`."""

    def __init__(self) -> None:
        self._last: Tree | None = None
        self._clocks = _Clocks()
        self._layouts: dict[str, _Layout] = {}
        """By path; forgotten as soon as any part of the tree takes another form."""

    def whole(self, tree: Tree) -> None:
        """A tick that was told in full."""
        self._clocks.learn(tree)
        self._last = tree
        self._layouts.clear()

    def lost(self) -> None:
        """A line is missing: until the next whole tick nothing can be told."""
        self._last = None

    def next(self, told: Tree) -> Tree:
        """The tick of a line.

        Raises:
            ValueError: no whole tick came before, or the line is no difference.
        """
        if self._last is None:
            raise ValueError("the whole tick that it builds on is missing")
        last, self._last = self._last, None
        try:
            clocks = self._clocks
            at = told["at"]
            clocks.at_s = _moved(clocks.at_s, at) if isinstance(at, int) else float(at)
            clocks.tick = told.get("tick", clocks.tick + 1)
            unix_s = told.get("unix_s")
            if unix_s is None:
                unix_s = round(clocks.at_s + clocks.ahead_s, 3)
            else:
                clocks.ahead_s = unix_s - clocks.at_s
            tree = self._applied("", last, told)
            tree["unix_s"] = unix_s
            tree["snapshot"] |= {"at_s": clocks.at_s, "tick": clocks.tick}
        except (KeyError, TypeError, AttributeError, struct.error, OverflowError) as error:
            raise ValueError(f"no difference of ticks ({error!r})") from None
        self._last = tree
        return tree

    def _applied(self, path: str, last: Tree, told: Tree) -> Tree:
        layout = self._layouts.get(path)
        if layout is None:
            layout = self._layouts[path] = _Layout.of(path, last)
        tree, clocks = last.copy(), self._clocks
        for key, place in layout.ages:
            age = told.get(key)
            tree[key] = clocks.at_s - clocks.instants_s[place] if age is None else self._age(place, age)
        for key, usual in layout.passing:
            tree[key] = told.get(key, usual)
        for key, place in layout.inner:
            inner = told.get(key, _NOTHING)
            if inner is not _NOTHING or place not in _STILL:  # else the very same object: nothing to decode
                tree[key] = self._inner(place, last[key], inner)
        for key in told:
            if key in layout.plain:
                tree[key] = value = _lengthened(key, told[key])
                if _is_object(value):
                    self._clocks.learn_ages(f"{path}/{key}", value)
                    self._layouts.clear()
        return tree

    def _inner(self, place: str, before: Any, told: Any) -> Any:
        """A part that goes on item by item, unless it was told as a whole."""
        if not isinstance(told, dict):
            self._clocks.learn_ages(place, told)
            self._layouts.clear()
            return told
        if isinstance(before, dict):
            return self._applied(place, before, told)
        return list(self._applied(place, dict(_items(before)), told).values())

    def _age(self, place: str, told: Any) -> float:
        clocks = self._clocks
        if isinstance(told, int):
            clocks.instants_s[place] = _moved(clocks.at_s, -told)
            return clocks.at_s - clocks.instants_s[place]
        clocks.instants_s[place] = clocks.at_s - told
        return float(told)


_NOTHING: Tree = {}
_STILL = frozenset(("/outcome/verdict", "/outcome/anomaly"))
"""Objects without ages in them."""
_BY_CLOCK = frozenset(("/unix_s", "/snapshot/at_s", "/snapshot/tick"))


def _items(value: Any) -> list[tuple[str, Any]]:
    """Keys and values of an object, places and items of a list of objects; of anything else none."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [(str(at), item) for at, item in enumerate(value)]
    return []


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) or _is_list_of_objects(value)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _is_alike(last: Any, value: Any) -> bool:
    """Whether they can be compared item by item."""
    if isinstance(value, dict):
        return isinstance(last, dict)
    return _is_list_of_objects(value) and _is_list_of_objects(last) and len(value) == len(last)


def _moved(at_s: float, us: int) -> float:
    """An instant in whole microseconds; never -0.0."""
    return round(at_s + us / _US, 6) + 0.0


def _whole_us(seconds: float) -> int | None:
    return round(seconds * _US) if isfinite(seconds) else None


def _shortened(key: str, value: Any) -> Any:
    if key in SINGLE:
        return [*map(single_told, value)] if isinstance(value, list) else single_told(value)
    return value


def _lengthened(key: str, told: Any) -> Any:
    if key in SINGLE:
        return [*map(single_meant, told)] if isinstance(told, list) else single_meant(told)
    return told
