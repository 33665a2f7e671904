"""Fallbacks that outlive the process and are never shortened."""

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.faults import ANOMALY_S, FAULTS, VIOLATION_S, Clears, cause
from safety.timers import (
    REPEATED,
    REPEATED_WITHIN_S,
    PersistentFaults,
    acknowledge,
    advance,
    from_record,
    latch,
    restore,
    save,
    start,
    start_violation,
    to_record,
)

LOST = PersistentFaults(left_s=(("state_lost", VIOLATION_S),), at_s=50.0)
HOUR = PersistentFaults(left_s=(("violation", 3600.0),), at_s=100.0)


def saved(standing: PersistentFaults = HOUR, unix_s: float = 1e9, *, synced: bool = True) -> dict[str, Any]:
    return save(standing, boot_id="one", unix_s=unix_s, synced=synced)


def test_the_durations_of_the_specification() -> None:
    assert start(PersistentFaults(), "violation").left_s == (("violation", 3600.0),)
    assert start(PersistentFaults(), "anomaly").left_s == (("anomaly", 86400.0),)
    assert (VIOLATION_S, ANOMALY_S, REPEATED_WITHIN_S) == (3600.0, 86400.0, 86400.0)


def test_overlapping_fallbacks_run_side_by_side_and_the_longer_one_counts() -> None:
    standing = start(start(PersistentFaults(at_s=0.0), "anomaly"), "violation")
    assert dict(standing.left_s) == {"anomaly": 86400.0, "violation": 3600.0}
    assert dict(advance(standing, 3600.0).left_s) == {"anomaly": 82800.0}
    again = start(advance(standing, 100.0), "violation")
    assert dict(again.left_s)["violation"] == 3600.0
    longer = PersistentFaults(left_s=(("violation", 7000.0),))
    assert start(longer, "violation") == longer


def test_time_passes_forward_only() -> None:
    assert advance(HOUR, 110.0) == replace(HOUR, left_s=(("violation", 3590.0),), at_s=110.0)
    for instant in (100.0, 50.0, nan, -inf):
        assert advance(HOUR, instant) == HOUR
    assert advance(PersistentFaults(), 5.0) == PersistentFaults(at_s=5.0)
    assert advance(HOUR, 3700.0).left_s == ()
    assert advance(HOUR, 3699.9).left_s != ()


def test_the_third_violation_within_a_day_waits_for_an_operator() -> None:
    standing = PersistentFaults(at_s=0.0)
    for count in range(1, REPEATED + 1):
        standing = start_violation(advance(standing, 10_000.0 * count))
        assert standing.latched == (("repeated_violations",) if count == 3 else ())
    cleared = acknowledge(standing, ("repeated_violations",))
    assert (cleared.latched, cleared.recent_s) == ((), ())
    assert cleared.left_s == standing.left_s
    assert acknowledge(standing, ("violation", "nonsense")) == standing
    two = start_violation(PersistentFaults())
    assert acknowledge(two, ("repeated_violations",)) == two


def test_violations_further_apart_are_forgotten() -> None:
    standing = PersistentFaults(at_s=0.0)
    for count in range(1, 9):
        standing = start_violation(advance(standing, 43_200.0 * count))
        assert standing.latched == ()
        assert len(standing.recent_s) <= 2
    more = start_violation(start_violation(standing))
    assert len(more.recent_s) == REPEATED


def test_only_causes_that_wait_for_an_operator_latch() -> None:
    names = tuple(FAULTS)
    latched = latch(PersistentFaults(latched=("rollback",)), names).latched
    assert set(latched) == {n for n, row in FAULTS.items() if row.clears is Clears.ACKNOWLEDGED}
    assert latched == tuple(sorted(latched))
    assert latch(PersistentFaults(latched=("rollback",)), ()) == PersistentFaults(latched=("rollback",))


@pytest.mark.parametrize("now_s", [100.0, 101.0, 3600.0])
def test_within_one_boot_time_is_exact_whatever_the_wall_clock_says(now_s: float) -> None:
    for unix_s in (0.0, 1e9 + 1e6):
        found = restore(saved(), boot_id="one", boottime_s=now_s, unix_s=unix_s, synced=True)
        assert found == advance(HOUR, now_s)


