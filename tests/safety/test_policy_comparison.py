"""The judge: what is counted, and each of the five reasons to roll back."""

from collections.abc import Sequence
from dataclasses import replace
from math import log
from random import Random

import pytest

from core.site import Phases
from safety.evidence import PairedSums, log_e_value
from safety.policy_comparison import (
    ComparisonState,
    JudgedEnergy,
    ReversalHistory,
    TickCost,
    is_better_by_days,
    is_gross,
    is_worse,
    is_worse_by_days,
    judge,
    oscillates,
    totals,
)

LEVEL: Phases = (500.0, 500.0, 500.0)


def second(
    own_w: float, twin_w: float, own_action_w: Phases = LEVEL, twin_action_w: Phases = LEVEL
) -> TickCost:
    """Export and J are the same here."""
    return TickCost(own_w, own_w, own_action_w, twin_w, twin_w, twin_action_w)


def lived(
    seconds: int, one: TickCost | None, evidence: ComparisonState | None = None, step_s: float = 1.0
) -> tuple[list[str], ComparisonState]:
    reasons: list[str] = []
    evidence = evidence or ComparisonState()
    for tick in range(seconds):
        found, evidence = judge(1000.0 + tick * step_s, step_s, one, False, evidence)
        reasons.extend(found)
    return reasons, evidence


def test_a_whole_span_is_a_pair_and_what_is_left_over_waits() -> None:
    reasons, evidence = lived(7200 + 90, second(40.0, 60.0))
    assert reasons == []
    assert evidence.export == evidence.j == PairedSums(1, 80.0, 120.0, 6400.0, 9600.0, 14400.0)
    assert evidence.span == JudgedEnergy(90.0, 3600.0, 3600.0, 5400.0, 5400.0)
    assert evidence.minute == JudgedEnergy(30.0, 1200.0, 1200.0, 1800.0, 1800.0)
    assert evidence.minutes == ((40.0 / 60.0, 1.0),) * 60
    assert totals(evidence) == {"export": evidence.export, "j": evidence.j}


def test_export_and_j_are_two_accounts() -> None:
    one = TickCost(10.0, 20.0, LEVEL, 30.0, 50.0, LEVEL)
    _, evidence = lived(7200, one)
    assert (evidence.export.x, evidence.export.y) == (20.0, 60.0)
    assert (evidence.j.x, evidence.j.y) == (40.0, 100.0)


def test_longer_ticks_weigh_more() -> None:
    _, evidence = lived(3600, second(40.0, 60.0), step_s=2.0)
    assert evidence.export == PairedSums(1, 80.0, 120.0, 6400.0, 9600.0, 14400.0)


def test_time_that_is_nobody_s_counts_for_nobody() -> None:
    _, evidence = lived(3600, second(40.0, 60.0))
    _, evidence = lived(9000, None, evidence)
    assert evidence.span.judged_s == 3600.0
    _, evidence = lived(3600, second(40.0, 60.0), evidence)
    assert (evidence.export.spans, evidence.export.x) == (1, 80.0)


def test_worse_for_three_days_is_rolled_back_and_not_a_span_earlier() -> None:
    evidence = ComparisonState()
    reasons: list[str] = []
    while not reasons:
        worse = 66.0 + 6.0 * (evidence.export.spans % 3)
        found, evidence = lived(720, second(worse, 60.0), evidence, step_s=10.0)
        reasons.extend(found)
    assert set(reasons) == {"export", "j"}
    assert evidence.export.spans == 36


def test_export_alone_is_enough_and_so_is_j() -> None:
    for own_export_w, own_j_w, name in ((80.0, 60.0, "export"), (60.0, 80.0, "j")):
        one = TickCost(own_export_w, own_j_w, LEVEL, 60.0, 60.0, LEVEL)
        reasons, _ = lived(36 * 720, one, step_s=10.0)
        assert reasons == [name]


def pairs_of(own_wh: float, spans: int) -> PairedSums:
    pairs = PairedSums()
    for _ in range(spans):
        pairs = pairs.add(own_wh, 60.0)
    return pairs


@pytest.mark.parametrize(("own_wh", "expected"), [(62.9, False), (63.3, True), (54.0, False)])
def test_less_than_five_percent_is_never_worth_it(own_wh: float, expected: bool) -> None:
    assert is_worse(pairs_of(own_wh, 500)) is expected


def test_three_days_are_the_least() -> None:
    assert not is_worse(pairs_of(90.0, 35))
    assert is_worse(pairs_of(90.0, 36))


