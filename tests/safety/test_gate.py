"""The last word: nothing that breaks a limit passes, and what keeps them passes as it is."""

from dataclasses import replace
from itertools import pairwise
from math import inf, isfinite, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Intervention, Source
from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S, ImbalanceOf, Limits
from core.roles import Role
from core.site import ZERO, Phases
from core.slew import slew, spread_w
from core.snapshot import OnAirState
from safety.gate import SafetyGate
from tests.support.examples import GRID, actions, estimate, grids, site, snapshot, wild, wild_actions

GATE = SafetyGate(site())
ON_GRID = SafetyGate(site(limits=GRID))
ACTING = (Source.POLICY, Source.FALLBACK, Source.HOLD)
whole = st.integers(0, 5000).map(float)
whole_actions = st.tuples(whole, whole, whole)
ages = st.one_of(st.floats(0.0, 30.0), st.sampled_from([0.0, 1.0, 2.0, inf]))


def just_above(x: float) -> float:
    return x + 0.001


def alone(spread_w: float) -> float:
    """What one phase alone carries at a population standard deviation of spread_w."""
    return spread_w * 3.0 / sqrt(2.0)


@pytest.mark.parametrize("source", ACTING)
@pytest.mark.parametrize(
    ("air_w", "age_s", "action_w", "is_allowed"),
    [
        # box
        ((4800.0,) * 3, 1.0, (5000.0,) * 3, True),
        ((4800.0,) * 3, 1.0, (just_above(5000.0), 4800.0, 4800.0), False),
        ((4800.0,) * 3, 1.0, (4800.0, just_above(5000.0), 4800.0), False),
        ((4800.0,) * 3, 1.0, (4800.0, 4800.0, just_above(5000.0)), False),
        ((10.0,) * 3, 1.0, (0.0, 0.0, 0.0), True),
        ((10.0,) * 3, 1.0, (-0.001, 0.0, 0.0), False),
        ((10.0,) * 3, 1.0, (0.0, -0.001, 0.0), False),
        ((10.0,) * 3, 1.0, (0.0, 0.0, -0.001), False),
        ((10.0,) * 3, 1.0, (-0.0, 0.0, 0.0), True),
        # step: the norm over the phases, per second since the last frame, at most two seconds
        (ZERO, 1.0, (1000.0, 0.0, 0.0), True),
        (ZERO, 1.0, (just_above(1000.0), 0.0, 0.0), False),
        (ZERO, 1.0, (600.0, 800.0, 0.0), True),
        (ZERO, 1.0, (600.0, 800.01, 0.0), False),
        (ZERO, 0.5, (300.0, 0.0, 400.0), True),
        (ZERO, 0.5, (300.0, 0.0, 400.01), False),
        (ZERO, 2.0, (2000.0, 0.0, 0.0), True),
        (ZERO, 2.0, (just_above(2000.0), 0.0, 0.0), False),
        (ZERO, 3.0, (2000.0, 0.0, 0.0), True),
        (ZERO, 3.0, (just_above(2000.0), 0.0, 0.0), False),
        (ZERO, inf, (2000.0, 0.0, 0.0), True),
        (ZERO, inf, (just_above(2000.0), 0.0, 0.0), False),
        ((3000.0,) * 3, 1.0, (2400.0, 3000.0, 2200.0), True),
        ((3000.0,) * 3, 1.0, (2400.0, 3000.0, 2199.9), False),
        (ZERO, 0.0, (0.0, 0.0, 0.0), True),
        (ZERO, 0.0, (0.001, 0.0, 0.0), False),
        (ZERO, -1.0, (0.001, 0.0, 0.0), False),
        (ZERO, nan, (0.001, 0.0, 0.0), False),
        (ZERO, nan, (0.0, 0.0, 0.0), True),
        # imbalance
        ((4000.0, 0.0, 0.0), 1.0, (alone(2000.0) - 0.001, 0.0, 0.0), True),
        ((4000.0, 0.0, 0.0), 1.0, (alone(2000.0) + 0.001, 0.0, 0.0), False),
        ((0.0, 4000.0, 0.0), 1.0, (0.0, alone(2000.0) + 0.001, 0.0), False),
        ((5000.0, 800.0, 800.0), 1.0, (5000.0, 800.0, 780.0), True),
        ((5000.0, 800.0, 800.0), 1.0, (5000.0, 400.0, 400.0), False),
        ((5000.0, 0.0, 0.0), 1.0, (5000.0, 0.0, 0.0), True),
        ((5000.0, 0.0, 0.0), 1.0, (4990.0, 0.0, 0.0), True),
        ((4990.0, 0.0, 0.0), 1.0, (4991.0, 0.0, 0.0), False),
        # finite
        (ZERO, 1.0, (nan, 0.0, 0.0), False),
        (ZERO, 1.0, (0.0, nan, 0.0), False),
        (ZERO, 1.0, (0.0, 0.0, nan), False),
        (ZERO, 1.0, (inf, 0.0, 0.0), False),
        (ZERO, 1.0, (-inf, 0.0, 0.0), False),
        (ZERO, 1.0, (2.0**53, 0.0, 0.0), False),
        (ZERO, 1.0, (1.7e308, 1.7e308, 1.7e308), False),
        (ZERO, 1.0, (5e-324, 0.0, 0.0), True),
    ],
)
def test_limits(source: Source, air_w: Phases, age_s: float, action_w: Phases, is_allowed: bool) -> None:
    seen = snapshot(air_w, age_s)
    assert GATE.accepts(action_w, source, seen) is is_allowed
    assert (GATE.violations(action_w, seen) == ()) is is_allowed


