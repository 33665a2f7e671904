"""What slaves' moves tell: found where they move, and nothing where they do not."""

import random
from collections.abc import Callable
from dataclasses import replace
from math import exp, log, nan

import pytest

from core.estimation.actuator_model import ResponseGroup, follow
from core.estimation.learned_response import LearnedResponse, adapted
from core.estimation.learning import LearningState, learn_responses, what_is_learned
from core.estimation.response_bank import new_bank, observe, of_hypothesis
from core.estimation.response_grid import DEAD_TIMES_S, LAGS_S, bank_grid, nearest
from core.roles import Role
from core.site import Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot

SITE = Site(tuple(Slave(at, f"s{at}", at, 3000, dead_time_s=2.0, lag_s=1.5) for at in range(3)))
SEEN = (SlaveState(report_age_s=0.0),) * 3
NOTHING = LearningState()
Seen = Callable[[Snapshot], Snapshot]


class LateSlaves:
    """Three slaves that answer late and slowly, in steps of 0.1 s; told at random."""

    def __init__(
        self, dead_s: float, lag_s: float, gain: float = 1.0, sign: float = 1.0, seed: int = 1
    ) -> None:
        self.dead_s, self.lag_s, self.gain, self.sign = dead_s, lag_s, gain, sign
        self.rng, self.told_w, self.power_w = random.Random(1), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        self.past = [[0.0] * 3]
        self.load_w, self.second = [500.0, 500.0, 500.0], 0

    def snapshot(self) -> Snapshot:
        noise = [self.rng.gauss(0.0, 8.0) for _ in range(3)]
        grid_w = [
            self.sign * p + load + n for p, load, n in zip(self.power_w, self.load_w, noise, strict=True)
        ]
        a, b, c = grid_w
        told = tuple(self.told_w)
        return Snapshot(
            self.second, float(self.second), (a, b, c), 0.0, SEEN, OnAirState((told[0], told[1], told[2]))
        )

    def live(self, *, moves: bool = True) -> None:
        """One second after a decision."""
        for phase in range(3):
            if moves and self.rng.random() < 0.15:
                self.told_w[phase] = self.rng.uniform(0.0, 1500.0)
        if self.rng.random() < 0.01:  # somebody switches something
            self.load_w[self.rng.randrange(3)] = self.rng.choice([200.0, 1200.0, 2500.0])
        way = 1.0 - exp(-0.1 / self.lag_s)
        for _ in range(10):
            self.past.append(list(self.told_w))
            heard_w = self.past[max(0, len(self.past) - 1 - round(10 * self.dead_s))]
            self.power_w = [p + way * (self.gain * h - p) for p, h in zip(self.power_w, heard_w, strict=True)]
        self.second += 1


def after(
    plant: LateSlaves,
    seconds: int,
    state: LearningState = NOTHING,
    site: Site = SITE,
    moves: bool = True,
    seen: Seen = lambda snapshot: snapshot,
) -> LearningState:
    for _ in range(seconds):
        state = learn_responses(site, seen(plant.snapshot()), state)
        plant.live(moves=moves)
    return state


@pytest.mark.parametrize("period_s", [0.2, 1.0, 2.0])
def test_every_hypothesis_says_what_the_estimator_would(period_s: float) -> None:
    grid, rng = bank_grid(period_s), random.Random(2)
    bank, sent_w = new_bank(grid, 0, 0.0), [0.0] * 80
    powers = dict.fromkeys(((d, g) for d in DEAD_TIMES_S for g in LAGS_S), 0.0)
    for _ in range(60):
        sent_w = [rng.uniform(0.0, 3000.0), *sent_w[:-1]]
        bank = observe(grid, bank, sent_w[0], None, 1.0, 0, True)
        for (dead_s, lag_s), power_w in powers.items():
            group = ResponseGroup(0, (), dead_s, 0.0, lag_s)
            powers[dead_s, lag_s] = follow(group, power_w, tuple(sent_w), period_s, period_s, 0.0)
    cells = zip(bank.told_w, grid.places, strict=True)
    values = [past[age] for past, places in cells for age in places]
    for (dead_s, lag_s), power_w in powers.items():
        place = nearest(grid, dead_s, lag_s)
        assert grid.hypotheses[place].dead_time_s == dead_s
        assert grid.hypotheses[place].log_lag == pytest.approx(log(lag_s))
        assert of_hypothesis(grid, values, place) == pytest.approx(power_w, abs=1e-6)


