"""Array namespaces: one formula for floats, numpy arrays and torch tensors.

Laws and physics are written for one *cell* (a phase, a slave) with the operators of Python and the
five functions of a `Namespace`. `SCALAR` serves plain floats in the daemon; the modules `numpy` and
`torch` are namespaces as they stand, so a batch of sites or a differentiable graph runs the same lines.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

Number: TypeAlias = Any
"""A float, or an array of them with one shape."""


class Namespace(Protocol):
    """The functions that operators do not cover. Bounds of `clip` are numbers or arrays."""

    def clip(self, x: Number, low: Number, high: Number, /) -> Number: ...
    def where(self, condition: Number, yes: Number, no: Number, /) -> Number: ...
    def exp(self, x: Number, /) -> Number: ...
    def log1p(self, x: Number, /) -> Number: ...
    def sqrt(self, x: Number, /) -> Number: ...


class Scalar:
    """The namespace of plain floats."""

    exp = staticmethod(math.exp)
    log1p = staticmethod(math.log1p)
    sqrt = staticmethod(math.sqrt)

    @staticmethod
    def clip(x: float, low: float, high: float) -> float:
        """Bound x; a NaN comes out as `low`, never as NaN."""
        return min(max(low, x), high)

    @staticmethod
    def where(condition: bool, yes: float, no: float) -> float:
        """Choose by one condition."""
        return yes if condition else no


SCALAR = Scalar()


def sum_in_order(values: Iterable[float]) -> float:
    """The sum, added from left to right: the same last bit under every Python.

    From 3.12 on the built-in `sum` corrects the rounding of floats: a journal of 3.11 would be decided with
    other last bits after an update of the system. Whole numbers may use `sum`.
    """
    total: float = 0
    for value in values:
        total = total + value
    return total
