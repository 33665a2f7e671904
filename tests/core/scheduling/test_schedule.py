"""The scheduler of staged slaves: it starts what pays, keeps minimum times and limits, never stays stuck."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from core.decision import Authority, Decision, Send, Source, State
from core.estimation.actuator_model import HISTORY_S
from core.parts import initial_memory
from core.site import DEFAULT_PRIORITY, Airtime, Metering, Phases, Site, Slave, per_phase
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.runtime.assembly import assemble
from daemon.simulation.score import unsafe_reasons
from safety.pi import PiFallback
from safety.supervisor import ModeSupervisor

MOST_S = 60
"""Lasting surplus starts a slave within so long: filter, credit of 5 s, airtime, and what runs."""


class ScheduledSite:
    """A site on a perfect radio: what is told is drawn two seconds later. `told` has the instants."""

    def __init__(self, site: Site, **more: Any) -> None:
        self.site = site
        parts = assemble(site, PiFallback(site), None).parts
        self.parts = parts
        self.memory = replace(initial_memory(parts), watch=ModeSupervisor().warm)
        self.at_s, self.sent_at_s, self.moved_at_s = 1000.0, -1e9, -1e9
        self.setpoints_w = (0,) * len(site.slaves)
        self.drawn = [self.setpoints_w] * 3
        self.states = (SlaveState(),) * len(site.slaves)
        self.told: list[tuple[float, tuple[int, ...]]] = []
        self.rested_at_s: set[float] = set()
        self.violations: list[tuple[str, ...]] = []
        self.more = more

    def tick(self, surplus_w: Phases) -> Decision:
        """One second with so much surplus per phase."""
        action_w = totals(self.drawn[0], self.site)
        grid_w = per_phase([a - s for a, s in zip(action_w, surplus_w, strict=True)])
        before_w = totals(self.setpoints_w, self.site)
        on_air = OnAirState(
            before_w,
            self.setpoints_w,
            self.at_s - self.sent_at_s,
            still_s=self.at_s - self.moved_at_s,
        )
        snapshot = Snapshot(0, self.at_s, grid_w, 0.0, self.states, on_air, **self.more)
        decision, self.memory = decide(snapshot, Authority.FALLBACK, self.memory, self.parts)
        if decision.send is not Send.NOTHING:
            reasons = unsafe_reasons(
                decision.setpoints_w,
                before_w,
                on_air.age_s,
                decision.verdict.source is Source.REST,
                self.site,
                on_air.still_s,
                self.setpoints_w,
            )
            self.violations += [reasons] if reasons else []
            if decision.setpoints_w != self.setpoints_w:
                self.moved_at_s = self.at_s
            self.setpoints_w, self.sent_at_s = decision.setpoints_w, self.at_s
            self.told.append((self.at_s, decision.setpoints_w))
            if decision.verdict.source is Source.REST:
                self.rested_at_s.add(self.at_s)
        self.drawn = [*self.drawn[1:], self.setpoints_w]
        self.at_s += 1.0
        return decision

    def last(self, seconds: int, surplus_w: Phases) -> None:
        for _ in range(seconds):
            self.tick(surplus_w)


def totals(setpoints_w: tuple[int, ...], site: Site) -> Phases:
    sums = [0.0, 0.0, 0.0]
    for slave, w in zip(site.slaves, setpoints_w, strict=True):
        for phase in slave.phases:
            sums[phase] += w / len(slave.phases)
    return per_phase(sums)


def switch(slot: int, phase: int = 0, watts: int = 1700, **more: Any) -> Slave:
    return Slave(slot, f"s{slot}", phase, watts, levels_w=(watts,), **more)


def spread(total_w: float) -> Phases:
    return (total_w / 3.0,) * 3


def test_the_history_is_longer_than_the_delay_here() -> None:
    assert HISTORY_S > 2.0


@pytest.mark.parametrize(
    "slave",
    [
        switch(0, watts=1700),
        switch(0, watts=3680),
        switch(0, watts=4200),
        Slave(0, "wallbox", 1, 3680, 1380),
        Slave(0, "large minimum", 2, 4000, 3000),
        Slave(0, "charger", 0, 11040, 4140, is_three_phase=True),
        Slave(0, "rod", 0, 3500, levels_w=(500, 1000, 1500, 2000, 2500, 3000, 3500)),
    ],
)
@pytest.mark.parametrize("metering", list(Metering))
def test_lasting_surplus_starts_it_beside_modulating_ones_that_never_rest(
    slave: Slave, metering: Metering
) -> None:
    others = tuple(Slave(i, f"m{i}", i - 1, 1000) for i in (1, 2, 3))
    lived = ScheduledSite(Site((slave, *others), metering=metering))
    enough_w = per_phase(
        [1400.0 + (slave.max_w / len(slave.phases) if p in slave.phases else 0.0) for p in range(3)]
    )
    lived.last(10, spread(0.0))
    for second in range(MOST_S):
        wobble = 150.0 * (second % 2)  # something to do for the modulating ones
        lived.tick(per_phase([w + wobble for w in enough_w]))
        if lived.setpoints_w[0] > 0:
            break
    assert lived.setpoints_w[0] > 0
    assert not lived.violations


def test_nine_switches_start_one_after_the_other_and_stop_again() -> None:
    lived = ScheduledSite(Site(tuple(switch(i, i // 3) for i in range(9))))
    lived.last(180, spread(15_000.0))
    assert sum(w > 0 for w in lived.setpoints_w) == 6  # a phase carries two of them
    changes = [
        b for (_, a), (_, b) in zip([(0.0, (0,) * 9), *lived.told], lived.told, strict=False) if a != b
    ]
    assert len(changes) == 6
    lived.last(120, spread(-2000.0))
    assert not any(lived.setpoints_w)
    assert not lived.violations


def test_a_surplus_between_start_and_stop_changes_nothing() -> None:
    for before_w in (0.0, 1700.0):
        lived = ScheduledSite(Site((switch(0),)))
        lived.last(60, spread(before_w))
        ran = lived.setpoints_w
        lived.last(300, spread(570.0))  # a third: costs as much as it saves
        assert lived.setpoints_w == ran == ((1700,) if before_w else (0,))


def test_the_most_important_is_served_first_and_takes_the_place_of_a_lesser() -> None:
    first, last = switch(0, priority=1), switch(1, 1, priority=9)
    lived = ScheduledSite(Site((first, last)))
    lived.last(60, spread(2000.0))
    assert lived.setpoints_w == (1700, 0)
    lived = ScheduledSite(Site((first, last)))
    lived.states = (SlaveState(available=False), SlaveState())
    lived.last(60, spread(2000.0))
    assert lived.setpoints_w == (0, 1700)
    lived.states = (SlaveState(), SlaveState())
    lived.last(60, spread(2000.0))
    assert lived.setpoints_w == (1700, 0)


def test_a_more_important_switch_takes_the_surplus_of_a_modulating_slave() -> None:
    heater = Slave(1, "heater", 1, 3000)
    for priority, runs in ((1, True), (DEFAULT_PRIORITY, False)):
        lived = ScheduledSite(Site((switch(0, priority=priority), heater)))
        lived.last(90, spread(2400.0))
        assert (lived.setpoints_w[0] > 0) is runs
        assert sum(lived.setpoints_w) == pytest.approx(2400, abs=160)


def test_equal_ones_take_turns() -> None:
    lived = ScheduledSite(Site((switch(0), switch(1, 1), switch(2, 2))))
    ran = []
    for _ in range(6):
        lived.last(40, spread(1700.0))
        ran.append(lived.setpoints_w.index(1700))
        lived.last(40, spread(-500.0))
    assert set(ran[:3]) == {0, 1, 2}


def test_the_modulating_slaves_make_room_in_the_same_moment() -> None:
    lived = ScheduledSite(Site((switch(0), Slave(1, "heater", 0, 2500), Slave(2, "other", 1, 2500))))
    lived.last(60, spread(4000.0))
    before = lived.setpoints_w
    assert before[0] == 0
    for _ in range(60):
        lived.tick(spread(6600.0))
        if lived.setpoints_w[0]:
            break
    (_, told), (_, earlier) = lived.told[-1], lived.told[-2]
    assert told[0] == 1700
    assert sum(told) - sum(earlier) < 1000
    assert not lived.violations


def test_without_staged_slaves_the_scheduler_remembers_nothing() -> None:
    lived = ScheduledSite(Site((Slave(0, "heater", 0, 3000),)))
    lived.last(20, spread(1500.0))
    assert lived.memory.scheduler == initial_memory(lived.parts).scheduler


SLAVES = st.lists(
    st.one_of(
        st.builds(
            lambda phase, watts, on_s, off_s, priority: switch(
                0, phase, watts, min_on_s=on_s, min_off_s=off_s, priority=priority
            ),
            st.integers(0, 2),
            st.sampled_from([500, 1700, 3680]),
            st.sampled_from([0.0, 15.0, 60.0]),
            st.sampled_from([0.0, 15.0, 60.0]),
            st.integers(1, 3),
        ),
        st.builds(lambda phase: Slave(0, "m", phase, 1700), st.integers(0, 2)),
        st.builds(
            lambda phase, least, on_s: Slave(0, "w", phase, 3680, least, min_on_s=on_s),
            st.integers(0, 2),
            st.sampled_from([500, 1380]),
            st.sampled_from([0.0, 30.0]),
        ),
        st.just(Slave(0, "t", 0, 6000, levels_w=(3000, 6000), is_three_phase=True, min_on_s=20.0)),
    ),
    min_size=1,
    max_size=6,
)
SURPLUS = st.lists(
    st.tuples(
        st.integers(5, 60), st.tuples(*[st.sampled_from([-2000.0, 0.0, 600.0, 1500.0, 3000.0, 6000.0])] * 3)
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(slaves=SLAVES, surplus=SURPLUS, metering=st.sampled_from(list(Metering)))
def test_minimum_times_levels_and_limits_are_kept(
    slaves: list[Slave], surplus: list[tuple[int, Phases]], metering: Metering
) -> None:
    site = Site(tuple(replace(s, slot=i, name=str(i)) for i, s in enumerate(slaves)), metering=metering)
    lived = ScheduledSite(site)
    for seconds, surplus_w in surplus:
        lived.last(seconds, surplus_w)
    assert not lived.violations
    for at, slave in enumerate(site.slaves):
        assert all(slave.takes(setpoints_w[at]) for _, setpoints_w in lived.told)
        bases = [(-1e9, 0)]
        for told_at_s, setpoints_w in lived.told:
            base_w = max((w for w in slave.steps_w if w <= setpoints_w[at]), default=0)
            if base_w != bases[-1][1]:
                least_s = slave.min_on_s if base_w < bases[-1][1] else slave.min_off_s
                assert told_at_s - bases[-1][0] >= least_s or told_at_s in lived.rested_at_s
                bases.append((told_at_s, base_w))


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(slaves=SLAVES, surplus=SURPLUS, metering=st.sampled_from(list(Metering)))
def test_no_start_deadlock(
    slaves: list[Slave], surplus: list[tuple[int, Phases]], metering: Metering
) -> None:
    """Whatever was before: with enough lasting surplus, what a phase carries runs in bounded time."""
    site = Site(tuple(replace(s, slot=i, name=str(i)) for i, s in enumerate(slaves)), metering=metering)
    lived = ScheduledSite(site)
    for seconds, surplus_w in surplus:
        lived.last(seconds, surplus_w)
    lived.last(120 + MOST_S * len(slaves), (9000.0, 9000.0, 9000.0))
    # loads that jump just as the slaves move can look like crossed wires: that stops until somebody looks
    assume(lived.tick((9000.0, 9000.0, 9000.0)).verdict.state is not State.SAFE_STOP)
    totals_w = totals(lived.setpoints_w, site)
    for at, slave in enumerate(site.slaves):
        if not slave.is_staged or lived.setpoints_w[at] == slave.max_w:
            continue
        higher_w = next(w for w in (*slave.steps_w, slave.max_w) if w > lived.setpoints_w[at])
        more_w = (higher_w - lived.setpoints_w[at]) / len(slave.phases)
        raised_w = tuple(replace_at(lived.setpoints_w, at, higher_w))
        would_be = unsafe_reasons(raised_w, totals_w, 1e9, False, site, 1e9, lived.setpoints_w)
        assert would_be or more_w == 0.0, f"{slave} rests with room for it: {lived.setpoints_w}"


def replace_at(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def test_a_frame_carries_a_switching_that_the_totals_do_not_show() -> None:
    site = Site((switch(0, watts=1000), Slave(1, "heater", 0, 1000)), airtime=Airtime(deadband_w=500.0))
    lived = ScheduledSite(site)
    lived.last(60, spread(1000.0))
    assert lived.setpoints_w[0] == 0
    assert lived.setpoints_w[1] == pytest.approx(1000, abs=20)
    lived.last(60, spread(1900.0))
    assert lived.setpoints_w[0] == 1000
