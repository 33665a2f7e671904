"""The walk through the plan, without clock, disk or wires."""

from dataclasses import replace
from math import nan
from random import Random

import pytest

from daemon.config.rollout_section import RolloutSection
from daemon.policy.rollout_walker import plan_of
from daemon.rollout.evidence import RolloutTick
from daemon.rollout.lot import ALPHA, LotCount, OpenBlock, log_e_value
from daemon.rollout.plan import STEPS, Confirmation, RolloutPlan, RolloutStep, StepRule
from daemon.rollout.record import from_record, to_record
from daemon.rollout.requirements import Judged, requirements
from daemon.rollout.walk import (
    LOT,
    MOVES_KEPT,
    MoveKind,
    MoveRefused,
    RolloutState,
    advanced,
    back,
    begun,
    due,
    held,
    lived,
    taken_back,
)
from daemon.system.state_file import encode
from safety.evidence import PairedSums

RULE = StepRule(3600.0, 1800.0, 2, Confirmation.AUTOMATIC)
PLAN = RolloutPlan((RULE,) * 6, 600.0)
TICK = RolloutTick(60.0, True, True, (500.0, 500.0, 500.0), 0.002, False, False, 0, 0.0, False)


def pairs(excess: float, spans: int = 60) -> PairedSums:
    sums = PairedSums()
    for number in range(spans):
        sums = sums.add((1.0 + excess) * (100.0 + number % 3), 100.0)
    return sums


def judged(excess: float, spans: int = 60) -> Judged:
    sums = pairs(excess, spans)
    return Judged(sums, sums, sums, sums, sums)


GOOD = judged(-0.3)


def fresh() -> RolloutState:
    return begun(RolloutState(), "policy", "law", 0.0)


def after_ticks(state: RolloutState, count: int = 90, tick: RolloutTick = TICK) -> RolloutState:
    """Minutes of one step; blocks of ten minutes take turns."""
    for minute in range(count):
        share = 0.0 if state.step is RolloutStep.SHADOW else 0.5
        block = replace(tick, block=minute // 10, propensity=share, is_policy=minute // 10 % 2 == 0)
        state = lived(PLAN, state, block)
    return state


def missing(state: RolloutState, found: Judged | None = GOOD) -> set[str]:
    return {one.name for one in requirements(PLAN, state.step, state.evidence, found) if not one.holds}


def test_a_good_policy_takes_every_step_and_no_two_at_once() -> None:
    state, seen = fresh(), [RolloutStep.SHADOW]
    for number in range(20):
        state = due(PLAN, after_ticks(state), GOOD, 5400.0 * number)
        if state.step is not seen[-1]:
            seen.append(state.step)
            assert state.evidence.ran_s == 0.0
    assert tuple(seen) == STEPS
    assert [move.kind for move in state.moves] == [MoveKind.BEGUN, *[MoveKind.ADVANCED] * 6]
    assert any("time: 1.5 h of 1 h" in reason for reason in state.moves[-1].reasons)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"step_s": 30.0}, {"time", "clean"}),
        ({"has_sun": False}, {"sun"}),
        ({"is_measured": False}, {"sun", "measured", "answers", "latency", "changes", "imbalance"}),
        ({"proposal_w": None}, {"answers", "latency", "changes", "imbalance"}),
        ({"latency_s": 0.2}, {"latency"}),
        ({"latency_s": nan}, {"latency"}),
        ({"proposal_w": (3000.0, 0.0, 0.0)}, {"imbalance"}),
    ],
)
def test_what_is_missing_is_named_and_nothing_goes_on(change: dict[str, object], lacks: set[str]) -> None:
    state = after_ticks(fresh(), tick=replace(TICK, **change))  # type: ignore[arg-type]
    assert missing(state) == lacks
    assert due(PLAN, state, GOOD, 0.0).step is RolloutStep.SHADOW


def test_a_violation_or_an_anomaly_begins_the_clean_time_anew() -> None:
    for change in ({"is_violation": True}, {"is_anomaly": True}):
        state = lived(PLAN, after_ticks(fresh()), replace(TICK, **change))  # type: ignore[arg-type]
        assert missing(state) == {"clean"}
        assert missing(after_ticks(state, 60)) == set()