@pytest.mark.parametrize(
    ("action_w", "rules"),
    [
        ((nan, 9000.0, 0.0), ("finite",)),
        ((-10.0, 0.0, 0.0), ("box",)),
        ((1500.0, 0.0, 0.0), ("step",)),
        ((9000.0, 0.0, 0.0), ("box", "step", "imbalance")),
        ((4900.0, 0.0, 0.0), ("step", "imbalance")),
        ((900.0, 0.0, 0.0), ()),
    ],
)
def test_violations_name_every_rule(action_w: Phases, rules: tuple[str, ...]) -> None:
    assert GATE.violations(action_w, snapshot()) == rules


def test_the_last_bits_of_a_proposal_are_no_violation_but_more_is() -> None:
    seen = snapshot((4500.0,) * 3)
    assert GATE.violations((5000.0000008, 4500.0, 4500.0), seen) == ()
    assert GATE.violations((5000.000002, 4500.0, 4500.0), seen) == ("box",)
    assert GATE.violations((-0.0000008, 0.0, 0.0), snapshot()) == ()
    assert GATE.violations((-0.000002, 0.0, 0.0), snapshot()) == ("box",)
    assert GATE.violations((1000.0000008, 0.0, 0.0), snapshot()) == ()
    assert GATE.violations((1000.000002, 0.0, 0.0), snapshot()) == ("step",)
    edge = alone(2000.0)
    assert GATE.violations((edge + 0.0000008, 0.0, 0.0), snapshot((4000.0, 0.0, 0.0))) == ()
    assert GATE.violations((edge + 0.00001, 0.0, 0.0), snapshot((4000.0, 0.0, 0.0))) == ("imbalance",)


@given(wild_actions, actions, ages, grids, st.sampled_from(ACTING), st.booleans(), st.sampled_from(Role))
def test_whatever_is_asked_what_is_allowed_keeps_every_limit(
    requested_action_w: Phases,
    air_w: Phases,
    age_s: float,
    grid_w: Phases,
    source: Source,
    of_grid: bool,
    role: Role,
) -> None:
    gate = SafetyGate(site(role=role, limits=GRID if of_grid else Limits()))
    seen = snapshot(air_w, age_s, grid_w)
    safe_action_w, interventions = gate.check(requested_action_w, source, seen)
    assert all(map(isfinite, safe_action_w))
    assert gate.accepts(safe_action_w, source, seen)
    assert gate.check(safe_action_w, source, seen)[0] == pytest.approx(safe_action_w, abs=1e-6)
    if interventions:
        assert interventions[-1].after_w == safe_action_w
        for one, other in pairwise(interventions):
            assert one.after_w == other.before_w
    else:
        assert safe_action_w == requested_action_w


@given(wild_actions, whole_actions, ages)
def test_independent_arithmetic_agrees(requested_action_w: Phases, air_w: Phases, age_s: float) -> None:
    """The same limits, written with numpy from the specification's sentences."""
    seen = snapshot(air_w, age_s)
    safe_action_w = np.array(GATE.check(requested_action_w, Source.POLICY, seen)[0])
    assert np.all(np.isfinite(safe_action_w))
    assert np.all((safe_action_w >= 0) & (safe_action_w <= 5000))
    assert np.linalg.norm(safe_action_w - air_w) <= 1000 * min(age_s, 2.0)
    assert float(np.std(safe_action_w)) <= max(2000.0, float(np.std(air_w))) + 1e-9