@pytest.mark.parametrize(
    ("synced_then", "synced_now", "later_s", "credit_s"),
    [
        (True, True, 600.0, 600.0),
        (True, False, 600.0, 0.0),
        (False, True, 600.0, 0.0),
        (False, False, 600.0, 0.0),
        (True, True, -600.0, 0.0),
        (True, True, 0.0, 0.0),
        (True, True, 1e9, 3600.0),
    ],
)
def test_across_a_boot_only_synchronised_wall_time_counts(
    synced_then: bool, synced_now: bool, later_s: float, credit_s: float
) -> None:
    record = saved(synced=synced_then)
    found = restore(record, boot_id="two", boottime_s=5.0, unix_s=1e9 + later_s, synced=synced_now)
    left_s = 3600.0 - credit_s
    assert found == PersistentFaults(left_s=(("violation", left_s),) if left_s else (), at_s=5.0)


def test_an_unknown_boot_is_another_boot() -> None:
    record = save(HOUR, boot_id="", unix_s=1e9, synced=True)
    assert restore(record, boot_id="", boottime_s=3600.0, unix_s=1e9 + 1.0, synced=True).left_s == (
        ("violation", 3599.0),
    )


def test_a_boot_clock_before_the_saved_one_is_another_boot() -> None:
    found = restore(saved(), boot_id="one", boottime_s=99.0, unix_s=1e9, synced=True)
    assert found == replace(HOUR, at_s=99.0)


def test_what_was_saved_before_the_first_tick_is_restored() -> None:
    record = saved(replace(HOUR, at_s=None))
    assert restore(record, boot_id="one", boottime_s=9.0, unix_s=1e9, synced=True) == replace(HOUR, at_s=9.0)


def changed(**changes: Any) -> dict[str, Any]:
    return {**saved(), **changes}


def standing_with(**changes: Any) -> dict[str, Any]:
    return changed(standing={**to_record(HOUR), **changes})


@pytest.mark.parametrize(
    "record",
    [
        None,
        {},
        changed(more=1),
        {k: v for k, v in saved().items() if k != "synced"},
        changed(unix_s="1"),
        changed(unix_s=nan),
        changed(unix_s=inf),
        changed(unix_s=-1.0),
        changed(unix_s=True),
        changed(unix_s=None),
        changed(standing=None),
        changed(standing=[]),
        standing_with(version=2),
        standing_with(more=1),
        standing_with(left_s=[]),
        standing_with(left_s={"violation": nan}),
        standing_with(left_s={"violation": -1.0}),
        standing_with(left_s={"violation": "3"}),
        standing_with(left_s={"nonsense": 1.0}),
        standing_with(recent_s={}),
        standing_with(recent_s=[1.0] * 4),
        standing_with(recent_s=[inf]),
        standing_with(latched="rollback"),
        standing_with(latched=["nonsense"]),
        standing_with(at_s="now"),
        standing_with(at_s=-1.0),
    ],
)
def test_what_makes_no_sense_costs_an_hour_with_the_fallback(record: dict[str, Any] | None) -> None:
    for boot_id in ("one", "two"):
        found = restore(record, boot_id=boot_id, boottime_s=50.0, unix_s=2e9, synced=True)
        assert found == LOST


