"""A tick that is told by what changed comes back with every bit."""

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.decision import Anomaly, Authority, Send, State, SupervisorDecision
from core.modes import Mode
from core.snapshot import OnAirState, SlaveState, Snapshot
from daemon.journal.compact_ticks import TickReader, TickWriter
from daemon.journal.keys import FORMATS
from daemon.journal.records import Outcome, TickInputs

FORMAT = FORMATS[max(FORMATS)]
watts = st.one_of(
    st.floats(-6000, 6000, width=32),
    st.floats(-6000, 6000),
    st.sampled_from([0.0, -0.0, 1e-30, 100.1, inf, -inf, nan]),
    st.integers(-60000, 60000).map(lambda w: w / 10),
)
ages = st.one_of(
    st.integers(0, 20_000_000).map(lambda us: us / 1e6), st.floats(0, 100), st.sampled_from([0.0, inf])
)
phases = st.tuples(watts, watts, watts)
setpoints = st.lists(st.integers(0, 1700), max_size=3).map(tuple)
airs = st.builds(OnAirState, phases, setpoints, ages)
slaves = st.builds(SlaveState, st.booleans(), st.none() | watts, ages)
names = st.lists(st.sampled_from(["radio_down", "late_tick", "step"]), max_size=2).map(tuple)
snapshots = st.builds(
    Snapshot,
    tick=st.integers(0, 9),
    at_s=st.integers(0, 10**13).map(lambda us: us / 1e6) | st.floats(0, 1e7),
    grid_power_w=phases,
    meter_age_s=ages,
    slaves=st.lists(slaves, min_size=2, max_size=2).map(tuple),
    on_air=st.builds(OnAirState, phases, setpoints, ages, st.lists(airs, max_size=2).map(tuple)),
    alarms=names,
    link_loss_rate=st.sampled_from([0.0, 0.1]),
    hour=st.none() | st.integers(0, 23),
)
outcomes = st.builds(
    Outcome,
    verdict=st.builds(SupervisorDecision, st.sampled_from(State), names),
    policy_action_w=st.none() | phases,
    setpoints_w=setpoints,
    withheld=st.lists(st.integers(0, 2), max_size=2).map(tuple),
    send=st.sampled_from(Send),
    anomaly=st.builds(Anomaly, names, st.booleans()),
    violations=names,
    rules=names,
)
ticks = st.builds(
    TickInputs,
    unix_s=st.floats(0, 2e9).map(lambda s: round(s, 3)),
    mode=st.none() | st.sampled_from(Mode),
    snapshot=snapshots,
    authority=st.sampled_from(Authority),
    propensity=st.sampled_from([0.0, 0.5, 1.0]),
    block=st.integers(-1, 9),
    confounded=st.booleans(),
    outcome=outcomes,
    digest=st.just("01234567"),
    frames_hex=st.lists(st.just("13"), max_size=2).map(tuple),
    accepted=st.none() | st.booleans(),
)


def through(lived: list[TickInputs]) -> list[Any]:
    """What a reader makes of what a writer tells, as JSON text between them."""
    writer, reader, read = TickWriter(), TickReader(), []
    for at, tick in enumerate(lived):
        tree = FORMAT.encode(tick)
        if not at:
            writer.whole(tree)
            reader.whole(json.loads(json.dumps(tree)))
            read.append(tick)
            continue
        read.append(FORMAT.decode(TickInputs, reader.next(json.loads(json.dumps(writer.difference(tree))))))
    return read


@given(st.lists(ticks, min_size=1, max_size=5))
def test_whatever_comes_is_told_to_the_last_bit(lived: list[TickInputs]) -> None:
    assert list(map(repr, through(lived))) == list(map(repr, lived))


def test_what_goes_on_by_the_clock_is_not_told() -> None:
    writer = TickWriter()
    tick = TickInputs(
        unix_s=1000.25,
        snapshot=Snapshot(
            7,
            50.25,
            (1.0, 2.0, 3.0),
            0.000875,
            (SlaveState(True, 700.0, 1.5),),
            OnAirState(age_s=2.5, still_s=2.5),
        ),
        authority=Authority.POLICY,
        propensity=1.0,
        block=1,
        confounded=False,
        outcome=Outcome(
            verdict=SupervisorDecision(State.RL_ACTIVE),
            policy_action_w=(1.0, 2.0, 3.0),
            setpoints_w=(),
            withheld=(),
            send=Send.NOTHING,
            anomaly=Anomaly(),
            violations=(),
            rules=(),
        ),
        digest="0",
    )
    writer.whole(FORMAT.encode(tick))
    seen = tick.snapshot
    later = replace(
        seen,
        tick=8,
        at_s=51.25,
        meter_age_s=51.25 - 51.249,
        slaves=(SlaveState(True, 700.0, 2.5),),
        on_air=OnAirState(age_s=3.5, still_s=3.5),
    )
    told = writer.difference(FORMAT.encode(replace(tick, unix_s=1001.25, snapshot=later)))
    assert told == {"at": 1_000_000, "snapshot": {"meter_age_s": 1000}}
