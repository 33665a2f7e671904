"""The policy answers only what it can stand for, and its memory is carried exactly."""

import json
from dataclasses import replace
from itertools import count
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, load_bundle
from models.inference import GraphError, Recurrent
from models.policy import NoPolicy, OnnxPolicy
from tests.support.toy_bundles import plain_model, recurrent_model, write_bundle


@pytest.fixture
def plain(tmp_path: Path) -> Bundle:
    return load_bundle(write_bundle(tmp_path / "plain", plain_model()))


@pytest.fixture
def recurrent(tmp_path: Path) -> Bundle:
    return load_bundle(write_bundle(tmp_path / "recurrent", recurrent_model(), recurrent=True))


def state(*first: float) -> tuple[float, ...]:
    return (*first, *(0.0,) * (30 - len(first)))


def test_the_answer_is_three_floats(plain: Bundle) -> None:
    policy = OnnxPolicy(plain)
    action_w, memory = policy.propose(state(100.0, 200.0, 300.0), policy.cold)
    assert action_w == (100.0, 200.0, 300.0)
    assert memory == ()
    assert action_w is not None
    assert all(type(value) is float for value in action_w)


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e300, 3.5e38])
@pytest.mark.parametrize("place", [0, 29])
def test_nothing_is_answered_to_what_is_not_finite(plain: Bundle, value: float, place: int) -> None:
    policy = OnnxPolicy(plain)
    observation = list(state())
    observation[place] = value
    assert policy.propose(observation, ()) == (None, ())
    assert policy.propose(state(1.0, 2.0, 3.0), ())[0] == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("length", [0, 1, 29, 31])
def test_an_observation_of_the_wrong_length_is_not_answered(plain: Bundle, length: int) -> None:
    assert OnnxPolicy(plain).propose((0.0,) * length, ()) == (None, ())


def test_an_overflow_inside_the_graph_is_not_answered(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "toy", recurrent_model(), recurrent=True)
    policy = OnnxPolicy(load_bundle(directory))
    big = ((9e29, 9e29, 9e29),)
    assert policy.propose(state(9e29), big) == (None, policy.cold)


def test_a_runtime_error_is_not_answered(plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise GraphError("out of memory")

    monkeypatch.setattr(plain.session, "run", fail)
    assert OnnxPolicy(plain).propose(state(1.0), ()) == (None, ())


def test_the_runtimes_own_errors_become_graph_errors(plain: Bundle) -> None:
    plain.session._feed["state"] = np.zeros((2, 30), np.float32)
    with pytest.raises(GraphError, match="state"):
        plain.session.run(state(1.0), ())


def test_memory_is_carried_by_the_caller(recurrent: Bundle) -> None:
    policy = OnnxPolicy(recurrent)
    first, memory = policy.propose(state(100.0, 0.0, 0.0), policy.cold)
    second, after = policy.propose(state(100.0, 0.0, 0.0), memory)
    assert first == (100.0, 0.0, 0.0)
    assert second == (150.0, 0.0, 0.0)
    assert memory == ((50.0, 0.0, 0.0),)
    assert after == ((75.0, 0.0, 0.0),)
    again, _ = policy.propose(state(100.0, 0.0, 0.0), memory)
    assert again == second
    cold, _ = policy.propose(state(100.0, 0.0, 0.0), policy.cold)
    assert cold == first


def test_memory_survives_json_bit_by_bit(recurrent: Bundle) -> None:
    policy = OnnxPolicy(recurrent)
    rng = np.random.default_rng(5)
    memory = policy.cold
    for _ in range(50):
        observation = tuple(rng.normal(500.0, 333.0, 30).tolist())
        restored: Recurrent = tuple(tuple(values) for values in json.loads(json.dumps(memory)))
        assert restored == memory
        answer = policy.propose(observation, memory)
        assert policy.propose(observation, restored) == answer
        memory = answer[1]


def test_a_memory_of_another_bundle_is_not_answered(recurrent: Bundle) -> None:
    policy = OnnxPolicy(recurrent)
    assert policy.propose(state(1.0), ()) == (None, policy.cold)
    assert policy.propose(state(1.0), ((0.0, 0.0),)) == (None, policy.cold)
    assert policy.propose(state(1.0), ((nan, 0.0, 0.0),)) == (None, policy.cold)


def test_the_latency_is_measured_with_the_clock_it_is_given(plain: Bundle) -> None:
    ticks = count()
    policy = OnnxPolicy(plain, clock=lambda: next(ticks) * 0.004)
    policy.propose(state(1.0), ())
    assert policy.last_latency_s == pytest.approx(0.004)
    unmeasured = OnnxPolicy(replace(plain))
    unmeasured.propose(state(1.0), ())
    assert unmeasured.last_latency_s == 0.0


def test_no_policy_never_wishes() -> None:
    policy = NoPolicy()
    assert policy.propose(state(1.0), policy.cold) == (None, ())


def test_two_that_share_a_session_each_go_on_with_their_own_memory(recurrent: Bundle) -> None:
    """As the policy that acts and its twin do; a third, and a memory from long ago, are served as well."""
    policies = [OnnxPolicy(recurrent) for _ in range(3)]
    memories = [policy.cold for policy in policies]
    expected = [0.0, 0.0, 0.0]
    for tick in range(1, 6):
        for place, policy in enumerate(policies):
            watts = 100.0 * tick * (place + 1)
            action_w, memories[place] = policy.propose(state(watts, 0.0, 0.0), memories[place])
            assert action_w == (watts + expected[place], 0.0, 0.0)
            expected[place] = memories[place][0][0]
