"""Descriptions of true sites: those that ship, what is drawn from them, and what a wrong one is told."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from core.site import Site
from daemon.simulation.simulate import Scenario, default_site
from plant.radio.link import LOST
from plant.site.actuators import sample_actuators
from plant.site.description import Description, described, load_description, members
from plant.site.drawing import draw_actuators_of, draw_far_end, pace_of, told
from plant.site.trace import load_trace

NAMED = {
    "usual", "fast", "wired", "slow-4", "slow-8", "late-2", "late-4", "meter-2s", "meter-5s", "meter-late",
    "gain-low", "gain-high", "one-per-phase", "wallboxes", "wallboxes-continuous", "switches", "mixed",
    "full", "three-phase", "generate", "loss-10", "missing", "many",
}  # fmt: skip
SLAVE = '[[slaves]]\nname = "s"\nmax_w = 1700\n'


def of(text: str, folder: Path) -> Description:
    path = folder / "site.toml"
    path.write_text(text)
    return load_description(str(path))


def test_every_named_member_ships() -> None:
    assert set(members()) == NAMED


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_member_says_what_it_is_and_can_be_lived(name: str) -> None:
    site = load_description(name)
    assert site.name == name
    assert site.about.endswith(".")
    far = draw_far_end(site, load_trace(), "3ph", seed=1, start_s=40_000)
    known = site.core_site()
    assert isinstance(known, Site)
    far.transmit([slave.steps_w[0] if slave.is_staged else slave.max_w // 2 for slave in known.slaves])
    for _ in range(round(10 / far.step_s)):
        far.step()
    assert far.now_s == pytest.approx(40_010)
    assert all(np.isfinite(w) for w in (*far.meter_w, *far.grid_w))
    assert min(far.slaves_w) >= 0.0
    assert max(far.slaves_w) > 100.0


def test_the_usual_member_is_the_far_end_of_the_default_site() -> None:
    described_one = Scenario(load_trace(), default_site(), seed=3, plant=load_description("usual")).far_end()
    usual = Scenario(load_trace(), default_site(), seed=3).far_end()
    for far in (described_one, usual):
        for second in range(200):
            far.transmit([second % 7 * 200] * 9)
            far.step()
    assert described_one.grid_w == usual.grid_w
    assert described_one.meter_w == usual.meter_w


def test_slaves_are_drawn_as_ever() -> None:
    site = default_site()
    once = sample_actuators(np.random.default_rng(7), site.slaves)
    again = draw_actuators_of(described(site), np.random.default_rng(7), np.random.default_rng(8))
    assert [(a.gain, a.lag_s, a.phase) for a in once] == [(a.gain, a.lag_s, a.phase) for a in again]


def test_a_meter_holds_its_reading_and_shows_what_was(tmp_path: Path) -> None:
    text = "[meter]\nperiod_s = 5.0\ndelay_s = 2.0\nnoise_w = 0.0\n" + SLAVE
    far = draw_far_end(of(text, tmp_path), load_trace(), "3ph", start_s=43_200)
    shown, true = [], []
    for _ in range(40):
        shown.append(far.meter_w[0])
        far.step()
        true.append(far.grid_w[0])
    for at in range(10, 40):
        newest = at - at % 5
        assert shown[at] == pytest.approx(np.mean(true[newest - 7 : newest - 2]))


def test_frames_take_the_time_that_is_described(tmp_path: Path) -> None:
    text = (
        "[radio]\ndelay_s = [0.35, 0.35]\nhas_bursts = false\n" + SLAVE + "dead_time_s = 1.2\nlag_s = 0.5\n"
    )
    site = of(text, tmp_path)
    assert pace_of(site).step_s == 0.1
    far = draw_far_end(site, load_trace(), "3ph")
    far.transmit([1000, 0, 0])
    steps = 0
    while far.slave_power_w(0) == 0.0:
        far.step()
        steps += 1
    assert steps == 4 + 12 + 1  # arrives after 0.4 s and is acted on 1.2 s later, in the step that follows
    assert told(site.core_site().slaves, site, 0)[0].dead_time_s == pytest.approx(0.4 + 1.2)


def test_a_boiler_fills_opens_and_cools(tmp_path: Path) -> None:
    store = (
        "thermostat = { volume_l = 1.0, start_c = 59.0, open_c = 60.0, close_c = 50.0, loss_w_per_k = 20.0 }"
    )
    text = '[[slaves]]\nname = "s"\nphases = "a"\nmax_w = 2000\n' + store
    far = draw_far_end(of(text, tmp_path), load_trace(), "3ph")
    powers = []
    for _ in range(600):
        far.transmit([2000])
        far.step()
        powers.append(far.slave_power_w(0))
    is_on = np.array(powers) > 1000.0
    assert is_on[:30].any()
    assert 2 <= np.count_nonzero(np.diff(is_on.astype(int)) == -1) <= 8
    assert 45.0 < far.temperature_c(0) < 62.0


def test_levels_and_minimum_are_kept_by_the_device(tmp_path: Path) -> None:
    text = (
        "[radio]\ndelay_s = 0.1\nhas_bursts = false\n"
        '[[slaves]]\nname = "rod"\nphases = "a"\nmax_w = 1500\nlevels_w = [500, 1000, 1500]\ngain = 1.0\n'
        'lag_s = 0.2\n[[slaves]]\nname = "box"\nphases = "all"\nmax_w = 11040\nmin_w = 4140\ngain = 1.0\n'
        "lag_s = 0.2\n"
    )
    far = draw_far_end(of(text, tmp_path), load_trace(), "3ph")
    for setpoints, expected in (((1499, 4000), (1000, 0)), ((400, 6000), (0, 6000)), ((1500, 0), (1500, 0))):
        far.transmit(setpoints)
        for _ in range(100):
            far.step()
        assert [far.slave_power_w(0), far.slave_power_w(1)] == pytest.approx(expected, abs=1.0)
        assert far.slaves_w[1] == pytest.approx(expected[1] / 3, abs=1.0)


def test_the_radio_loses_what_is_described() -> None:
    site = load_description("loss-10")
    far = draw_far_end(site, load_trace(), "3ph")
    assert np.mean(far._delays == LOST) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[[slaves]]\nname = "s"\nmax_w = "2 kW"\n',
        SLAVE + "lag_s = [2.0, 1.0]\n",
        SLAVE + "levels_w = [100, 50]\n",
        SLAVE + "min_w = 2000\n",
        SLAVE + "thermostat = { volume_l = 100.0, open_c = 50.0, close_c = 55.0 }\n",
        "[meter]\nperiod = 5\n" + SLAVE,
        "[site]\nperiod_s = 0.01\n" + SLAVE,
    ],
)
def test_a_wrong_description_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        of(text, tmp_path)
