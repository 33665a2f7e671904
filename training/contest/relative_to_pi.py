"""Changes against the PI in the same hours: of J, of the 10 s peak, of export at equal import.

Each is a statistic for `training.contest.bootstrap.change_of`: weights of the hours [r, hours] to relative
changes [r], NaN where there is nothing to compare with.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from training.batched.day_runs import ScenarioResult
from training.contest.bootstrap import Floats

MARGINS_W = (-40.0, -20.0, -10.0, 0.0, 10.0, 20.0, 40.0, 80.0)
"""Added to the PI's own margin: they span the imports at which exports are compared."""

Statistic: TypeAlias = Callable[[Floats], Floats]


def of_j(mine: ScenarioResult, pi: ScenarioResult) -> Statistic:
    """Of J = export + 0.5 avoidable import."""
    return lambda weights: _change(weights @ mine.j_wh, weights @ pi.j_wh)


def of_peak(mine: ScenarioResult, pi: ScenarioResult) -> Statistic:
    """Of the hours' highest export over 10 s, weighted mean."""
    return lambda weights: _change(weights @ mine.peak10s_export_w, weights @ pi.peak10s_export_w)


def of_export(mine: ScenarioResult, sweep: Sequence[ScenarioResult]) -> Statistic:
    """Of export at equal import: `sweep` holds the PI with each of some margins, at least one."""

    def change(weights: Floats) -> Floats:
        exports = np.stack([weights @ tally.own_wh for tally in sweep], 1)
        imports = np.stack([weights @ tally.avoidable_wh for tally in sweep], 1)
        wanted = zip(weights @ mine.avoidable_wh, exports, imports, strict=True)
        same_wh = np.array([export_at(import_wh, *pair) for import_wh, *pair in wanted])
        return _change(weights @ mine.own_wh, same_wh)

    return change


def export_at(
    import_wh: float, exports_wh: Sequence[float] | Floats, imports_wh: Sequence[float] | Floats
) -> float:
    """What the PI exports at this avoidable import, between its margins; NaN beyond them."""
    order = np.argsort(imports_wh)
    x, y = np.asarray(imports_wh)[order], np.asarray(exports_wh)[order]
    return float(np.interp(import_wh, x, y, left=np.nan, right=np.nan))


def _change(mine: Floats, other: Floats) -> Floats:
    return np.divide(mine, other, out=np.full_like(mine, np.nan), where=other > 0.0) - 1.0
