"""The clairvoyant bound: the least J of a controller that knows the future, that of the radio included.

A linear program. It knows the surplus of every second to come, which frame reaches which slave when, and
every slave's gain and lag; it commands every second. Relaxed against the real site, which only lowers J: no
reading errors, no limit on imbalance, no ramp of the slaves, no rounding, and the limit on steps (1000 W per
second since the last frame, in the norm over the phases) is kept phase by phase, and for the sum where that
is billed. Airtime is left out: every second's frame flies, where the product sends at most every other. (A
frame that airtime held back could, by chance, have left a lossy slave on an older and better command; that is
the one way around this bound, and is ignored.)
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from core.limits import CREDIT_MAX_S, STEP_CAP_W_PER_S
from core.metering import AVOIDABLE_WEIGHT
from plant.radio.link import LOST

KILO = 1000.0
"""The program is written in kW, which keeps the solver well scaled."""
STEPS_S = (1, 2, 3)
"""Spans over which the step limit is written; over longer ones a phase is bounded by its capacity."""
NEVER_S = 10_000
WAYS = (("highs-ds", True), ("highs-ipm", True), ("highs-ds", False))
"""Methods of the solver, with and without presolving; now and then one of them gives up."""
PATIENCE_S = 20.0
"""For one method: most windows are solved within 2 s, a rare one keeps a method busy for minutes."""

Floats = NDArray[np.float64]


class BoundError(RuntimeError):
    """The solver found no optimum; the message is its own."""


@dataclass(frozen=True)
class Plant:
    """What a controller of some phases faces, for T seconds from rest. Phases that are billed one by one are
    plants of their own; phases that are billed together are one.

    Args:
        surplus_w: to place, [T, phases].
        ages: of the frame that each slave follows, [T, slaves] in s; more than T where it follows none.
        phase: of each slave, [slaves].
        gain, share: of each slave; share of the way to its target in a second.
        capacity_w: of each phase.
    """

    surplus_w: Floats
    ages: NDArray[np.int64]
    phase: NDArray[np.int64]
    gain: Floats
    share: Floats
    capacity_w: Floats


@dataclass(frozen=True)
class Optimum:
    """The best course: [T] in W each, as billed; `action_w` is [T, phases]."""

    export_w: Floats
    avoidable_w: Floats
    action_w: Floats


class _Columns:
    """Places of the variables: actions [T, phases], slaves' powers [T, slaves], export [T], import [T]."""

    def __init__(self, seconds: int, phases: int, slaves: int) -> None:
        sizes = np.cumsum([0, seconds * phases, seconds * slaves, seconds, seconds])
        (a, b), (_, c), (_, d), (_, self.count) = pairwise(sizes.tolist())
        self.action = np.arange(a, b).reshape(seconds, phases)
        self.power = np.arange(b, c).reshape(seconds, slaves)
        self.export, self.avoidable = np.arange(c, d), np.arange(d, self.count)


