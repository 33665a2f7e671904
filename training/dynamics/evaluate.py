"""How good a forward dynamics model is on days it never saw, and whether that is good enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from core.site import PHASE_NAMES
from models.features import FEATURE_NAMES, PHASE_FEATURES, SITE_FEATURES
from training.data.lookahead import LookAheads
from training.dynamics.fit import FittedModel, predicted
from training.dynamics.model import export_w

MSE_MAX = 0.1
EXPORT_MAE_MAX_W = 100.0
HORIZON = 12
"""Steps of a judged trajectory: a minute of 5 s steps, more than the ten that are asked for."""
LONG_HORIZON = 120
_LEVELS = ("surplus_hat_w", "log_volatility", "command_minus_surplus_w")
LEVELS = tuple(n for n in FEATURE_NAMES if n.rsplit("_", 1)[0] in _LEVELS or n in SITE_FEATURES)
"""Features that say where the site stands; the others say how it changed within the last seconds."""
TRAJECTORIES = 4000
"""At most so many, evenly over the test rows."""


@dataclass(frozen=True)
class HorizonError:
    """One step of the trajectories: error of the model, and of saying that nothing changes."""

    mse: float
    still_mse: float
    export_mae_w: float
    still_export_mae_w: float


@dataclass(frozen=True)
class DynamicsEvaluation:
    """Everything that is reported.

    By feature, normalised and averaged over the phases: the error of the model, that of saying that nothing
    changes, and the variance of the truth, which is the error of always saying the mean.
    """

    rows: int
    mse: float
    still_mse: float
    levels_mse: float
    by_feature: dict[str, tuple[float, float, float]]
    export_mae_w: float
    still_export_mae_w: float
    export_mean_w: float
    steps: tuple[HorizonError, ...]
    highest_z: float
    trained_z: float

    @property
    def is_stable(self) -> bool:
        """Finite, never worse than saying that nothing changes, and never far outside of what was seen."""
        holds = all(np.isfinite(s.mse) and s.mse <= s.still_mse for s in self.steps)
        return holds and self.highest_z <= 1.5 * self.trained_z


def judge(trained: FittedModel) -> dict[str, DynamicsEvaluation]:
    """Judge on all test rows, and on those of each source apart if there are several."""
    sources = sorted(set(trained.test.sources.tolist()))
    verdicts = {"all": _judge(trained)}
    if len(sources) > 1:
        for source in sources:
            rows = trained.test.where(trained.test.sources == source)
            verdicts[source] = _judge(replace(trained, test=rows))
    return verdicts


def _judge(trained: FittedModel) -> DynamicsEvaluation:
    model, scaling, test, metering = trained.model, trained.scaling, trained.test, trained.metering
    guess, truth = predicted(model, test, scaling), scaling.state(torch.from_numpy(test.targets))
    now = scaling.state(torch.from_numpy(test.states))
    errors, still = ((guess - truth) ** 2).mean(0), ((now - truth) ** 2).mean(0)
    exports = [export_w(scaling.raw_state(states), metering) for states in (guess, now, truth)]
    steps, highest_z = _trajectories(trained)
    return DynamicsEvaluation(
        rows=len(test),
        mse=float(errors.mean()),
        still_mse=float(still.mean()),
        levels_mse=float(errors[[FEATURE_NAMES.index(name) for name in LEVELS]].mean()),
        by_feature={
            name: (_of(errors, name), _of(still, name), _of(truth.var(0), name))
            for name in (*PHASE_FEATURES, *SITE_FEATURES)
        },
        export_mae_w=float((exports[0] - exports[2]).abs().mean()),
        still_export_mae_w=float((exports[1] - exports[2]).abs().mean()),
        export_mean_w=float(exports[2].mean()),
        steps=steps,
        highest_z=highest_z,
        trained_z=float(truth.abs().max()),
    )


def _of(errors: Tensor, name: str) -> float:
    """A feature's error, averaged over the phases if it has them."""
    names = [name] if name in SITE_FEATURES else [f"{name}_{phase}" for phase in PHASE_NAMES]
    return float(errors[[FEATURE_NAMES.index(n) for n in names]].mean())


def starts(rows: LookAheads, steps: int, lookahead_s: int) -> NDArray[np.intp]:
    """Rows from which `steps` look-aheads follow each other without a missing second."""
    span = (steps - 1) * lookahead_s
    if len(rows) <= span:
        return np.zeros(0, np.intp)
    last = len(rows) - span
    unbroken = rows.seconds[span:] - rows.seconds[:last] == span
    return np.flatnonzero(unbroken & (rows.episodes[span:] == rows.episodes[:last]))