@given(whole_actions, whole_actions, ages)
def test_whole_watts_below_what_is_allowed_are_accepted(
    requested_action_w: Phases, air_w: Phases, age_s: float
) -> None:
    """What `ROUNDING_W` is for: rounding down to whole watts crosses no limit."""
    seen = snapshot(air_w, age_s)
    safe_action_w, _ = GATE.check(requested_action_w, Source.POLICY, seen)
    floored_w = (float(int(safe_action_w[0])), float(int(safe_action_w[1])), float(int(safe_action_w[2])))
    start_is_free = np.std(air_w) <= 1998.0 and age_s >= 0.002
    assert GATE.accepts(floored_w, Source.POLICY, seen) or not start_is_free


@given(actions, actions, ages, grids, st.booleans())
def test_what_was_mapped_into_reach_is_no_violation_and_stays_as_it_is(
    policy_action_w: Phases, air_w: Phases, age_s: float, grid_w: Phases, of_grid: bool
) -> None:
    at = site(limits=GRID if of_grid else Limits())
    gate, seen = SafetyGate(at), snapshot(air_w, age_s, grid_w)
    requested_action_w = slew(policy_action_w, estimate(seen, at), grid_w, at.limits)
    assert gate.violations(requested_action_w, seen) == ()
    safe_action_w, _ = gate.check(requested_action_w, Source.POLICY, seen)
    assert safe_action_w == pytest.approx(requested_action_w, abs=0.01)


@given(wild_actions, wild_actions, st.one_of(ages, wild), wild_actions, st.sampled_from(Source))
def test_even_a_senseless_snapshot_gives_a_number(
    requested_action_w: Phases, air_w: Phases, age_s: float, grid_w: Phases, source: Source
) -> None:
    for gate in (GATE, ON_GRID):
        seen = snapshot(air_w, age_s, grid_w)
        gate.violations(requested_action_w, seen)
        safe_action_w, _ = gate.check(requested_action_w, source, seen)
        assert all(0.0 <= a <= PHASE_CAP_W for a in safe_action_w)
        assert gate.accepts(ZERO, source, seen) or all(0.0 <= a <= PHASE_CAP_W for a in air_w)


def test_the_order_of_what_is_changed() -> None:
    safe_action_w, interventions = GATE.check((9000.0, -3.0, 0.0), Source.POLICY, snapshot())
    assert [i.rule for i in interventions] == ["box", "step"]
    assert safe_action_w == (998.0, 0.0, 0.0)
    assert interventions[0] == Intervention("box", (9000.0, -3.0, 0.0), (5000.0, 0.0, 0.0))
    assert interventions[1] == Intervention("step", (5000.0, 0.0, 0.0), (998.0, 0.0, 0.0))


def test_a_number_that_is_none_falls_back_on_what_is_on_air() -> None:
    seen = snapshot((700.0, 0.0, 0.0))
    safe_action_w, interventions = GATE.check((nan, 800.0, 0.0), Source.POLICY, seen)
    assert safe_action_w == (700.0, 0.0, 0.0)
    assert [i.rule for i in interventions] == ["finite"]


def test_a_margin_is_kept_for_rounding() -> None:
    assert GATE.check((999.0, 0.0, 0.0), Source.POLICY, snapshot())[0] == (998.0, 0.0, 0.0)
    assert GATE.check((998.0, 0.0, 0.0), Source.POLICY, snapshot()) == ((998.0, 0.0, 0.0), ())
    assert GATE.check((1.0, 0.0, 0.0), Source.POLICY, snapshot(age_s=0.001))[0] == ZERO
    at = snapshot((4000.0, 0.0, 0.0))
    (a, b, c), (found,) = GATE.check((4500.0, 0.0, 0.0), Source.POLICY, at)
    assert (found.rule, b, c) == ("imbalance", 0.0, 0.0)
    assert a == pytest.approx(alone(1998.0), abs=1e-6)
    assert GATE.check((alone(1997.99), 0.0, 0.0), Source.POLICY, at)[1] == ()