def test_synchronised_is_true_and_nothing_else() -> None:
    found = restore(changed(synced=1), boot_id="two", boottime_s=5.0, unix_s=2e9, synced=True)
    assert found.left_s == HOUR.left_s


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"more": 1}, "not what stands"),
        ({"left_s": []}, "not what stands"),
        ({"version": 2}, "another version"),
        ({"latched": ["nonsense"]}, "an unknown cause"),
        ({"at_s": True}, "True is not a number >= 0"),
    ],
)
def test_a_record_that_is_refused_says_why(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        from_record({**to_record(HOUR), **changes})


def test_a_record_says_its_version() -> None:
    assert to_record(PersistentFaults()) == {
        "version": 1,
        "left_s": {},
        "recent_s": [],
        "latched": [],
        "at_s": None,
    }


def test_what_is_nearly_over_is_not_over() -> None:
    standing = PersistentFaults(left_s=(("violation", 1.5),), recent_s=(1.5,), at_s=0.0)
    assert advance(standing, 1.0) == PersistentFaults((("violation", 0.5),), (0.5,), (), 1.0)
    assert advance(standing, 1.5) == PersistentFaults((), (), (), 1.5)


seconds = st.floats(0.0, 1e6)
standings = st.builds(
    PersistentFaults,
    left_s=st.dictionaries(st.sampled_from(sorted(FAULTS)), st.floats(1e-3, 1e6), max_size=4).map(
        lambda left: tuple(sorted(left.items()))
    ),
    recent_s=st.lists(seconds, max_size=REPEATED).map(tuple),
    latched=st.lists(st.sampled_from(sorted(FAULTS)), unique=True, max_size=4).map(
        lambda names: tuple(sorted(names))
    ),
    at_s=st.none() | seconds,
)


@given(standings)
def test_a_record_survives_json(standing: PersistentFaults) -> None:
    assert from_record(json.loads(json.dumps(to_record(standing)))) == standing


steps = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.floats(0.0, 4000.0)),
        st.tuples(st.just("kill"), st.floats(0.0, 4000.0)),
        st.tuples(st.just("reboot"), st.floats(0.0, 4000.0)),
        st.tuples(st.just("clock"), st.floats(-1e8, 1e8)),
        st.tuples(st.sampled_from(["violation", "anomaly", "lose"]), st.just(0.0)),
    ),
    max_size=40,
)


@given(steps)
def test_no_trace_of_kills_reboots_and_clock_steps_shortens_a_fallback(
    trace: list[tuple[str, float]],
) -> None:
    """True time is kept beside; a fallback may only end when its least time has really passed."""
    true_s, boot_s, wall_error_s, boot, synced = 0.0, 0.0, 0.0, 1, True
    standing = PersistentFaults(at_s=0.0)
    due_s: dict[str, float] = {}

    def record() -> dict[str, Any]:
        return save(standing, boot_id=str(boot), unix_s=max(0.0, 1e9 + true_s + wall_error_s), synced=synced)

    for kind, amount in trace:
        disk = record()
        if kind in ("violation", "anomaly"):
            standing = start(standing, kind)
            due_s[kind] = max(due_s.get(kind, 0.0), true_s + cause(kind).least_s)
        elif kind == "clock":  # a clock that steps was not synchronised, and is not until the next boot
            wall_error_s, synced = amount, False
        else:
            true_s += amount
            boot_s = amount if kind == "reboot" else boot_s + amount
            if kind == "tick":
                standing = advance(standing, boot_s)
            else:
                boot += kind == "reboot"
                lost = kind == "lose"
                wall_s = 1e9 + true_s + wall_error_s
                standing = restore(
                    None if lost else disk,
                    boot_id=str(boot),
                    boottime_s=boot_s,
                    unix_s=max(0.0, wall_s),
                    synced=synced,
                )
                if lost:  # a state that is lost costs an hour; what ran before cannot be known
                    due_s = {"state_lost": true_s + VIOLATION_S}
                if kind == "reboot":
                    wall_error_s, synced = 0.0, True
        left_s = dict(standing.left_s)
        for name, end_s in due_s.items():
            assert left_s.get(name, 0.0) >= end_s - true_s - 1e-6


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["left_s", "recent_s", "latched", "at_s", "version", ""]), json_values)
def test_whatever_a_record_holds_something_stands(place: str, value: Any) -> None:
    """A record with a sound checksum and senseless values is a lost one, and keeps nobody from starting."""
    record = saved()
    if place:
        record["standing"] = {**record["standing"], place: value}
    else:
        record = {"standing": value}
    found = restore(record, boot_id="two", boottime_s=50.0, unix_s=1e9, synced=True)
    assert all(left_s >= 0.0 for _, left_s in found.left_s)
    for key in ("unix_s", "boot_id", "synced"):
        restore({**saved(), key: value}, boot_id="one", boottime_s=150.0, unix_s=1e9, synced=True)