@pytest.mark.parametrize(("dead_s", "lag_s", "role"), [(4.0, 1.5, Role.ABSORB), (2.0, 4.0, Role.GENERATE)])
def test_another_answer_is_found_in_minutes_among_loads_that_switch(
    dead_s: float, lag_s: float, role: Role
) -> None:
    plant = LateSlaves(dead_s, lag_s, sign=1.0 if role is Role.ABSORB else -1.0)
    state = after(plant, 600, site=replace(SITE, role=role))
    for one, used in zip(what_is_learned(state), state.in_force, strict=True):
        assert one is not None
        assert used is not None
        assert one.in_force
        assert one.dead_time_s == pytest.approx(dead_s, abs=0.3)
        assert one.lag_s == pytest.approx(lag_s, rel=0.2)
        assert one.gain == pytest.approx(1.0, abs=0.1)
        assert one.dead_time_s < one.dead_time_high_s <= one.dead_time_s + 1.0
        assert used.dead_time_s == pytest.approx(one.dead_time_s, abs=0.2)


def test_a_quicker_answer_is_believed_later_than_a_slower_one() -> None:
    assert all(one is not None and one.dead_time_s > 4.0 for one in after(LateSlaves(5.0, 1.5), 200).in_force)
    quick = LateSlaves(0.3, 0.8)
    state = after(quick, 800)
    assert state.in_force == (None, None, None)
    state = after(quick, 400, state)
    assert all(one is not None and one.dead_time_s < 0.6 for one in state.in_force)


def test_what_does_not_move_tells_nothing() -> None:
    state = after(LateSlaves(4.0, 1.5), 300, moves=False)
    assert what_is_learned(state) == ()
    assert state.in_force == (None, None, None)
    plant = LateSlaves(4.0, 1.5)
    moved = after(plant, 300)
    plant.dead_s = 1.0
    at_rest = after(plant, 60, moved, moves=False)
    later = after(plant, 300, at_rest, moves=False)
    assert later.in_force == at_rest.in_force
    assert what_is_learned(later) == what_is_learned(at_rest)


@pytest.mark.parametrize("gain", [0.0, 0.3, 0.67])
def test_slaves_that_draw_less_than_told_do_not_seem_slower(gain: float) -> None:
    assert after(LateSlaves(2.0, 1.5, gain=gain), 400).in_force == (None, None, None)


def test_a_slave_known_not_to_follow_silences_its_phase_alone() -> None:
    def limited(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, slaves=(replace(SEEN[0], limit_w=400), *SEEN[1:]))

    learned = what_is_learned(after(LateSlaves(4.0, 1.5), 200, seen=limited))
    assert learned[0] is None
    assert learned[1] is not None


def test_lost_samples_gaps_and_what_is_no_number_are_passed_over() -> None:
    rng = random.Random(3)

    def broken(snapshot: Snapshot) -> Snapshot:
        if rng.random() < 0.1:
            return replace(snapshot, meter_age_s=1.2)
        return replace(snapshot, grid_power_w=(nan, nan, nan)) if rng.random() < 0.02 else snapshot

    plant = LateSlaves(4.0, 1.5)
    state = after(plant, 200, seen=broken)
    plant.second += 50
    state = after(plant, 300, state, seen=broken)
    assert all(one is not None and abs(one.dead_time_s - 4.0) < 0.4 for one in state.in_force)


def test_slaves_that_are_known_to_differ_are_left_as_they_were_measured() -> None:
    other = Slave(3, "slow", 0, 3000, dead_time_s=3.5, lag_s=1.5)
    mixed = replace(SITE, slaves=(*SITE.slaves, other))

    def four(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, slaves=(*SEEN, SEEN[0]))

    state = after(LateSlaves(6.0, 1.5), 300, site=mixed, seen=four)
    assert what_is_learned(state)[0] is None
    assert state.in_force[0] is None
    assert state.in_force[1] is not None


def test_groups_answer_as_learned_on_their_phase_alone() -> None:
    in_force = LearnedResponse(4.0, 4.5, 2.0, 1.0, 600.0, True)
    groups = (ResponseGroup(0), ResponseGroup(1, dead_time_s=1.0, dead_time_sd_s=0.4, weight=0.5))
    same, other = adapted(groups, (in_force, None, None))
    assert (same.dead_time_s, same.lag_s) == (4.0, 2.0)
    assert other == groups[1]