@pytest.mark.parametrize("requested_action_w", [ZERO, (5000.0, 5000.0, 5000.0), (nan, nan, nan)])
def test_rest_is_at_once_from_anywhere(requested_action_w: Phases) -> None:
    air_w = (5000.0, 5000.0, 5000.0)
    for age_s in (0.0, 1.0, nan):
        safe_action_w, interventions = GATE.check(requested_action_w, Source.REST, snapshot(air_w, age_s))
        assert safe_action_w == ZERO
        assert interventions == (Intervention("safe_release", air_w, ZERO),)
        assert GATE.accepts(ZERO, Source.REST, snapshot(air_w, age_s))
        assert not GATE.accepts((0.0, 0.0, 1.0), Source.REST, snapshot(air_w, age_s))
    assert GATE.check(requested_action_w, Source.REST, snapshot()) == (ZERO, ())


@pytest.mark.parametrize("air_w", [(nan, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 5000.1, 0.0), (0.0, 0.0, inf)])
def test_from_what_cannot_be_on_air_only_rest_is_allowed(air_w: Phases) -> None:
    seen = snapshot(air_w)
    assert GATE.check((100.0, 100.0, 100.0), Source.POLICY, seen) == (
        ZERO,
        (Intervention("on_air", air_w, ZERO),),
    )
    assert GATE.accepts(ZERO, Source.POLICY, seen)
    assert not GATE.accepts((1.0, 0.0, 0.0), Source.POLICY, seen)


def test_a_site_can_only_tighten() -> None:
    wide = SafetyGate(site(limits=Limits(1e9, 1e9, 1e9)))
    for gate in (wide, SafetyGate(site(limits=Limits(nan, nan, nan))), GATE):
        assert gate.check((9e9, 9e9, 9e9), Source.POLICY, snapshot((4900.0,) * 3))[0] == (PHASE_CAP_W,) * 3
        assert gate.accepts((STEP_CAP_W_PER_S, 0.0, 0.0), Source.POLICY, snapshot())
        assert not gate.accepts((STEP_CAP_W_PER_S + 0.01, 0.0, 0.0), Source.POLICY, snapshot())
        heavy = alone(IMBALANCE_CAP_W) + 1.0
        assert not gate.accepts((heavy, 0.0, 0.0), Source.POLICY, snapshot((4000.0, 0.0, 0.0)))
    tight = SafetyGate(site(limits=Limits(3000.0, 100.0, 500.0)))
    assert tight.accepts((3000.0,) * 3, Source.POLICY, snapshot((3000.0,) * 3))
    assert not tight.accepts((3000.1, 3000.0, 3000.0), Source.POLICY, snapshot((3000.0,) * 3))
    assert tight.accepts((100.0, 0.0, 0.0), Source.POLICY, snapshot())
    assert not tight.accepts((100.1, 0.0, 0.0), Source.POLICY, snapshot())
    edge = alone(500.0)
    assert tight.accepts((edge - 0.01, 0.0, 0.0), Source.POLICY, snapshot((edge - 50.0, 0.0, 0.0)))
    assert not tight.accepts((edge + 0.01, 0.0, 0.0), Source.POLICY, snapshot((edge - 50.0, 0.0, 0.0)))


def test_a_limit_tightened_below_what_is_on_air_is_approached_step_by_step() -> None:
    tight = SafetyGate(site(limits=Limits(phase_max_w=1000.0, imbalance_max_w=100.0)))
    air_w, trace = (5000.0, 800.0, 800.0), []
    for _ in range(20):
        air_w, _ = tight.check((1000.0, 1000.0, 1000.0), Source.POLICY, snapshot(air_w))
        trace.append(air_w[0])
    assert trace == sorted(trace, reverse=True)
    assert air_w == (1000.0, 1000.0, 1000.0)


