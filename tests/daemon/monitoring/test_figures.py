"""Figures against tables worked out by hand."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan

import pytest

from core.decision import Anomaly, Authority, Intervention, Send, Source, State, SupervisorDecision
from core.roles import Role
from core.site import Metering, Phases, Site, Slave
from core.snapshot import OnAirState, SlaveState
from daemon.monitoring.accumulators import Histogram, Movement, Recent, Rolling
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import SlavePowerEstimator, UncontrolledPowerEstimator
from daemon.monitoring.status import status
from daemon.monitoring.telemetry import Cost, RadioStatistics
from tests.support.telemetry_feed import ABOUT, BLIND, STATE_OF, decision, snapshot

NET = Site(slaves=(Slave(0, "tank", 0, 3000),))
PER_PHASE = Site(slaves=NET.slaves, metering=Metering.PER_PHASE)
COST = Cost(0.0005, 0.001, 0.00004)


def live(
    figures: Figures, rows: list[tuple[float, Phases]], model_w: Phases = (0.0, 0.0, 0.0), day: int = 1
) -> None:
    """One tick for each (instant, grid power); `model_w` is what the slave is believed to draw."""
    for at_s, grid_w in rows:
        seen = snapshot(at_s, grid_w, slaves=(SlaveState(),))
        estimate = replace(BLIND, model_w=model_w)
        decided = decision(estimate=estimate, setpoints_w=(0,))
        figures.update(seen, decided, cost=COST, local=datetime(2026, 6, day, 12, tzinfo=UTC))


def test_energy_of_a_netting_meter() -> None:
    """(-300, -100, +100) W nets to 300 W export; the slave draws 500 W, so 800 W would have left."""
    figures = Figures(NET, ABOUT, 0.0)
    live(figures, [(10.0, (-300.0, -100.0, 100.0)), (11.0, (-300.0, -100.0, 100.0))], (500.0, 0.0, 0.0))
    total = figures.ledger.total
    assert (total.exported_j, total.imported_j, total.avoidable_import_j) == (300.0, 0.0, 0.0)
    assert (total.exported_without_j, total.placed_j, total.measured_s) == (800.0, 500.0, 1.0)
    assert figures.without_w == (-800.0, -100.0, 100.0)


def test_energy_billed_phase_by_phase() -> None:
    """The same readings billed one by one: 400 W out, 100 W in; without: 900 W out."""
    figures = Figures(PER_PHASE, ABOUT, 0.0)
    live(figures, [(10.0, (-300.0, -100.0, 100.0)), (12.0, (-300.0, -100.0, 100.0))], (500.0, 0.0, 0.0))
    total = figures.ledger.total
    assert (total.exported_j, total.imported_j) == (800.0, 200.0)
    assert (total.exported_without_j, total.imported_without_j) == (1800.0, 200.0)


def test_avoidable_import_is_what_the_slaves_drew_from_the_grid() -> None:
    """200 W import while the slave draws 500 W: 200 W of it are avoidable, and 300 W would have left."""
    figures = Figures(NET, ABOUT, 0.0)
    live(figures, [(10.0, (200.0, 0.0, 0.0)), (11.0, (200.0, 0.0, 0.0))], (500.0, 0.0, 0.0))
    assert figures.ledger.total.avoidable_import_j == 200.0
    assert figures.ledger.total.exported_without_j == 300.0


def test_generating_slaves_raise_export_and_have_no_avoidable_import() -> None:
    figures = Figures(Site(slaves=NET.slaves, role=Role.GENERATE), ABOUT, 0.0)
    live(figures, [(10.0, (-200.0, 0.0, 0.0)), (11.0, (-200.0, 0.0, 0.0))], (500.0, 0.0, 0.0))
    assert figures.without_w == (300.0, 0.0, 0.0)
    assert figures.ledger.total.exported_without_j == 0.0
    assert figures.ledger.total.avoidable_import_j == 0.0


def test_a_given_baseline_wins_over_the_estimate() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    for at_s in (1.0, 2.0):
        seen = snapshot(at_s, (0.0, 0.0, 0.0), slaves=(SlaveState(),))
        figures.update(seen, decision(setpoints_w=(0,)), cost=COST, baseline_grid_power_w=(-900.0, 0.0, 0.0))
    assert figures.ledger.total.exported_without_j == 900.0
    assert figures.without_given


@pytest.mark.parametrize(
    ("age_s", "grid_w", "step_s"),
    [(3.0, -500.0, 1.0), (inf, -500.0, 1.0), (nan, -500.0, 1.0), (0.0, nan, 1.0), (0.0, -500.0, 9.0)],
)
def test_energy_is_never_guessed(age_s: float, grid_w: float, step_s: float) -> None:
    """Old samples, values that are none and gaps are time not measured, never energy."""
    figures = Figures(NET, ABOUT, 0.0)
    live(figures, [(10.0, (0.0, 0.0, 0.0))])
    seen = snapshot(10.0 + step_s, (grid_w, 0.0, 0.0), slaves=(SlaveState(),), meter_age_s=age_s)
    figures.update(seen, decision(setpoints_w=(0,)), cost=COST)
    total = figures.ledger.total
    assert (total.exported_j, total.measured_s, total.unmeasured_s) == (0.0, 0.0, step_s)
    json.dumps(status(figures, 11.0), allow_nan=False)


def test_a_new_day_starts_from_nothing_and_a_restart_goes_on() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    live(figures, [(10.0, (-100.0, 0.0, 0.0)), (11.0, (-100.0, 0.0, 0.0))], day=1)
    carried = json.loads(json.dumps(figures.carry()))
    again = Figures(NET, ABOUT, 50.0, carried)
    live(again, [(60.0, (-100.0, 0.0, 0.0)), (61.0, (-100.0, 0.0, 0.0))], day=1)
    assert (again.ledger.today.exported_j, again.ledger.total.exported_j) == (200.0, 200.0)
    live(again, [(62.0, (-100.0, 0.0, 0.0))], day=2)
    assert (again.ledger.today.exported_j, again.ledger.total.exported_j) == (100.0, 300.0)


@pytest.mark.parametrize(
    "broken",
    [
        {"counts": 3, "ledger": []},
        {"counts": {"violations": -1}, "ledger": {"total": {"exported_j": "x"}, "today_is": "soon"}},
        {"counts": {"violations": 1.5}, "ledger": {"total": {"exported_j": nan, "imported_j": inf}}},
    ],
)
def test_a_broken_carry_counts_as_none(broken: dict[str, object]) -> None:
    figures = Figures(NET, ABOUT, 0.0, broken)
    assert figures.carry() == Figures(NET, ABOUT, 0.0).carry()


def test_reduction_needs_something_to_reduce() -> None:
    """One hour of 60 W exported where 600 W would have been: 90 %. Below 50 Wh there is no answer."""
    figures = Figures(NET, ABOUT, 0.0)
    live(figures, [(float(s), (-60.0, 0.0, 0.0)) for s in range(0, 240, 2)], (540.0, 0.0, 0.0))
    assert figures.ledger.reduction_1h(240.0) is None
    live(figures, [(float(s), (-60.0, 0.0, 0.0)) for s in range(240, 3000, 2)], (540.0, 0.0, 0.0))
    assert figures.ledger.reduction_1h(3000.0) == pytest.approx(0.9)
    assert figures.ledger.reduction_1h(9000.0) is None


def test_movement_counts_changes_and_reversals() -> None:
    """Deadband 50 W: 0 60 110 250 240 100 90 200; a turn counts beyond 100 W from the last extreme."""
    movement = Movement()
    steps = [movement.step(w, 50.0) for w in (0.0, 60.0, 110.0, 250.0, 240.0, 100.0, 90.0, 200.0)]
    assert [changed for changed, _ in steps] == [False, True, False, True, False, True, False, True]
    assert [turned for _, turned in steps] == [False, False, False, False, False, True, False, True]


def test_changes_per_minute_are_per_phase_over_five_minutes() -> None:
    """One phase toggles 0/200 W each 10 s for 5 minutes: 6 changes a minute on one of three phases."""
    figures = Figures(NET, ABOUT, 0.0)
    for at in range(600):
        on_air = OnAirState((200.0 * (at // 10 % 2), 0.0, 0.0), (0,), 1.0)
        seen = snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(),), on_air=on_air)
        figures.update(seen, decision(setpoints_w=(0,)), cost=COST)
    assert figures.changes_per_min(599.0) == pytest.approx((2.0, 2.0))
    assert figures.changes == [59, 0, 0]
    assert figures.reversals == [58, 0, 0]


def test_reports_are_counted_and_the_share_of_answers_is_the_radio_s() -> None:
    """Slaves answer unasked as well: what was heard per what was asked for would hide losses."""
    figures = Figures(NET, ABOUT, 0.0)
    assert figures.radio.ack_rate is None
    for at, age_s in enumerate([9.0, 0.2, 1.2, 0.2, 1.2, 2.2, 3.2, 0.2, 1.2]):
        seen = snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(True, 1.0, age_s),))
        radio = RadioStatistics(True, 0, 0, 1, 0.75)
        figures.update(seen, decision(setpoints_w=(0,)), cost=COST, radio=radio)
    assert figures.reports_heard == 3
    assert status(figures, 8.0)["details"]["ack_rate"] == 0.75


S, P = Source, State
FALLBACK_STORY = [
    # authority, source, active afterwards, activations afterwards
    (Authority.POLICY, S.REST, None, 0),
    (Authority.POLICY, S.FALLBACK, True, 0),  # the start is no activation
    (Authority.POLICY, S.POLICY, False, 0),
    (Authority.POLICY, S.HOLD, False, 0),
    (Authority.POLICY, S.FALLBACK, True, 1),
    (Authority.POLICY, S.HOLD, True, 1),
    (Authority.FALLBACK, S.FALLBACK, True, 1),  # another block does not end it
    (Authority.POLICY, S.FALLBACK, True, 1),
    (Authority.POLICY, S.POLICY, False, 1),
    (Authority.FALLBACK, S.FALLBACK, False, 1),  # the plan's own choice
    (Authority.POLICY, S.FALLBACK, True, 2),
]


def test_the_fallback_is_active_until_the_policy_acts_again() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    for at, (authority, source, active, activations) in enumerate(FALLBACK_STORY):
        decided = decision(STATE_OF[source], authority=authority, setpoints_w=(0,))
        figures.update(snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(),)), decided, cost=COST)
        assert (figures.fallback_active, figures.counts.fallback_activations) == (active, activations), at


@pytest.mark.parametrize(
    ("before", "authority", "live_count"),
    [
        (P.RL_ACTIVE, Authority.POLICY, 1),  # the violation that ends the policy's turn
        (P.FALLBACK, Authority.POLICY, 0),  # during the fallback it earned
        (P.FALLBACK, Authority.FALLBACK, 0),  # shadow mode
    ],
)
def test_violations_in_the_shadow_are_counted_apart(
    before: State, authority: Authority, live_count: int
) -> None:
    figures = Figures(NET, ABOUT, 0.0)
    first = decision(before, setpoints_w=(0,))
    then = decision(P.FALLBACK, authority=authority, violations=("step",), setpoints_w=(0,))
    for at, decided in enumerate((first, then)):
        figures.update(snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(),)), decided, cost=COST)
    assert (figures.counts.violations, figures.counts.shadow_violations) == (live_count, 1 - live_count)
    assert figures.events[-1].text == "policy broke step"


def test_anomaly_episodes_are_five_quiet_minutes_apart() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    for at_s in (0.0, 200.0, 400.0, 701.0):
        tripped = decision(anomaly=Anomaly(("surplus",), True), setpoints_w=(0,))
        figures.update(snapshot(at_s, (0.0, 0.0, 0.0), slaves=(SlaveState(),)), tripped, cost=COST)
    counts = figures.counts
    assert (counts.anomalous_ticks, counts.anomaly_trips, counts.anomaly_episodes) == (4, 4, 2)


def test_frames_interventions_causes_and_time_are_counted() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    changes = (Intervention("step", (9.0, 0.0, 0.0), (1.0, 0.0, 0.0)),)
    verdict = SupervisorDecision(State.HOLD, ("meter_late",))
    for at, (send, frames) in enumerate([(Send.CHANGE, 1), (Send.KEEP_ALIVE, 2), (Send.CHANGE, 0)]):
        decided = decision(verdict=verdict, send=send, interventions=changes, setpoints_w=(0,))
        seen = snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(),))
        figures.update(seen, decided, cost=COST, frames_sent=frames)
    assert figures.frames == {Send.CHANGE: 1, Send.KEEP_ALIVE: 2, Send.SAFE: 0}
    assert figures.interventions == {"step": 3}
    assert list(figures.causes_seen) == ["meter_late"]
    assert figures.source_s[Source.HOLD] == 2.0


def test_names_from_outside_cannot_grow_without_bound() -> None:
    figures = Figures(NET, ABOUT, 0.0)
    for at in range(200):
        changes = (Intervention(f"rule{at}", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),)
        decided = decision(
            verdict=SupervisorDecision(State.HOLD, (f"cause{at}",)),
            interventions=changes,
            setpoints_w=(0,),
        )
        figures.update(snapshot(float(at), (0.0, 0.0, 0.0), slaves=(SlaveState(),)), decided, cost=COST)
    assert len(figures.interventions) == len(figures.causes_seen) == 64
    assert len(figures.events) <= 50
    assert len(figures.series) <= 900


def test_placement_learns_from_reports_what_the_belief_cannot_know() -> None:
    """A hot boiler draws nothing, believed to draw 2000 W: each report removes 40 % of the error."""
    placement = SlavePowerEstimator()
    estimate = replace(BLIND, model_w=(2000.0, 0.0, 0.0))
    drawn_w = []
    for age_s in (5.0, 0.2, 1.2, 0.2, 0.2 + 16.0):
        seen = snapshot(0.0, (0.0, 0.0, 0.0), slaves=(SlaveState(True, 0.0, age_s),))
        drawn_w.append(placement.update(NET, seen, estimate)[0])
    assert drawn_w == pytest.approx([1200.0, 720.0, 720.0, 432.0, 2000.0])


def test_tallies() -> None:
    histogram = Histogram((0.001, 0.01))
    for value_s in (0.0005, 0.001, 0.005, 5.0, nan, -1.0, inf):
        histogram.observe(value_s)
    assert histogram.cumulative() == [("0.001", 2.0), ("0.01", 3.0), ("+Inf", 4.0)]
    recent = Recent()
    assert recent.quantiles((0.5,)) == (None,)
    for value in range(1, 101):
        recent.observe(float(value))
    assert recent.quantiles((0.5, 0.95, 0.99, 1.0)) == (51.0, 96.0, 100.0, 100.0)
    rolling = Rolling(10.0, 3, 1)
    for at_s in (0.0, 10.0, 20.0, 30.0):
        rolling.add(at_s, 1.0)
    assert [rolling.sums(at_s) for at_s in (30.0, 45.0, 59.0, 60.0)] == [(3.0,), (2.0,), (1.0,), (0.0,)]


def test_what_is_shown_without_slaves_stands_still_while_they_are_on_their_way() -> None:
    """Slaves answer 1.5 s sooner or later than believed at 600 W/s: the raw estimate is 900 W off."""
    for lateness_s in (-1.5, 1.5):
        shown = UncontrolledPowerEstimator()
        for at in range(40):
            believed_w, drawn_w = (min(3000.0, max(0.0, 600.0 * (at - s - 5.0))) for s in (0.0, lateness_s))
            raw_w = -3000.0 + drawn_w - believed_w
            command_w = min(3000.0, max(0.0, 600.0 * (at - 3.0)))
            estimate = replace(BLIND, model_w=(believed_w, 0.0, 0.0), command_w=(command_w, 0.0, 0.0))
            seen_w = shown.update((raw_w, 0.0, 0.0), estimate, float(at))
            assert seen_w[0] == pytest.approx(-3000.0, abs=250.0), at
        assert seen_w[0] == pytest.approx(-3000.0, abs=10.0), "in the end every tick counts again"


def test_a_kettle_shows_at_once_while_no_slave_moves() -> None:
    shown = UncontrolledPowerEstimator()
    estimate = replace(BLIND, model_w=(1000.0, 0.0, 0.0), command_w=(1000.0, 0.0, 0.0))
    for at in range(5):
        shown.update((-3000.0, 0.0, 0.0), estimate, float(at))
    assert shown.update((-1000.0, 0.0, 0.0), estimate, 5.0)[0] == pytest.approx(-1000.0, abs=100.0)
    assert shown.update((500.0, 0.0, 0.0), estimate, 60.0) == (500.0, 0.0, 0.0), "a gap begins anew"
