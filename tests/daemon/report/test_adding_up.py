"""Accounts of days and of runs add up to the account of the whole."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import Anomaly, State
from daemon.history.account import Account
from daemon.journal.records import AnyRecord, Start, Tick
from daemon.report.reading import DateRange
from tests.daemon.report.accounts import MIDNIGHT_S, booked, tick, values, with_verdict
from tests.daemon.report.journals import configure, start_of


def sum_of(accounts: Iterable[Account]) -> Account:
    total = Account()
    for account in accounts:
        total.add(account)
    return total


STEPS = st.sampled_from([0.2, 1.0, 1.0, 1.0, 2.5, 3.0, 900.0, 7200.0, 40_000.0])
STATES = st.sampled_from(
    [(State.RL_ACTIVE, ()), (State.SAFE_STOP, ("meter_lost",)), (State.FALLBACK, ("violation", "dwell"))]
)
TICKS = st.lists(
    st.tuples(STEPS, STATES, st.floats(-9000.0, 9000.0), st.booleans(), st.booleans()), max_size=40
)


def made_up(rows: Sequence[tuple[float, tuple[State, tuple[str, ...]], float, bool, bool]]) -> list[Tick]:
    """Ticks over some days: step, state, grid power, violation, anomaly trip."""
    ticks, at_s = [], 0.0
    for number, (step_s, (state, causes), grid_w, broke, tripped) in enumerate(rows):
        at_s += step_s
        one = with_verdict(tick(MIDNIGHT_S + at_s, 1000.0 + at_s, number), state, *causes)
        told = replace(one.decision, violations=("step",) if broke else (), anomaly=Anomaly((), tripped))
        seen = replace(one.snapshot, grid_power_w=(grid_w, 0.0, 10.0))
        ticks.append(replace(one, decision=told, snapshot=seen))
    return ticks


@pytest.fixture(scope="module")
def one_start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    return start_of(configure(tmp_path_factory.mktemp("site")), MIDNIGHT_S)


@settings(deadline=None)
@given(rows=TICKS, starts=st.sets(st.integers(0, 40)))
def test_the_days_of_a_journal_add_up_to_the_whole(
    one_start: Start,
    rows: list[tuple[float, tuple[State, tuple[str, ...]], float, bool, bool]],
    starts: set[int],
) -> None:
    """Day by day and all at once, with the daemon started anew at arbitrary ticks."""
    records: list[AnyRecord] = [one_start]
    for at, one in enumerate(made_up(rows)):
        records += [one_start, one] if at in starts else [one]
    whole_span = booked(records)
    alone = [booked(records, DateRange(day, day)).total() for day in whole_span.days]
    assert values(sum_of(alone)) == pytest.approx(values(whole_span.total()))


@settings(deadline=None)
@given(runs=st.lists(TICKS, min_size=1, max_size=4))
def test_the_runs_of_a_journal_add_up_to_the_whole(
    one_start: Start, runs: list[list[tuple[float, tuple[State, tuple[str, ...]], float, bool, bool]]]
) -> None:
    """Each run alone and all in a row; only the time between them belongs to none of the parts."""
    parts: list[list[AnyRecord]] = [[one_start, *made_up(rows)] for rows in runs]
    together = values(booked([record for part in parts for record in part]).total())
    added = values(sum_of(booked(part).total() for part in parts))
    for counts in (together, added):
        counts.pop("unrecorded_s")
    assert together == pytest.approx(added)