@pytest.mark.parametrize(
    ("role", "grid_w", "air_w", "action_w", "is_allowed"),
    [
        # one phase exports 4 kW: absorbing there levels the grid, although the action is one-sided
        (Role.ABSORB, (-4000.0, 0.0, 0.0), (4500.0, 0.0, 0.0), (5000.0, 0.0, 0.0), True),
        (Role.ABSORB, (0.0, 0.0, 0.0), (4500.0, 0.0, 0.0), (5000.0, 0.0, 0.0), True),
        # the grid ends exactly at, then just above its limit
        (Role.ABSORB, (alone(2000.0) - 100.0, 0.0, 0.0), (500.0, 0.0, 0.0), (599.9, 0.0, 0.0), True),
        (Role.ABSORB, (alone(2000.0) - 100.0, 0.0, 0.0), (500.0, 0.0, 0.0), (600.1, 0.0, 0.0), False),
        (Role.GENERATE, (100.0 - alone(2000.0), 0.0, 0.0), (500.0, 0.0, 0.0), (599.9, 0.0, 0.0), True),
        (Role.GENERATE, (100.0 - alone(2000.0), 0.0, 0.0), (500.0, 0.0, 0.0), (600.1, 0.0, 0.0), False),
        # tilted beyond the limit already: never further, but as it is or less
        (Role.ABSORB, (9000.0, 0.0, 0.0), (500.0, 0.0, 0.0), (501.0, 0.0, 0.0), False),
        (Role.ABSORB, (9000.0, 0.0, 0.0), (500.0, 0.0, 0.0), (500.0, 0.0, 0.0), True),
        (Role.ABSORB, (9000.0, 0.0, 0.0), (500.0, 0.0, 0.0), (499.0, 0.0, 0.0), True),
        (Role.GENERATE, (9000.0, 0.0, 0.0), (500.0, 0.0, 0.0), (501.0, 0.0, 0.0), True),
        # without a reading the action itself is judged
        (Role.ABSORB, (nan, 0.0, 0.0), (4000.0, 0.0, 0.0), (4200.0, 0.0, 0.0), True),
        (Role.ABSORB, (nan, 0.0, 0.0), (4000.0, 0.0, 0.0), (4300.0, 0.0, 0.0), False),
        (Role.ABSORB, (0.0, inf, 0.0), (4000.0, 0.0, 0.0), (4300.0, 0.0, 0.0), False),
    ],
)
def test_imbalance_of_the_grid(
    role: Role, grid_w: Phases, air_w: Phases, action_w: Phases, is_allowed: bool
) -> None:
    gate = SafetyGate(site(role=role, limits=GRID))
    assert gate.accepts(action_w, Source.POLICY, snapshot(air_w, 1.0, grid_w)) is is_allowed


def test_the_default_judges_the_action() -> None:
    seen = replace(snapshot((4200.0, 0.0, 0.0)), grid_power_w=(-4000.0, 0.0, 0.0))
    assert Limits().imbalance_of is ImbalanceOf.ACTION
    assert not GATE.accepts((4300.0, 0.0, 0.0), Source.POLICY, seen)
    assert ON_GRID.accepts((4300.0, 0.0, 0.0), Source.POLICY, seen)


def test_a_vector_must_fit_all_that_may_be_on_air() -> None:
    maybe = OnAirState((900.0, 0.0, 0.0), (), 0.0)
    seen = replace(snapshot(), on_air=replace(maybe, doubts=(OnAirState(ZERO, (), 1.0),)))
    assert GATE.accepts((900.0, 0.0, 0.0), Source.POLICY, seen)
    assert not GATE.accepts((899.0, 0.0, 0.0), Source.POLICY, seen)
    assert not GATE.accepts(ZERO, Source.POLICY, seen)
    assert GATE.accepts(ZERO, Source.REST, seen)
    far = replace(
        seen,
        on_air=replace(maybe, doubts=(OnAirState(ZERO, (), 1.0), OnAirState((0.0, 200.0, 0.0), (), 0.9))),
    )
    assert not GATE.accepts((900.0, 0.0, 0.0), Source.POLICY, far)


@given(grid_w=grids, air_w=st.floats(0.0, 5000.0), requested_action_w=st.floats(0.0, 5000.0))
def test_moving_every_phase_alike_is_no_matter_of_imbalance(
    grid_w: Phases, air_w: float, requested_action_w: float
) -> None:
    """However far apart the grid's phases are, and whatever the last bits of that figure say."""
    seen = snapshot((air_w,) * 3, 1.0, grid_w)
    for gate in (GATE, ON_GRID):
        safe_action_w, interventions = gate.check((requested_action_w,) * 3, Source.POLICY, seen)
        assert "imbalance" not in [intervention.rule for intervention in interventions]
        assert gate.accepts(safe_action_w, Source.POLICY, seen)


def test_the_imbalance_limit_itself_is_allowed() -> None:
    action_w = (900.0, 0.0, 0.0)
    exactly = SafetyGate(site(limits=Limits(imbalance_max_w=spread_w(action_w))))
    assert exactly.accepts(action_w, Source.POLICY, snapshot())