def test_beyond_doubt_means_one_in_two_hundred() -> None:
    rng, pairs, before = Random(5), PairedSums(), PairedSums()
    while pairs.spans < 36 or log_e_value(pairs, 0.05) < log(200.0):
        before, pairs = pairs, pairs.add(60.0 * rng.choice((0.75, 1.45)), 60.0)
    assert log(200.0) <= log_e_value(pairs, 0.05) < log(300.0)
    assert is_worse(pairs)
    assert log(120.0) < log_e_value(before, 0.05)
    assert not is_worse(before)


def test_what_is_not_beyond_doubt_waits() -> None:
    rng, pairs = Random(2), PairedSums()
    for _ in range(100):
        pairs = pairs.add(60.0 * rng.choice((0.2, 2.1)), 60.0)
    assert pairs.excess is not None
    assert pairs.excess > 0.05
    assert not is_worse(pairs)


def days_of(own_wh: Sequence[float]) -> PairedSums:
    days = PairedSums()
    for one_wh in own_wh:
        days = days.add_weighted(one_wh, 600.0)
    return days


def test_days_that_agree_roll_back_and_days_that_do_not_wait() -> None:
    assert [is_worse_by_days(days_of([660.0] * n)) for n in range(8)] == [False] * 6 + [True] * 2
    assert not is_worse_by_days(days_of([660.0, 900.0, 480.0, 640.0, 710.0, 570.0] * 2))


def test_days_ask_for_an_amount_that_matters() -> None:
    assert not is_worse_by_days(days_of([629.0] * 20))
    assert is_worse_by_days(days_of([631.0] * 20))
    assert not is_worse_by_days(days_of([540.0] * 20))


def test_better_means_by_more_than_the_twin_may_be_off() -> None:
    assert is_better_by_days(days_of([540.0] * 10))
    assert not is_better_by_days(days_of([583.0] * 10))
    assert not is_better_by_days(days_of([660.0] * 10))
    assert not is_better_by_days(PairedSums())


def test_a_day_is_over_when_its_sun_is() -> None:
    """Two days from noon: ten hours of sun around it, and the night."""
    sunny, dark = second(120.0, 100.0), second(0.0, 0.0)
    evidence = ComparisonState()
    for hours, one in ((5, sunny), (14, dark), (10, sunny), (14, dark)):
        _, evidence = lived(hours * 360, one, evidence, step_s=10.0)
    assert evidence.export_days.spans == 2
    first = PairedSums().add_weighted(600.0, 500.0)
    assert evidence.export_days.xy == pytest.approx(first.add_weighted(1200.0, 1000.0).xy)
    assert evidence.day.costs_nothing


def test_a_day_without_sun_is_no_day_and_one_without_night_has_an_end() -> None:
    _, evidence = lived(24 * 360, second(0.0, 0.0), step_s=10.0)
    assert (evidence.export_days.spans, evidence.day) == (0, JudgedEnergy())
    _, evidence = lived(24 * 360, second(50.0, 60.0), step_s=10.0)
    assert (evidence.export_days.spans, evidence.j_days.spans, evidence.day.judged_s) == (1, 1, 0.0)


def test_a_twin_without_export_proves_nothing() -> None:
    assert not is_worse(PairedSums())
    assert not is_worse(PairedSums().add(50.0, 0.0))


@pytest.mark.parametrize(
    ("own_wh", "twin_wh", "expected"),
    [
        (3000.0, 2390.0, True),
        (3000.0, 2401.0, False),  # not a quarter more
        (3000.0, 2400.0, False),  # a quarter exactly
        (625.0, 125.0, False),  # 500 Wh exactly
        (626.0, 125.0, True),
        (501.0, 0.0, True),
        (0.0, 3000.0, False),
    ],
)
def test_gross(own_wh: float, twin_wh: float, expected: bool) -> None:
    assert is_gross(((own_wh - 100.0, twin_wh), (100.0, 0.0))) is expected


def test_a_gross_breach_is_met_within_minutes_and_forgotten_after_an_hour() -> None:
    reasons, evidence = lived(360, second(6000.0, 900.0))
    assert reasons == ["gross"]  # 6 minutes: 600 Wh against 90
    reasons, evidence = lived(61 * 60, second(10.0, 10.0), evidence)
    assert reasons.count("gross") == 54  # as long as these minutes are within the last hour
    reasons, _ = lived(600, second(10.0, 10.0), evidence)
    assert "gross" not in reasons