def test_restless_proposals_are_counted_per_phase() -> None:
    state = fresh()
    for second in range(7200):
        watts = 500.0 + 100.0 * (second % 2)
        state = lived(PLAN, state, replace(TICK, step_s=1.0, proposal_w=(watts, watts, watts)))
    assert missing(state) == {"changes"}


def test_worth_is_an_estimate_in_the_shadow_and_certain_after_it() -> None:
    shadow = after_ticks(fresh())
    assert missing(shadow, judged(-0.01, 3)) == set()
    assert missing(shadow, judged(0.03)) == {"export", "j"}
    assert missing(shadow, judged(0.0, 0)) == {"export", "j"}
    assert missing(shadow, None) == {"better"}
    comparing = after_ticks(replace(fresh(), step=RolloutStep.AB))
    assert missing(comparing, judged(-0.01, 3)) == {"export"}
    assert missing(comparing, judged(-0.3)) == set()


def test_an_operator_confirms_where_the_plan_says_so() -> None:
    plan = replace(PLAN, rules=(replace(RULE, confirmation=Confirmation.OPERATOR), *PLAN.rules[1:]))
    state = due(plan, after_ticks(fresh()), GOOD, 1.0)
    assert (state.step, state.is_ready, state.moves[-1].kind) == (RolloutStep.SHADOW, True, MoveKind.READY)
    assert due(plan, state, GOOD, 2.0) == state  # told once
    assert not due(plan, state, judged(0.1), 2.0).is_ready
    state = advanced(plan, state, GOOD, None, "user 7", 3.0, forced=False)
    assert (state.step, state.moves[-1].by, state.moves[-1].forced) == (RolloutStep.AB, "user 7", False)


def test_leaps_and_early_steps_are_refused_unless_forced() -> None:
    with pytest.raises(MoveRefused, match=r"from shadow to ab is missing: time \(0\.0 h of 1 h\).*--force"):
        advanced(PLAN, fresh(), GOOD, None, "user 0", 0.0, forced=False)
    ready = after_ticks(fresh())
    with pytest.raises(MoveRefused, match=r"from shadow to production is missing: the steps between"):
        advanced(PLAN, ready, GOOD, RolloutStep.PRODUCTION, "user 0", 0.0, forced=False)
    leapt = advanced(PLAN, ready, GOOD, RolloutStep.PRODUCTION, "user 0", 0.0, forced=True)
    assert (leapt.step, leapt.moves[-1].forced) == (RolloutStep.PRODUCTION, True)
    assert leapt.moves[-1].reasons == ("the steps between (next is ab)",)
    with pytest.raises(MoveRefused, match="is at production already"):
        advanced(PLAN, leapt, GOOD, None, "user 0", 0.0, forced=True)
    with pytest.raises(MoveRefused, match="no policy"):
        advanced(PLAN, RolloutState(), GOOD, None, "user 0", 0.0, forced=True)


def test_a_breach_goes_back_to_the_shadow_from_anywhere() -> None:
    for step in STEPS[1:]:
        state = taken_back(after_ticks(replace(fresh(), step=step)), ("rollback",), 9.0)
        assert (state.step, state.moves[-1].reasons, state.evidence.ran_s) == (
            RolloutStep.SHADOW,
            ("rollback",),
            0.0,
        )


def test_another_policy_begins_anew_and_another_fallback_begins_the_step_anew() -> None:
    state = after_ticks(replace(fresh(), step=RolloutStep.SHARE_50))
    assert begun(state, "policy", "law", 0.0) is state
    assert begun(state, "", "law", 0.0) is state  # between two policies there is none for a tick
    other = begun(state, "another", "law", 0.0)
    assert (other.step, other.evidence.ran_s, other.policy) == (RolloutStep.SHADOW, 0.0, "another")
    retuned = begun(state, "policy", "other gains", 0.0)
    assert (retuned.step, retuned.evidence.ran_s) == (RolloutStep.SHARE_50, 0.0)


