"""How much of the way from the PI to the clairvoyant bound a policy goes, on a sample of windows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from core.metering import AVOIDABLE_WEIGHT
from core.site import Metering
from daemon.simulation.simulate import SETTLE_S
from safety.pi import PiGains
from training.batched.day_runs import DayBatch, DayScenario, beyond_ws, lit_hours, rows_of, run
from training.batched.laws import pi_law
from training.batched.simulator import Policy
from training.contest.bootstrap import UNKNOWN, Change, change_of, draws_of
from training.contest.results import PI
from training.data.days import Day
from training.evaluation.bound import BoundError, Plant, best, followed_ages

WINDOW_S = 600
"""Counted seconds of a window; a minute to settle before it is lived and solved too, and costs nothing."""
SEED = 0

Floats = NDArray[np.float64]
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class BoundGap:
    """Sums over the windows of one billing in Wh, and the share of the gap that each controller closes.

    A share of 1 is the bound itself, 0 the PI, below 0 worse than the PI; intervals as in `Change`.
    """

    metering: str
    windows: int
    bound_j_wh: float
    j_wh: dict[str, float]
    shares: dict[str, Change]
    least_excess_wh: float
    """Smallest J of a controller in a window minus the bound there: above 0 where the bound is one."""


def measure_gaps(
    days: Sequence[Day],
    policies: Mapping[str, Policy],
    gains: PiGains,
    windows: int,
    budget_s: float = float("inf"),
    tell: Tell = lambda done, of: None,
) -> list[BoundGap]:
    """Solve windows drawn over all days, and live them with every controller.

    Args:
        days: of the split.
        policies: beside the PI, by name.
        gains: of the PI.
        windows: how many at most.
        budget_s: no further window is begun after this time.
        tell: is told how many are solved.

    A window that the solver does not finish is left out.
    """
    drawn = drawn_windows(days, windows)
    heats: dict[Metering, list[DayScenario]] = {metering: [] for metering in Metering}
    bounds_wh: dict[Metering, list[float]] = {metering: [] for metering in Metering}
    began_s = monotonic()
    for done, (day, from_s) in enumerate(drawn):
        if monotonic() - began_s > budget_s:
            break
        mine = [DayScenario(day, from_s, metering, SEED, 0) for metering in Metering]
        tell(done + 1, len(drawn))
        try:
            found_wh = [bound_wh(heat, WINDOW_S) for heat in mine]
        except BoundError:
            continue
        for heat, least_wh in zip(mine, found_wh, strict=True):
            heats[heat.metering].append(heat)
            bounds_wh[heat.metering].append(least_wh)
    laws = {PI: pi_law(gains), **policies}
    return [
        _gap(heats[metering], np.array(bounds_wh[metering]), laws) for metering in Metering if heats[metering]
    ]


def drawn_windows(days: Sequence[Day], count: int) -> list[tuple[Day, int]]:
    """Begins of windows, at most `count`: a first of each day, then a second, each in a random lit hour."""
    rng = np.random.default_rng(SEED)
    orders = [rng.permutation(lit_hours(day)).tolist() for day in days]
    rounds = (
        (day, order[turn])
        for turn in range(max(map(len, orders), default=0))
        for day, order in zip(days, orders, strict=True)
        if turn < len(order)
    )
    return [window for window, _ in zip(rounds, range(count), strict=False)]


def bound_wh(heat: DayScenario, seconds: int) -> float:
    """The bound of J in a window, without what exceeds all slaves. Raises BoundError."""
    rows = rows_of([heat], seconds)
    cost_ws = 0.0
    for plant in plants_of(rows, 0):
        try:
            course = best(plant, SETTLE_S)
        except BoundError as error:
            raise BoundError(f"{heat.day.path.name} from {heat.from_s} s: {error}") from error
        cost_ws += float((course.export_w + AVOIDABLE_WEIGHT * course.avoidable_w)[SETTLE_S:].sum())
    return (cost_ws - float(beyond_ws(rows)[0])) / 3600.0


def plants_of(rows: DayBatch, row: int) -> list[Plant]:
    """What the bound's controller faces in a row: one plant, or one for each phase that is billed alone."""
    surplus_w = -rows.bare_w[1:, row].double().numpy()
    counts = rows.rig.slaves[row, :, 0].int().tolist()
    groups = [[0, 1, 2]] if bool(rows.rig.is_net[row]) else [[0], [1], [2]]
    plants = []
    for group in groups:
        places = [(phase, place) for phase in group for place in range(counts[phase])]
        phases, at = (np.array(column) for column in zip(*places, strict=True))
        plants.append(
            Plant(
                surplus_w[:, group],
                followed_ages(rows.delays[:, row].numpy()[:, phases, at]),
                phases - group[0],
                rows.rig.gain[row].double().numpy()[phases, at],
                rows.rig.share[row].double().numpy()[phases, at],
                rows.rig.capacity_w[row].double().numpy()[group],
            )
        )
    return plants


def _gap(heats: Sequence[DayScenario], bounds_wh: Floats, laws: Mapping[str, Policy]) -> BoundGap:
    rows = rows_of(heats, WINDOW_S)
    j_wh = {name: run(rows, law).j_wh for name, law in laws.items()}
    draws = draws_of(heats)
    room_wh = j_wh[PI] - bounds_wh

    def share_of(mine_wh: Floats) -> Change:
        if not room_wh.sum() > 0.0:
            return Change(float("nan"), UNKNOWN, UNKNOWN)
        return change_of(lambda w: np.asarray(w @ (j_wh[PI] - mine_wh) / (w @ room_wh)), draws)

    return BoundGap(
        heats[0].metering.value,
        len(heats),
        float(bounds_wh.sum()),
        {name: float(values.sum()) for name, values in j_wh.items()},
        {name: share_of(values) for name, values in j_wh.items()},
        min(float((values - bounds_wh).min()) for values in j_wh.values()),
    )
