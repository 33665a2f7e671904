"""Which settings are searched, between which values, and the draws. Nothing here knows Ray or torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import exp, isfinite, log
from typing import Any, TypeAlias

import numpy as np

Settings: TypeAlias = dict[str, float | int]


class SpaceError(ValueError):
    """A range that cannot be searched; the message says why."""


@dataclass(frozen=True)
class Interval:
    """Anything from `low` to `high`; evenly in the logarithm where `is_log`."""

    low: float
    high: float
    is_log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """One value, to four digits, so that what is told is what was tried."""
        if self.is_log:
            return float(f"{exp(rng.uniform(log(self.low), log(self.high))):.4g}")
        return float(f"{rng.uniform(self.low, self.high):.4g}")


@dataclass(frozen=True)
class Categorical:
    """One of these."""

    values: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> float:
        """One of them, all equally likely."""
        return self.values[int(rng.integers(len(self.values)))]


Range: TypeAlias = Interval | Categorical

SPACES: Mapping[str, Mapping[str, Range]] = {
    "replay": {"learning_rate": Interval(3e-4, 5e-3, is_log=True), "stretch_s": Categorical((30, 60, 120))},
    "td3bc": {"value_weight": Interval(0.05, 2.5, is_log=True), "lr": Interval(1e-4, 1e-3, is_log=True)},
    "iql": {"inverse_temperature": Interval(0.3, 3.0, is_log=True), "expectile": Interval(0.6, 0.9)},
    "cql": {"cql_weight": Interval(0.1, 5.0, is_log=True), "lr": Interval(1e-4, 1e-3, is_log=True)},
    "bc": {"lr": Interval(2e-4, 5e-3, is_log=True)},
}
"""What is searched of each learner when nothing else is said; around the values that it has by default."""


def parsed(words: str, settings: type[Any]) -> tuple[str, Range]:
    """A range as it is written: `NAME=LOW:HIGH`, `NAME=LOW:HIGH:log` or `NAME=A,B,C`.

    Args:
        words: the range.
        settings: dataclass of the learner's settings, which must have the name.

    Raises:
        SpaceError: no such setting, or no such range.
    """
    name, is_there, text = words.partition("=")
    numbers = {field.name: field.type for field in fields(settings) if field.type in (int, float)}
    if name not in numbers:
        raise SpaceError(f"{words}: no setting {name!r}; there are {', '.join(numbers)}")
    is_log = text.endswith(":log")
    parts = text.removesuffix(":log").split(":" if ":" in text else ",")
    try:
        values = tuple(numbers[name](part) for part in parts)
    except ValueError:
        kind = "whole numbers" if numbers[name] is int else "numbers"
        raise SpaceError(f"{words}: {name} takes {kind}, as LOW:HIGH, LOW:HIGH:log or A,B,C") from None
    if not (is_there and all(map(isfinite, values))):
        raise SpaceError(f"{words}: not LOW:HIGH, LOW:HIGH:log or A,B,C")
    if ":" not in text:
        return name, Categorical(values)
    low, high = (*values, values[0])[:2]
    if not (len(values) == 2 and low < high and (low > 0.0 or not is_log)):
        raise SpaceError(
            f"{words}: a range is LOW:HIGH with LOW below HIGH, and above 0 where it ends in :log"
        )
    if numbers[name] is int:
        raise SpaceError(f"{words}: {name} takes whole numbers; name them: {name}={low},{high}")
    return name, Interval(low, high, is_log)


def draws(space: Mapping[str, Range], count: int, seed: int) -> list[Settings]:
    """So many settings; the first of them are the same whatever the count."""
    return [
        {
            name: span.draw(np.random.default_rng([seed, number, place]))
            for place, (name, span) in enumerate(space.items())
        }
        for number in range(count)
    ]


def shown(settings: Mapping[str, float]) -> str:
    """In one line."""
    return "  ".join(f"{name} {value:g}" for name, value in settings.items())


def as_given(words: Sequence[str], learner: str, settings: type[Any]) -> dict[str, Range]:
    """The space of a learner, or what the command line says instead."""
    given = dict(parsed(word, settings) for word in words)
    return given or dict(SPACES[learner])