def test_a_held_plan_goes_no_further_and_back_is_always_open() -> None:
    state = held(after_ticks(replace(fresh(), step=RolloutStep.AB)), "user 0", 0.0, release=False)
    assert due(PLAN, state, GOOD, 0.0).step is RolloutStep.AB
    with pytest.raises(MoveRefused, match="held"):
        advanced(PLAN, state, GOOD, None, "user 0", 0.0, forced=False)
    with pytest.raises(MoveRefused, match="held"):
        held(state, "user 0", 0.0, release=False)
    assert back(state, None, "user 0", 0.0).step is RolloutStep.SHADOW
    with pytest.raises(MoveRefused, match="not further back"):
        back(state, RolloutStep.SHARE_75, "user 0", 0.0)
    free = held(state, "user 0", 0.0, release=True)
    assert due(PLAN, free, GOOD, 0.0).step is RolloutStep.SHARE_25
    with pytest.raises(MoveRefused, match="not held"):
        held(free, "user 0", 0.0, release=True)


def test_a_lot_whose_blocks_do_not_arrive_stops_the_plan() -> None:
    """Every second block of the policy falls short, as with a policy that brings the daemon down."""
    state = replace(fresh(), step=RolloutStep.AB)
    for block in range(300):
        is_policy = block % 2 == 0
        is_lost = is_policy and block % 4 == 0
        tick = replace(TICK, step_s=600.0, is_measured=not is_lost)
        state = lived(PLAN, state, replace(tick, block=block, propensity=0.5, is_policy=is_policy))
    stopped = due(PLAN, state, GOOD, 0.0)
    assert (stopped.step, stopped.held, stopped.moves[-1].kind) == (RolloutStep.AB, LOT, MoveKind.HELD)
    assert "lot" in missing(stopped)
    assert due(PLAN, stopped, GOOD, 0.0).moves == stopped.moves
    free = held(stopped, "user 0", 0.0, release=True)
    assert free.evidence.lot == LotCount()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_sound_lot_is_hardly_ever_called_broken_and_a_broken_one_is(share: float) -> None:
    def broken(true_share: float, rng: Random) -> bool:
        lot = LotCount()
        for index in range(700):
            lot = lot.add(OpenBlock(index, rng.random() < true_share, share, 600.0), 600.0)
        return lot.is_broken

    rng = Random(5)
    assert sum(broken(share, rng) for _ in range(60)) == 0
    assert all(broken(share - 0.15, rng) for _ in range(20))
    assert log_e_value(0, 0, share) == pytest.approx(0.0)
    assert ALPHA == 0.001


def test_a_block_that_changed_hands_or_was_hardly_measured_counts_as_short() -> None:
    state = replace(fresh(), step=RolloutStep.AB)
    by_lot = replace(TICK, propensity=0.5)
    for block, is_policy in ((0, True), (0, False), (1, True), (2, True)):
        tick = replace(by_lot, block=block, is_policy=is_policy, step_s=10.0 if block == 1 else 400.0)
        state = lived(PLAN, state, tick)
    assert state.evidence.lot == LotCount(policy_short=2)


def test_the_state_outlives_the_file_and_nothing_else_is_taken_for_it() -> None:
    state = due(PLAN, after_ticks(replace(fresh(), step=RolloutStep.AB)), GOOD, 5.0)
    state = after_ticks(state, 33)
    for number in range(2 * MOVES_KEPT):
        state = held(state, "user 1000", 1.7e9 + number, release=bool(state.held))
    record = to_record(state)
    encode(1, record)  # fits the file
    restored = from_record(record)
    assert restored == replace(state, evidence=replace(state.evidence, proposal_w=None))
    for damage in ({}, {"schema_version": 2}, {"step": "all"}, {"evidence": {"ran_s": nan}}, {"bogus": 1}):
        assert from_record(record | damage if damage else {}) is None
    assert from_record(None) is None


def test_the_default_plan_takes_the_weeks_of_the_specification() -> None:
    plan = plan_of(RolloutSection())
    assert [rule.least_s for rule in plan.rules] == [7 * 86400.0] * 6
    assert plan.rules[0].confirmation is Confirmation.OPERATOR
    assert plan.block_s == 86400.0