class _SparseRows:
    """Rows of a sparse matrix with their right sides."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]] = []
        self._right: list[Floats] = []
        self._count = 0

    def add(self, right: Floats, *terms: tuple[NDArray[np.int64], Floats | float]) -> None:
        """One row for each value of `right`; a term is columns ([rows] or [rows, k], -1 none) and factors."""
        rows = self._count + np.arange(len(right))
        for columns, factors in terms:
            table = columns.reshape(len(right), -1)
            values = np.broadcast_to(np.asarray(factors, float), table.shape)
            there = table >= 0
            self._parts.append(
                (np.broadcast_to(rows[:, None], table.shape)[there], table[there], values[there])
            )
        self._right.append(right)
        self._count += len(right)

    def matrix(self, columns: int) -> tuple[csr_array, Floats]:
        """The matrix and the right side."""
        rows, places, values = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        table = coo_array((values, (rows, places)), shape=(self._count, columns))
        return table.tocsr(), np.concatenate(self._right)


def followed_ages(delays: NDArray[np.int8]) -> NDArray[np.int64]:
    """Age of the newest frame that has arrived where one is sent every second; `NEVER_S` for none.

    Args:
        delays: as of `plant.radio.link`, [T, slaves]; the ages come in the same shape.
    """
    seconds = len(delays)
    newest = np.full((seconds, delays.shape[1]), -NEVER_S, np.int64)
    for sent in range(seconds):
        arrival = np.where(delays[sent] == LOST, seconds, sent + delays[sent].astype(np.int64))
        (slaves,) = np.nonzero(arrival < seconds)
        newest[arrival[slaves], slaves] = np.maximum(newest[arrival[slaves], slaves], sent)
    newest = np.maximum.accumulate(newest, axis=0)
    return np.where(newest < 0, NEVER_S, np.arange(seconds)[:, None] - newest)


def best(plant: Plant, settle_s: int = 0) -> Optimum:
    """Solve the program; the first `settle_s` seconds cost nothing.

    Raises:
        BoundError: the solver found no optimum.
    """
    seconds, phases = plant.surplus_w.shape
    columns = _Columns(seconds, phases, len(plant.phase))
    equal, upper = _SparseRows(), _SparseRows()
    _follow(plant, columns, equal)
    _bill(plant, columns, upper)
    for phase in range(phases):
        _limit_steps(columns.action[:, phase, None], STEP_CAP_W_PER_S, upper)
    if phases > 1:  # the norm over the phases bounds their sum by its square root of the phases
        _limit_steps(columns.action, STEP_CAP_W_PER_S * phases**0.5, upper)
    cost, top = np.zeros(columns.count), np.full(columns.count, np.inf)
    cost[columns.export[settle_s:]] = 1.0
    cost[columns.avoidable[settle_s:]] = AVOIDABLE_WEIGHT
    top[columns.action] = plant.capacity_w / KILO
    a_eq, b_eq = equal.matrix(columns.count)
    a_ub, b_ub = upper.matrix(columns.count)
    bounds = np.column_stack([np.zeros(columns.count), top])
    course = KILO * _solved(cost, a_ub, b_ub, a_eq, b_eq, bounds)
    return Optimum(course[columns.export], course[columns.avoidable], course[columns.action])


def _solved(*program: Any) -> Floats:
    """The optimum; other ways are tried where the first one ends without a proof that it is one."""
    message = ""
    for method, presolve in WAYS:
        options = {"presolve": presolve, "time_limit": PATIENCE_S}
        found: Any = linprog(*program, method, options=options)  # type: ignore[call-overload]
        if found.status == 0:
            return np.asarray(found.x)
        message = found.message
    raise BoundError(message)


def _follow(plant: Plant, columns: _Columns, equal: _SparseRows) -> None:
    """power = (1 - share) power before + share gain action then / slaves of the phase; from rest."""
    seconds = np.arange(len(plant.surplus_w))
    for slave, phase in enumerate(plant.phase.tolist()):
        power, then = columns.power[:, slave], seconds - plant.ages[:, slave]
        before = np.concatenate([[-1], power[:-1]])
        heard = np.where(then >= 0, columns.action[np.maximum(then, 0), phase], -1)
        share = float(plant.share[slave])
        reach = share * float(plant.gain[slave]) / int((plant.phase == phase).sum())
        equal.add(np.zeros(len(seconds)), (power, 1.0), (before, share - 1.0), (heard, -reach))


def _bill(plant: Plant, columns: _Columns, upper: _SparseRows) -> None:
    """export >= surplus - power; avoidable import >= power - positive surplus."""
    surplus = plant.surplus_w.sum(1) / KILO
    upper.add(-surplus, (columns.power, -1.0), (columns.export, -1.0))
    upper.add(np.maximum(surplus, 0.0), (columns.power, 1.0), (columns.avoidable, -1.0))


def _limit_steps(action: NDArray[np.int64], step_w: float, upper: _SparseRows) -> None:
    """Moves of a sum of actions: the credit of the first frame, then the step of every second."""
    seconds = len(action)
    for span_s in STEPS_S:
        reach = np.full(seconds, step_w * (span_s - 1 + CREDIT_MAX_S) / KILO)
        before = np.full_like(action, -1)
        before[span_s:] = action[:-span_s] if span_s < seconds else action[:0]
        for way in (1.0, -1.0):
            upper.add(reach, (action, way), (before, -way))