def _trajectories(trained: FittedModel) -> tuple[tuple[HorizonError, ...], float]:
    """Errors step by step under the data's actions, and the largest value when the last action is held."""
    model, scaling, rows = trained.model, trained.scaling, trained.test
    lookahead_s = model.shape.lookahead_steps
    begin = starts(rows, HORIZON, lookahead_s)
    begin = begin[:: max(1, len(begin) // TRAJECTORIES)]
    if not begin.size:
        return (), float("inf")
    places = begin[:, None] + lookahead_s * np.arange(HORIZON)
    state = scaling.state(torch.from_numpy(rows.states[begin]))
    actions = scaling.action(torch.from_numpy(rows.actions_w[places]))
    truth = scaling.state(torch.from_numpy(rows.targets[places]))
    held = actions[:, -1:].expand(-1, LONG_HORIZON - HORIZON, -1)
    with torch.inference_mode():
        path = model.predict_trajectory(state, torch.cat([actions, held], 1))
    steps = tuple(_step(trained, path[:, k], state, truth[:, k]) for k in range(HORIZON))
    return steps, float(path.abs().max())


def _step(trained: FittedModel, guess: Tensor, still: Tensor, truth: Tensor) -> HorizonError:
    exports = [export_w(trained.scaling.raw_state(s), trained.metering) for s in (guess, still, truth)]
    return HorizonError(
        float(((guess - truth) ** 2).mean()),
        float(((still - truth) ** 2).mean()),
        float((exports[0] - exports[2]).abs().mean()),
        float((exports[1] - exports[2]).abs().mean()),
    )


def criteria(verdict: DynamicsEvaluation) -> list[tuple[str, str, str, bool]]:
    """The specification's three: what, wanted, measured, whether it holds."""
    at_ten = verdict.steps[9].mse if len(verdict.steps) > 9 else float("nan")
    return [
        ("MSE of the normalised state", f"< {MSE_MAX}", f"{verdict.mse:.3f}", verdict.mse < MSE_MAX),
        (
            "mean absolute error of export",
            f"< {EXPORT_MAE_MAX_W:.0f} W",
            f"{verdict.export_mae_w:.1f} W",
            verdict.export_mae_w < EXPORT_MAE_MAX_W,
        ),
        (
            "trajectories stable for 10 steps and more",
            "no worse than standing still",
            f"MSE {at_ten:.3f} after 10 steps",
            len(verdict.steps) >= 10 and verdict.is_stable,
        ),
    ]


Grid = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header, rows."""


def grids(verdicts: dict[str, DynamicsEvaluation]) -> list[Grid]:
    """Everything that is shown, as text."""
    judged = [
        (name, *(measured for _, _, measured, _ in criteria(v)), f"{v.levels_mse:.3f}", f"{v.rows:,}")
        for name, v in verdicts.items()
    ]
    wanted = ("wanted", *(wanted for _, wanted, _, _ in criteria(verdicts["all"])), "", "")
    holds = [
        (f"{name}: holds", *("yes" if holds else "no" for *_, holds in criteria(v)), "", "")
        for name, v in verdicts.items()
    ]
    titles = (
        "who acted",
        *(what for what, *_ in criteria(verdicts["all"])),
        "MSE of the levels alone",
        "rows",
    )
    first: Grid = ("Criteria", titles, [wanted, *judged, *holds])
    rows: list[tuple[str, ...]] = [
        (name, *(f"{value:.3f}" for value in values)) for name, values in verdicts["all"].by_feature.items()
    ]
    header = ("feature", "MSE", "when nothing changes", "of always saying the mean")
    features: Grid = ("By feature, all rows", header, rows)
    return [first, features, *(_by_step(name, v.steps) for name, v in verdicts.items())]


def _by_step(name: str, steps: Sequence[HorizonError]) -> Grid:
    rows: list[tuple[str, ...]] = [
        (
            str(number),
            f"{step.mse:.3f}",
            f"{step.still_mse:.3f}",
            f"{step.export_mae_w:.0f} W",
            f"{step.still_export_mae_w:.0f} W",
        )
        for number, step in enumerate(steps, 1)
    ]
    header = ("step", "MSE", "when nothing changes", "export MAE", "when nothing changes")
    return f"By step, {name}", header, rows


def tables(verdicts: dict[str, DynamicsEvaluation]) -> list[Table]:
    """For people."""
    made = []
    for title, header, rows in grids(verdicts):
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        made.append(table)
    return made


def markdown(verdicts: dict[str, DynamicsEvaluation]) -> str:
    """For the docs."""
    parts = []
    for title, header, rows in grids(verdicts):
        lines = [" | ".join(header), " | ".join("---" for _ in header), *(" | ".join(row) for row in rows)]
        parts.append(f"### {title}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n")
    return "\n".join(parts)
