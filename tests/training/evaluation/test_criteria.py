"""Criteria as figures that hold or do not."""

from dataclasses import replace

import pytest

from core.site import Metering
from training.batched.scenarios import FaultScenario
from training.contest.bootstrap import Change
from training.contest.results import ControllerResult
from training.evaluation.criteria import CriteriaAnswers, Criterion, criteria, metrics

GOOD = CriteriaAnswers(0, 0, 0)
NAN = float("nan")


def change(value: float, width: float = 0.02) -> Change:
    bounds = (value - width, value + width)
    return Change(value, bounds, bounds)


def standing(
    name: str, delay_s: int = 0, trouble: FaultScenario = FaultScenario.NONE, j: float = -0.2
) -> ControllerResult:
    is_pi = name == "pi"
    return ControllerResult(
        controller=name,
        metering="net",
        extra_delay_s=delay_s,
        trouble=trouble.value,
        hours=10,
        export_wh=1000.0 if is_pi else 800.0,
        beyond_wh=500.0,
        avoidable_wh=400.0,
        j_wh=700.0,
        highest_export_w=4000.0 if is_pi else 3800.0,
        peak10s_export_w=900.0,
        moves_per_min=18.0,
        changes_per_min=6.0,
        reversals_per_min=2.0,
        imbalance_w=300.0,
        frames_per_min=20.0,
        violations=0,
        j_change=change(0.0 if is_pi else j),
        export_change=change(0.0 if is_pi else -0.3),
        peak_change=change(0.0 if is_pi else -0.1),
    )


def field() -> list[ControllerResult]:
    return [
        standing("pi"),
        standing("mine"),
        standing("mine", delay_s=2, j=-0.05),
        standing("mine", trouble=FaultScenario.LOSSY, j=-0.15),
    ]


def judged(rows: list[ControllerResult], answers: CriteriaAnswers = GOOD) -> dict[str, Criterion]:
    return {found.name: found for found in criteria(rows, "mine", Metering.NET, answers)}


def test_a_good_policy_keeps_them_all_and_the_worst_condition_is_named() -> None:
    found = judged(field())
    assert all(criterion.holds for criterion in found.values())
    assert found["Never worse than the PI"].value == -0.05
    assert "2 s late" in found["Never worse than the PI"].literal


def test_the_specifications_own_formulas_stand_beside() -> None:
    own = metrics(field(), "mine", Metering.NET)
    assert own.export_reduction_percent == pytest.approx(20.0)
    assert own.peak_export_reduction_percent == pytest.approx(5.0)
    assert (own.oscillation_per_min, own.phase_imbalance_w) == (18.0, 300.0)


@pytest.mark.parametrize(
    ("change_", "failing"),
    [
        ({"export_change": change(-0.099)}, "Export at equal import"),
        ({"export_change": change(NAN)}, "Export at equal import"),
        ({"peak_change": change(-0.04)}, "10 s peak of export"),
        ({"changes_per_min": 10.0}, "Setpoint changes above 50 W"),
        ({"changes_per_min": NAN}, "Setpoint changes above 50 W"),
        ({"imbalance_w": 500.0}, "Imbalance of the grid's phases"),
        ({"violations": 1}, "Violations of a limit, on air or wished below 0 W"),
        ({"j_change": change(-0.01)}, "J below the PI's"),
        ({"j_change": Change(-0.2, (NAN, NAN), (NAN, NAN))}, "J below the PI's"),
    ],
)
def test_one_figure_out_of_bounds_fails_one_criterion(change_: dict[str, object], failing: str) -> None:
    rows = field()
    rows[1] = replace(rows[1], **change_)  # type: ignore[arg-type]
    assert [name for name, criterion in judged(rows).items() if not criterion.holds] == [failing]


@pytest.mark.parametrize("worse", [0.001, NAN])
def test_worse_than_the_pi_under_one_condition_fails(worse: float) -> None:
    rows = [*field(), standing("mine", trouble=FaultScenario.MISLED, j=worse)]
    found = judged(rows)["Never worse than the PI"]
    assert not found.holds
    assert FaultScenario.MISLED.value in found.literal


def test_conditions_that_were_not_lived_satisfy_nothing() -> None:
    assert not judged(field()[:2])["Never worse than the PI"].holds


@pytest.mark.parametrize("answers", [CriteriaAnswers(0, 1, 0), CriteriaAnswers(0, 0, 1)])
def test_wishes_out_of_range_and_unsafe_frames_are_violations(answers: CriteriaAnswers) -> None:
    assert not judged(field(), answers)["Violations of a limit, on air or wished below 0 W"].holds


def test_answers_that_are_no_numbers_are_told_apart() -> None:
    found = judged(field(), CriteriaAnswers(3, 0, 0))
    assert found["CriteriaAnswers that are no numbers"].value == 3
    assert not found["CriteriaAnswers that are no numbers"].holds