def on_phase(phase: int, action_w: float) -> Phases:
    a, b, c = (action_w if at == phase else 500.0 for at in range(3))
    return (a, b, c)


def swung(
    own: list[float], twin: list[float], step_s: float = 5.0, phase: int = 1
) -> tuple[list[str], ComparisonState]:
    reasons: list[str] = []
    evidence = ComparisonState()
    for tick, (a, b) in enumerate(zip(own, twin, strict=True)):
        one = second(0.0, 0.0, on_phase(phase, a), on_phase(phase, b))
        found, evidence = judge(1000.0 + tick * step_s, step_s, one, False, evidence)
        reasons.extend(found)
    return reasons, evidence


def test_an_action_that_swings_by_itself_is_rolled_back_at_its_fortieth_turn() -> None:
    swings = [0.0, 1000.0] * 21
    reasons, evidence = swung(swings[:41], [500.0] * 41)  # the first move sets a direction
    assert reasons == []
    assert len(evidence.own_turns.at_s[1]) == 39
    assert swung(swings, [500.0] * 42)[0] == ["oscillation"]


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_every_phase_is_watched(phase: int) -> None:
    reasons, evidence = swung([0.0, 1000.0] * 21, [500.0] * 42, phase=phase)
    assert reasons == ["oscillation"]
    assert [len(times) for times in evidence.own_turns.at_s] == [40 * (at == phase) for at in range(3)]


def test_a_turn_is_forgotten_after_five_minutes() -> None:
    turned = ReversalHistory(at_s=((0.0,), (0.5,), (299.0,)))
    assert turned.after((0.0, 0.0, 0.0), 300.0).at_s == ((), (0.5,), (299.0,))


def test_small_turns_and_slow_ones_are_none() -> None:
    assert swung([0.0, 500.0] * 40, [500.0] * 80)[0] == []
    assert swung([0.0, 501.0] * 40, [500.0] * 80)[0] != []
    assert swung([0.0, 1000.0] * 40, [500.0] * 80, step_s=7.5)[0] != []  # the one 300 s ago is forgotten
    assert swung([0.0, 1000.0] * 40, [500.0] * 80, step_s=7.7)[0] == []  # 39 in 300 s


def test_who_swings_with_the_twin_follows_the_house() -> None:
    assert swung([0.0, 1000.0] * 40, [0.0, 1000.0] * 40)[0] == []
    twin = [0.0, 1000.0] * 11 + [1000.0] * 30  # 20 turns
    own = [0.0, 1000.0] * 26
    assert swung(own[:42], twin[:42])[0] == ["oscillation"]  # 40 turns against 20
    assert swung(own[:41], twin[:41])[0] == []  # 39 against 20


def test_turns_begin_anew_when_nobody_was_judged() -> None:
    _, evidence = swung([0.0, 1000.0] * 3, [500.0] * 6)
    _, evidence = judge(1030.0, 5.0, None, False, evidence)
    assert evidence.own_turns == evidence.twin_turns == ReversalHistory()
    assert not oscillates(evidence)


def test_the_third_anomaly_within_a_week_is_rolled_back() -> None:
    day_s, evidence, found = 86400.0, ComparisonState(), []
    for day in range(5):
        reasons, evidence = judge(day * day_s, day_s, None, day in (0, 2, 4), evidence)
        found.append(reasons)
    assert found == [(), (), (), (), ("anomalies",)]
    assert evidence.trips_ago_s == (4 * day_s, 2 * day_s, 0.0)


def test_anomalies_are_forgotten_after_a_week() -> None:
    day_s, evidence = 86400.0, ComparisonState()
    for day in (0, 1):
        _, evidence = judge(day * day_s, day_s, None, True, evidence)
    reasons, evidence = judge(7 * day_s, 6 * day_s, None, True, evidence)  # the first was a week ago
    assert (reasons, evidence.trips_ago_s) == ((), (6 * day_s, 0.0))
    reasons, _ = judge(7 * day_s, 0.0, None, True, replace(evidence, trips_ago_s=(7 * day_s - 1.0, 1.0)))
    assert reasons == ("anomalies",)


def test_only_three_anomalies_are_kept() -> None:
    evidence = ComparisonState(trips_ago_s=(3.0, 2.0, 1.0))
    reasons, evidence = judge(1000.0, 1.0, None, True, evidence)
    assert (reasons, evidence.trips_ago_s) == (("anomalies",), (3.0, 2.0, 0.0))
