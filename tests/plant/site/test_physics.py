"""The physics of a slave and a site: against closed forms, and equal for floats, numpy and torch."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arrays import SCALAR, Namespace
from plant.site import physics

torch = pytest.importorskip("torch")


def slave_step(
    ns: Namespace, reference: Any, power: Any, setpoint: Any, silence: Any, max_w: Any, gain: Any, lag: Any
) -> tuple[Any, Any]:
    goal = physics.wanted_w(ns, setpoint, silence)
    reach = physics.ramp_w_per_s(ns, silence) * 1.0
    reference = physics.slewed_w(ns, reference, goal, reach)
    return reference, physics.settled_w(ns, power, reference, max_w, gain, physics.lag_share(ns, 1.0, lag))


def test_one_source_gives_equal_numbers_for_floats_numpy_and_torch() -> None:
    rng = np.random.default_rng(5)
    n = 64
    columns = [
        rng.uniform(0, 2000, n),
        rng.uniform(0, 2000, n),
        rng.uniform(0, 2500, n),
        rng.uniform(0, 30, n),
        rng.uniform(500, 1800, n),
        rng.uniform(0.95, 1.03, n),
        rng.uniform(1, 2, n),
    ]
    by_numpy = slave_step(np, *columns)
    by_torch = slave_step(torch, *[torch.from_numpy(column) for column in columns])
    by_float = [slave_step(SCALAR, *[float(column[i]) for column in columns]) for i in range(n)]
    for which in range(2):
        np.testing.assert_allclose(by_numpy[which], [row[which] for row in by_float], rtol=1e-14)
        np.testing.assert_allclose(by_torch[which].numpy(), by_numpy[which], rtol=1e-14)
    load, pv, slaves = columns[0], columns[1], columns[2]
    mixed = physics.grid_w(torch.from_numpy(load), torch.from_numpy(pv), torch.from_numpy(slaves), -1.0)
    np.testing.assert_allclose(mixed.numpy(), physics.grid_w(load, pv, slaves, -1.0), rtol=1e-14)


def test_gradients_flow_through_a_step() -> None:
    setpoint = torch.tensor([700.0], requires_grad=True)
    zero = torch.zeros(1)
    one = torch.ones(1)
    _, power = slave_step(torch, zero, zero, setpoint, zero, 1700 * one, one, 1.5 * one)
    power.sum().backward()
    assert setpoint.grad is not None
    assert setpoint.grad.item() == pytest.approx(1 - math.exp(-1 / 1.5), rel=1e-6)


@given(
    start=st.floats(0, 3000),
    target=st.floats(0, 3000),
    lag=st.floats(0.5, 5),
    whole=st.floats(0.01, 5),
    n=st.integers(1, 50),
)
def test_the_lag_is_exact_whatever_the_step(
    start: float, target: float, lag: float, whole: float, n: int
) -> None:
    share = physics.lag_share(SCALAR, whole / n, lag)
    power = start
    for _ in range(n):
        power = physics.settled_w(SCALAR, power, target, 5000.0, 1.0, share)
    assert power == pytest.approx(target + (start - target) * math.exp(-whole / lag), abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "setpoint", "silence", "expected"),
    [
        (0.0, 3000.0, 0.0, 1000.0),  # normal ramp up
        (3000.0, 0.0, 0.0, 2000.0),  # and down
        (500.0, 700.0, 14.9, 700.0),  # arrives
        (4000.0, 4000.0, 15.0, 1500.0),  # time to live run out: fast ramp
        (1000.0, 4000.0, 99.0, 0.0),  # never below rest
    ],
)
def test_reference_follows_ramps_and_time_to_live(
    reference: float, setpoint: float, silence: float, expected: float
) -> None:
    moved, _ = slave_step(SCALAR, reference, 0.0, setpoint, silence, 5000.0, 1.0, 1.0)
    assert moved == pytest.approx(expected)


def test_saturation_then_gain() -> None:
    assert physics.settled_w(SCALAR, 0.0, 9000.0, 1700.0, 0.95, 1.0) == pytest.approx(1615.0)


def test_grid_sign_and_sums() -> None:
    assert physics.grid_w(500.0, 2000.0, 900.0, 1.0) == -600.0
    assert physics.grid_w(500.0, 0.0, 900.0, -1.0) == -400.0
    assert physics.phase_sums_w([1.0, 2.0, 4.0, 8.0], [0, 1, 0, 2]) == [5.0, 2.0, 8.0]
    assert physics.pv_phases_w(6000.0, "3ph") == pytest.approx((2000.0, 2000.0, 2000.0))
    assert physics.pv_phases_w(6000.0, "B") == (0.0, 6000.0, 0.0)
