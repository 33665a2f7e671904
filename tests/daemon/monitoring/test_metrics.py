"""The exposition, read back by a parser and by Prometheus' own tool."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.decision import Anomaly, Authority, Intervention
from core.snapshot import SlaveState
from daemon.monitoring.figures import Figures
from daemon.monitoring.metrics import Exposition
from daemon.monitoring.telemetry import (
    Cost,
    CounterfactualComparison,
    Judgements,
    PlanDemand,
    PlanStanding,
    PolicyComparison,
)
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, decision, feed, snapshot

PLAN = PlanStanding(
    "ab",
    ("shadow", "ab", "production"),
    1_782_900_000.0,
    "",
    False,
    (PlanDemand("time", True, "170.0 h of 168 h"), PlanDemand("export", False, "-4.0% beside the fallback")),
)


@pytest.fixture
def figures() -> Figures:
    """A quarter of an hour of sun, with everything that can happen having happened."""
    made = Figures(SITE, ABOUT, 1000.0)
    house = FedHouse()
    feed(made, house, "sunny", 900)
    feed(made, house, "fallback", 2)
    eventful = decision(
        authority=Authority.POLICY,
        anomaly=Anomaly(("surplus",), True),
        violations=("step",),
        interventions=(Intervention("step", (9.0, 0.0, 0.0), (1.0, 0.0, 0.0)),),
    )
    reported = tuple(SlaveState(True, 100.0, 2.0) for _ in SITE.slaves)
    seen = snapshot(house.at_s + 1.0, (1.0, 2.0, -3.5), slaves=reported)
    judged = PolicyComparison(
        12 * 3600.0,
        CounterfactualComparison(400.0, 600.0, -1.0 / 3.0, -0.5, -0.1),
        CounterfactualComparison(700.0, 800.0, -0.125),
    )
    made.update(seen, eventful, cost=Cost(0.001, 0.0, 0.0001), judgements=Judgements(live=judged))
    made.plan_stands(PLAN)
    return made


def samples(text: bytes) -> dict[str, float]:
    """Every sample by name and labels."""
    return {
        sample.name + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_exposition_says_what_the_figures_say(figures: Figures) -> None:
    seen = samples(Exposition(figures).render(0.0))
    assert seen["sunkeep_ticks_total"] == 903.0
    assert seen["sunkeep_grid_power_watts{phase=c}"] == -3.5
    assert seen["sunkeep_export_power_watts"] == 0.5
    assert seen["sunkeep_exported_energy_joules_total"] == figures.ledger.total.exported_j
    assert seen["sunkeep_controller_in_use{controller=policy}"] == 1.0
    assert seen["sunkeep_controller_in_use{controller=fallback}"] == 0.0
    assert seen["sunkeep_mode{mode=production}"] == 1.0
    assert seen["sunkeep_safety_violations_total"] == 1.0
    assert seen["sunkeep_fallback_activations_total"] == 1.0
    assert seen["sunkeep_gate_interventions_total{rule=step}"] == 1.0
    assert seen["sunkeep_slave_setpoint_watts{phase=a}{slave=boiler}"] == 500.0
    assert seen["sunkeep_inference_seconds_count"] == 903.0
    assert seen["sunkeep_inference_seconds_bucket{le=+Inf}"] == 903.0
    assert seen["sunkeep_cause_active{cause=violation}"] == 0.0


def test_a_change_of_policy_is_counted_and_named(figures: Figures) -> None:
    figures.policy_swapped("toy 2")
    figures.policy_refused("Toy 3 is broken.")
    seen = samples(Exposition(figures).render(0.0))
    assert seen["sunkeep_policy_swaps_total"] == 1.0
    assert seen["sunkeep_policy_refusals_total"] == 1.0
    assert seen["sunkeep_policy_refused"] == 1.0
    assert any(name.startswith("sunkeep_build_info") and "{policy=toy 2}" in name for name in seen)
    figures.policy_accepted()
    assert samples(Exposition(figures).render(1.0))["sunkeep_policy_refused"] == 0.0


def test_a_refused_configuration_is_a_metric(figures: Figures) -> None:
    assert samples(Exposition(figures).render(0.0))["sunkeep_configuration_refused"] == 0.0
    figures.configuration_refused("line 3 is wrong")
    assert samples(Exposition(figures).render(1.0))["sunkeep_configuration_refused"] == 1.0


def test_a_slave_that_is_not_heard_has_no_power() -> None:
    figures = Figures(SITE, ABOUT, 0.0)
    silent = tuple(SlaveState(False, 1700.0, 375.0) for _ in SITE.slaves)
    figures.update(snapshot(1.0, (0.0, 0.0, 0.0), slaves=silent), decision(), cost=Cost())
    seen = samples(Exposition(figures).render(0.0))
    assert not [name for name in seen if name.startswith("sunkeep_slave_power_watts")]
    assert seen["sunkeep_slave_report_age_seconds{phase=a}{slave=boiler}"] == 375.0
    assert seen["sunkeep_slave_available{phase=a}{slave=boiler}"] == 0.0


def test_nothing_is_said_before_the_first_tick() -> None:
    seen = samples(Exposition(Figures(SITE, ABOUT, 0.0)).render(0.0))
    assert seen["sunkeep_ticks_total"] == 0.0
    unknown = (
        "sunkeep_grid",
        "sunkeep_export_p",
        "sunkeep_controller",
        "sunkeep_state",
        "sunkeep_meter_sample",
    )
    assert not [name for name in seen if name.startswith(unknown)]


def test_an_old_sample_is_not_exposed_as_the_present(figures: Figures) -> None:
    old = snapshot(3000.0, (9.0, 9.0, 9.0), meter_age_s=4.0)
    figures.update(old, decision(), cost=Cost())
    seen = samples(Exposition(figures).render(0.0))
    assert not [name for name in seen if name.startswith("sunkeep_grid_power")]
    assert seen["sunkeep_meter_sample_age_seconds"] == 4.0


def test_it_renders_at_most_once_a_second(figures: Figures) -> None:
    exposition = Exposition(figures)
    first = exposition.render(100.0)
    figures.update(snapshot(3000.0, (7.0, 0.0, 0.0)), decision(), cost=Cost())
    assert exposition.render(100.9) is first
    assert samples(exposition.render(101.0))["sunkeep_ticks_total"] == 904.0
    assert exposition.render(50.0) is not first  # a clock that went back does not freeze it


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (package prometheus)")
def test_promtool_finds_nothing_to_say(figures: Figures) -> None:
    for text in (Exposition(figures).render(0.0), Exposition(Figures(SITE, ABOUT, 0.0)).render(0.0)):
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (check.returncode, check.stdout + check.stderr) == (0, b"")


def test_what_the_judge_says_has_no_series_where_it_is_not_settled(figures: Figures) -> None:
    found = samples(Exposition(figures).render(0.0))
    assert found["sunkeep_judged_seconds{run=live}"] == 12 * 3600.0
    assert found["sunkeep_judged_seconds{run=shadow}"] == 0.0
    ratio = "sunkeep_judged_excess_ratio{{bound={}}}{{quantity={}}}{{run=live}}"
    assert found[ratio.format("estimate", "export")] == pytest.approx(-1.0 / 3.0)
    assert found[ratio.format("low", "export")] == -0.5
    assert found[ratio.format("high", "export")] == -0.1
    assert found[ratio.format("estimate", "j")] == -0.125
    assert found[ratio.format("low", "j")] == -1.0
    assert ratio.format("high", "j") not in found
    assert len([name for name in found if name.startswith("sunkeep_judged_excess_ratio")]) == 5


def test_a_judge_that_failed_has_no_series(figures: Figures) -> None:
    figures.judgements = Judgements(failed=True)
    found = samples(Exposition(figures).render(0.0))
    assert not [name for name in found if name.startswith("sunkeep_judged")]


def test_the_plan_is_told_with_what_it_lacks(figures: Figures) -> None:
    seen = samples(Exposition(figures).render(0.0))
    steps = {name: value for name, value in seen.items() if name.startswith("sunkeep_rollout_step")}
    assert steps == {f"sunkeep_rollout_step{{step={step}}}": step == "ab" for step in PLAN.steps}
    assert seen["sunkeep_rollout_missing{demand=time}"] == 0.0
    assert seen["sunkeep_rollout_missing{demand=export}"] == 1.0
    assert (seen["sunkeep_rollout_ready"], seen["sunkeep_rollout_held"]) == (0.0, 0.0)
    figures.plan_stands(replace(PLAN, held="sample_ratio", ready=True))
    seen = samples(Exposition(figures).render(0.0))
    assert (seen["sunkeep_rollout_ready"], seen["sunkeep_rollout_held"]) == (1.0, 1.0)


def test_without_a_plan_there_is_no_series_of_it(figures: Figures) -> None:
    figures.plan_stands(None)
    assert not [
        name for name in samples(Exposition(figures).render(0.0)) if name.startswith("sunkeep_rollout")
    ]
