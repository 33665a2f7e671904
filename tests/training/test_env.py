"""The environment: Gymnasium's checks, the decisions of simulation, seeding, bounds, masks, reward."""

from dataclasses import replace
from math import inf
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.estimation.state_estimate import StateEstimate
from core.limits import ImbalanceOf, Limits
from core.roles import Role
from core.site import Phases, per_phase
from core.slew import slew
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site, simulate
from models.features import FEATURE_NAMES
from safety.gate import SafetyGate
from tests.training.site_days import swinging_day
from training.batched.windows import SolarDay
from training.envs.action_ranges import level_masks, ranges_w
from training.envs.env import SiteEnv
from training.envs.episodes import Reward, Stretches
from training.envs.vector_env import SiteVectorEnv
from training.envs.wrappers import MaskedLevels, NamedObservation, observation_bounds

DAY = swinging_day()
NOON_S = 43_200
FIXED = {"day": 0, "start_s": NOON_S, "length_s": 300, "seed": 5, "extra_delay_s": 0.0}


def site_env(length_s: int = 120, **more: Any) -> SiteEnv:
    return SiteEnv(Stretches([(DAY, "3ph"), (DAY, "A")], length_s), **more)


def surplus_follower(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(observation[[0, 9, 18]], 0.0, 5000.0)


def lived(env: gym.Env[Any, Any], seed: int, options: dict[str, Any] | None = None) -> list[Any]:
    observation, _ = env.reset(seed=seed, options=options)
    trail: list[Any] = [observation.tolist()]
    is_over = False
    while not is_over:
        observation, reward, terminated, truncated, info = env.step(surplus_follower(observation))
        trail.append((observation.tolist(), reward, info["on_air_w"], info["send"]))
        is_over = terminated or truncated
    return trail


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version.*:UserWarning")
@pytest.mark.parametrize("kind", ["plain", "named", "levels", "control variate"])
def test_gymnasium_finds_nothing_wrong(kind: str) -> None:
    env: gym.Env[Any, Any] = site_env(control_variate="predictive" if kind == "control variate" else "")
    if kind == "named":
        env = NamedObservation(env)
    elif kind == "levels":
        env = MaskedLevels(env)
    check_env(env, skip_render_check=True)


def test_the_environment_decides_as_simulation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped policy, once inside `sunkeep simulate` and once outside, acting through the environment."""
    site = default_site()
    acting = pilot("policy", site)
    assert acting is not None
    simulated = []

    def noted(*arguments: Any) -> Any:
        decision, memory = decide(*arguments)
        simulated.append(
            (decision.policy_action_w, decision.safe_action_w, decision.setpoints_w, decision.send)
        )
        return decision, memory

    monkeypatch.setattr("daemon.simulation.simulate.decide", noted)
    run = simulate(Scenario(DAY, site, "A", NOON_S, NOON_S + 300, seed=5, settle_s=0), acting)

    env = site_env()
    observation, _ = env.reset(seed=1, options=FIXED | {"day": 1})
    policy: Any = acting.parts.policy
    memory = policy.cold
    export_ws = 0.0
    for policy_action_w, safe_action_w, _, send in simulated:
        action_w, memory = policy.propose(observation.tolist(), memory)
        assert action_w is not None
        observation, _, terminated, truncated, info = env.step(np.array(action_w, np.float32))
        export_ws += info["export_w"]
        assert not terminated
        assert (info["policy_action_w"], info["safe_action_w"], info["send"]) == (
            policy_action_w,
            safe_action_w,
            send.value,
        )
    assert truncated
    assert export_ws / 3600.0 == pytest.approx(run.score.summary()["export_wh"], rel=1e-12)


def test_same_seed_same_policy_same_episode() -> None:
    assert lived(site_env(), 3) == lived(site_env(), 3)
    assert lived(site_env(), 3) != lived(site_env(), 4)


def test_chance_is_the_environments_alone() -> None:
    trail = lived(site_env(), 3)
    np.random.seed(99)
    env = site_env()
    lived(env, 8)
    assert lived(env, 3) == trail


def test_options_fix_an_episode_whatever_the_seed() -> None:
    assert lived(site_env(), 1, FIXED) == lived(site_env(), 2, FIXED)


def test_a_stretch_that_ends_is_cut_and_a_policy_that_fails_is_done() -> None:
    env = site_env(3)
    env.reset(seed=0)
    flags = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3, np.float32))
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(np.full(3, np.nan, np.float32))
    assert (terminated, truncated, info["source"]) == (True, False, "fallback")


def test_the_reward_is_the_bill_and_the_law_takes_the_chance_out_of_it() -> None:
    weights = Reward(avoidable_weight=0.5, unrest_weight=0.1)
    env, against = site_env(reward=weights), site_env(reward=weights, control_variate="pi")
    for one in (env, against):
        one.reset(seed=6)
    plain, relative = [], []
    for second in range(100):
        action = np.full(3, 400.0 + 10.0 * second, np.float32)
        _, reward, _, _, info = env.step(action)
        _, better, _, _, same = against.step(action)
        cost_w = info["export_w"] + 0.5 * info["avoidable_import_w"] + 0.1 * info["action_change_w"]
        assert reward == pytest.approx(-cost_w / 200.0)
        assert same["earned"] == reward
        plain.append(float(reward))
        relative.append(float(better))
    assert np.array(relative).mean() < 0.0  # the law does better than a blind ramp
    assert not np.allclose(plain, relative)


def test_every_observation_lies_in_its_declared_bounds() -> None:
    low, high = observation_bounds()
    assert np.isfinite(low).all()
    assert np.isfinite(high).all()
    env = NamedObservation(site_env(200))
    observation, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert env.observation_space.contains(observation)
        observation, *_ = env.step(rng.uniform(0.0, 5000.0, 3).astype(np.float32))
    assert {len(column) for column in observation.values()} == {1, 3}
    assert sum(map(len, observation.values())) == len(FEATURE_NAMES)


SHARE = st.floats(0.0, 1.0)
WATTS = st.floats(0.0, 4000.0)


@settings(max_examples=150)
@given(
    air=st.tuples(WATTS, WATTS, WATTS),
    grid=st.tuples(*[st.floats(-6000.0, 6000.0)] * 3),
    capacity=st.tuples(*[st.sampled_from([0.0, 1700.0, 5000.0])] * 3),
    age_s=st.sampled_from([0.4, 1.0, 2.0, 8.0]),
    role=st.sampled_from(list(Role)),
    of=st.sampled_from(list(ImbalanceOf)),
    phase=st.integers(0, 2),
    share=SHARE,
)
def test_what_is_in_reach_passes_slew_and_gate_untouched(
    air: Phases,
    grid: Phases,
    capacity: Phases,
    age_s: float,
    role: Role,
    of: ImbalanceOf,
    phase: int,
    share: float,
) -> None:
    limits = Limits(imbalance_of=of)
    site = replace(default_site(), role=role, limits=limits)
    sign = 1.0 if role is Role.ABSORB else -1.0
    estimate = StateEstimate(True, grid, air, air, air, capacity, age_s, 2.0, sign)
    low, high = ranges_w(estimate, grid, limits)
    assert low[phase] <= air[phase] <= high[phase]
    wish = list(air)
    wish[phase] = low[phase] + share * (high[phase] - low[phase])
    if all(a <= c for a, c in zip(air, capacity, strict=True)):
        assert slew(per_phase(wish), estimate, grid, limits) == pytest.approx(per_phase(wish), abs=0.01)
        slaves = (SlaveState(),) * len(site.slaves)
        snapshot = Snapshot(0, 0.0, grid, 0.0, slaves, OnAirState(air, (), age_s))
        assert not [rule for rule in SafetyGate(site).violations(per_phase(wish), snapshot) if rule != "box"]
    beyond = high[phase] + 5.0
    if beyond < min(limits.phase_max_w, capacity[phase]) and all(
        a <= c for a, c in zip(air, capacity, strict=True)
    ):
        wish[phase] = beyond
        assert slew(per_phase(wish), estimate, grid, limits)[phase] < beyond


def test_masks_follow_the_ranges_and_always_leave_a_level() -> None:
    levels_w = np.linspace(0.0, 5000.0, 21)
    mask = level_masks((0.0, 1010.0, 5000.0), (760.0, 1020.0, 5000.0), levels_w)
    assert levels_w[mask[0]].tolist() == [0.0, 250.0, 500.0, 750.0]
    assert levels_w[mask[1]].tolist() == [1000.0]
    assert levels_w[mask[2]].tolist() == [5000.0]


def test_a_masked_level_becomes_the_nearest_that_is_not() -> None:
    env = MaskedLevels(site_env(60))
    _, info = env.reset(seed=0)
    assert info["action_masks"].shape == (3, 21)
    assert info["action_high_w"].max() < inf
    top = np.array([20, 20, 20])
    _, _, _, _, info = env.step(top)
    assert info["is_masked"]
    reachable = [int(np.flatnonzero(mask)[-1]) for mask in env.action_masks()]
    _, _, _, _, info = env.step(np.array(reachable))
    assert not info["is_masked"]


def sunny() -> tuple[SolarDay, ...]:
    return (SolarDay(DAY.load_w.astype(np.float32), DAY.pv_w.astype(np.float32), "3ph", (0, 86_400)),)


def test_many_sites_step_together_and_repeat_with_the_seed() -> None:
    env = SiteVectorEnv(sunny(), 4, 30)
    trails = []
    for _ in range(2):
        observation, _ = env.reset(seed=5)
        trail = [observation]
        for second in range(30):
            observation, reward, terminated, truncated, info = env.step(
                np.clip(observation[:, [0, 9, 18]], 0.0, 5000.0)
            )
            assert env.observation_space.contains(observation)
            assert not terminated.any()
            assert truncated.all() == (second == 29)
            cost_w = info["export_w"] + 0.5 * info["avoidable_import_w"]
            np.testing.assert_allclose(reward, -cost_w / 200.0)
            trail.append(observation)
        trails.append(np.stack(trail))
        with pytest.raises(gym.error.ResetNeeded):
            env.step(np.zeros((4, 3), np.float32))
    np.testing.assert_array_equal(trails[0], trails[1])
    assert (trails[0][-1, :, 0] != trails[0][-1, ::-1, 0]).all()  # every site lives its own window
