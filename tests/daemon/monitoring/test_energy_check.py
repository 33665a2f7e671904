"""Power against counters: second by second, with counters as meters have them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from core.site import Phases
from daemon.monitoring.energy_check import LONGEST_S, EnergyCheck
from drivers.ports import EnergyCounters

HOUR_S = 3600


@dataclass
class CountingMeter:
    """True power in, what the meter tells out.

    Counters show what is full, in steps. They are read every `every_s` seconds; the meter updates them every
    `lazy_s`.
    """

    step_wh: float = 10.0
    every_s: int = 7
    lazy_s: int = 1
    scale: float = 1.0
    at_s: float = 5000.0
    counted_wh: list[float] = field(default_factory=lambda: [120_000.0, 40_000.0])
    shown_wh: list[float] = field(default_factory=list)
    energy: EnergyCounters = field(default_factory=EnergyCounters)
    check: EnergyCheck = field(default_factory=EnergyCheck)

    def live(self, seconds: int, power: Callable[[float], Phases], *, heard: bool = True) -> None:
        """Every second a sample, unless nobody hears it."""
        for _ in range(seconds):
            self.at_s += 1.0
            power_w = power(self.at_s)
            net_wh = sum(power_w) / 3600.0
            self.counted_wh[net_wh < 0.0] += abs(net_wh)
            if self.at_s % self.lazy_s == 0:
                self.shown_wh = [wh // self.step_wh * self.step_wh for wh in self.counted_wh]
            if not heard:
                continue
            if self.at_s % self.every_s == 0 and self.shown_wh:
                import_wh, export_wh = self.shown_wh
                self.energy = EnergyCounters(import_wh, export_wh, self.at_s - 0.1, self.at_s - 0.1)
            a, b, c = power_w
            self.check.update(self.at_s, (self.scale * a, self.scale * b, self.scale * c), self.energy)


def house(at_s: float) -> Phases:
    """Two kilowatts in all, with an appliance that switches every other minute."""
    return (2500.0 if at_s % 120.0 < 60.0 else 500.0, -300.0, 800.0)


def sun(at_s: float) -> Phases:
    """Four kilowatts go out."""
    return (-2000.0, -1500.0, -500.0 if at_s % 90.0 < 45.0 else -490.0)


@pytest.mark.parametrize("step_wh", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("every_s", [1, 7, 25])
def test_a_sound_meter_agrees(step_wh: float, every_s: int) -> None:
    meter = CountingMeter(step_wh, every_s)
    for _ in range(3):
        meter.live(2 * HOUR_S, house)
        meter.live(2 * HOUR_S, sun)
    assert meter.check.finding is not None
    assert meter.check.finding.agrees
    assert meter.check.ratio == 0.0


@pytest.mark.parametrize("step_wh", [1.0, 10.0, 100.0])
def test_counters_updated_every_quarter_of_an_hour_call_nobody_wrong(step_wh: float) -> None:
    meter = CountingMeter(step_wh, 5, lazy_s=900)
    for _ in range(6):
        meter.live(2 * HOUR_S, house)
        meter.live(2 * HOUR_S, sun)
    assert not meter.check.disagrees
    wrong = CountingMeter(step_wh, 5, lazy_s=900, scale=10.0)
    wrong.live(2 * HOUR_S, house)
    assert wrong.check.disagrees


@pytest.mark.parametrize("step_wh", [1.0, 10.0, 100.0])
@pytest.mark.parametrize(("scale", "ratio"), [(10.0, 0.9), (0.1, 0.9), (-1.0, 2.0), (0.0, 1.0)])
@pytest.mark.parametrize("power", [house, sun])
def test_a_wrong_scale_or_sign_is_known_within_two_hours(
    step_wh: float, scale: float, ratio: float, power: Callable[[float], Phases]
) -> None:
    meter = CountingMeter(step_wh, scale=scale)
    meter.live(2 * HOUR_S, power)
    assert meter.check.disagrees
    assert meter.check.finding is not None
    uncertain = meter.check.finding.uncertain_wh / meter.check.finding.larger_wh
    assert ratio - uncertain - 0.01 <= meter.check.finding.ratio <= ratio + 0.01


@pytest.mark.parametrize(("scale", "agrees"), [(1.03, True), (0.97, True), (1.10, False), (0.90, False)])
def test_five_percent_count_with_fine_counters(scale: float, agrees: bool) -> None:
    meter = CountingMeter(1.0, scale=scale)
    meter.live(3 * HOUR_S, sun)
    assert meter.check.finding is not None
    assert meter.check.finding.agrees is agrees
    assert meter.check.disagrees is not agrees


def test_nothing_is_said_before_an_hour_and_before_enough_has_flowed() -> None:
    meter = CountingMeter(1.0, scale=10.0)
    meter.live(HOUR_S - 10, house)
    assert meter.check.finding is None
    quiet = CountingMeter(100.0)
    quiet.live(5 * HOUR_S, lambda _: (10.0, 20.0, 10.0))  # two steps in all
    assert quiet.check.finding is None


def test_a_balanced_site_has_nothing_to_compare() -> None:
    meter = CountingMeter(10.0, scale=10.0)
    meter.live(5 * HOUR_S, lambda at_s: (3000.0, -3000.0, 4.0 if at_s % 2.0 else -4.0))
    assert meter.check.finding is None


def test_what_flows_while_nobody_hears_is_no_difference() -> None:
    meter = CountingMeter(10.0)
    for _ in range(6):
        meter.live(2400, house)
        meter.live(300, lambda _: (9000.0, 9000.0, 9000.0), heard=False)
    assert meter.check.finding is not None
    assert meter.check.ratio == 0.0
    wrong = CountingMeter(10.0, scale=10.0)
    for _ in range(6):
        wrong.live(2400, house)
        wrong.live(300, house, heard=False)
    assert wrong.check.disagrees


def test_a_meter_that_is_often_lost_is_not_judged() -> None:
    meter = CountingMeter(10.0)
    for _ in range(400):
        meter.live(40, house)
        meter.live(4, house, heard=False)
    assert meter.check.finding is None


@pytest.mark.parametrize("counter", [0, 1])
def test_a_counter_that_falls_back_begins_the_comparison_anew(counter: int) -> None:
    meter = CountingMeter(10.0)
    meter.live(HOUR_S // 2, house)
    meter.counted_wh[counter] = 3.0
    meter.live(2 * HOUR_S, house)
    assert meter.check.finding is not None
    assert meter.check.ratio == 0.0


def test_counters_that_stand_still_or_are_missing_say_nothing() -> None:
    meter = CountingMeter(1e9)
    meter.live(3 * HOUR_S, sun)
    assert meter.check.finding is None
    check = EnergyCheck()
    for second in range(3 * HOUR_S):
        now_s = float(second)
        check.update(now_s, sun(now_s), EnergyCounters(import_wh=float(second), import_at_s=now_s))
        check.update(now_s, sun(now_s), EnergyCounters(float(second), float("nan"), now_s, now_s))
    assert check.finding is None


def test_counters_read_in_turn_are_compared_too() -> None:
    meter = CountingMeter(10.0)
    told = EnergyCounters()
    check = EnergyCheck()
    for second in range(4 * HOUR_S):
        meter.live(1, sun if second // 1800 % 2 else house, heard=False)
        now_s = meter.at_s
        counted = [wh // 10.0 * 10.0 for wh in meter.counted_wh]
        if second % 25 == 5:
            told = replace(told, import_wh=counted[0], import_at_s=now_s)
        if second % 25 == 20:
            told = replace(told, export_wh=counted[1], export_at_s=now_s)
        check.update(now_s, sun(now_s) if second // 1800 % 2 else house(now_s), told)
    assert check.finding is not None
    assert check.ratio == 0.0


def test_a_verdict_ends_with_the_next_or_with_the_day() -> None:
    meter = CountingMeter(10.0, scale=0.1)
    meter.live(2 * HOUR_S, house)
    assert meter.check.disagrees
    mended = replace(meter, scale=1.0)
    mended.live(3 * HOUR_S, house)
    assert mended.check.finding is not None
    assert not mended.check.disagrees
    lost = CountingMeter(10.0, scale=0.1)
    lost.live(2 * HOUR_S, house)
    lost.at_s += LONGEST_S + 1.0
    lost.live(1, house)
    assert lost.check.finding is None
    assert lost.check.ratio is None


def test_power_that_is_no_number_is_no_power() -> None:
    check, counted_wh = EnergyCheck(), 0.0
    for second in range(4 * HOUR_S):
        now_s = float(second)
        counted_wh += sum(house(now_s)) / 3600.0
        power_w = house(now_s) if second % 600 else (float("nan"), 0.0, 0.0)
        check.update(now_s, power_w, EnergyCounters(counted_wh // 1.0, 0.0, now_s, now_s))
    assert check.finding is not None
    assert check.finding.counted_wh == pytest.approx(check.finding.integrated_wh, rel=0.01)
    assert check.ratio == 0.0
