"""The policy that ships, on the day that ships."""

import pytest

from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site, simulate
from models.bundle import builtin_bundle, load_bundle
from plant.site.trace import load_trace

FROM_S, TO_S = 9 * 3600, 11 * 3600


def score(controller: str) -> dict[str, float]:
    site = default_site()
    scenario = Scenario(load_trace(), site, start_s=FROM_S, end_s=TO_S)
    return dict(simulate(scenario, pilot(controller, site)).score.summary())


def test_it_keeps_nine_tenths_of_the_export_at_home_without_an_unsafe_action() -> None:
    without, policy = score("none"), score("policy")
    assert without["export_wh"] > 5000.0
    assert policy["export_wh"] <= 0.1 * without["export_wh"]
    assert policy["unsafe_actions"] == 0
    assert policy["max_frames_per_9s"] <= 8


def test_it_was_trained() -> None:
    bundle = load_bundle(builtin_bundle())
    assert bundle.manifest.bundle_version >= 2
    ranges = bundle.manifest.training_range["surplus_hat_w_a"]
    assert ranges.high > 5000.0
    # an untrained network answers with the surplus it sees
    answers = ((v.action_w[0], min(max(0.0, v.state[0]), 5000.0)) for v in bundle.golden.vectors)
    assert max(abs(action_w - surplus_w) for action_w, surplus_w in answers) > 100.0


@pytest.mark.parametrize("name", ["surplus_hat_w", "command_minus_surplus_w", "last_step_decayed_w"])
def test_its_statistics_treat_the_phases_alike(name: str) -> None:
    features = load_bundle(builtin_bundle()).normalization.features
    a, b, c = (features[f"{name}_{phase}"].std for phase in "abc")
    assert max(a, b, c) < 1.1 * min(a, b, c)
