"""Short forms of the campaigns: the same code, few trials."""

from pathlib import Path

import pytest

from plant.site.trace import load_trace
from tests.campaigns import controller_killed, data_faults, energy_counters, kills, meter_loss, power_cuts
from tests.campaigns.pairs import FAULTS
from tests.support import virtual_time


def test_a_lost_meter_brings_every_slave_to_rest_within_5_s(tmp_path: Path) -> None:
    """One of each kind at once, with slaves of 5000 W; the referee watches all wires."""
    outcome = virtual_time.run(meter_loss.campaign(tmp_path, 4, 1, sites=4, run_s=(4.0, 8.0)))
    assert sorted(trial.kind for trial in outcome.trials) == sorted(FAULTS)
    assert outcome.worst_s <= meter_loss.LIMIT_S, meter_loss.table(outcome)
    assert min(trial.lost_s or 0.0 for trial in outcome.trials) > 2.5
    assert outcome.judgement.broken == []
    assert "over 5 s: 0" in meter_loss.table(outcome)


def test_wrong_registers_are_noticed(tmp_path: Path) -> None:
    kinds = ("power ten times too large", "all zero", "words exchanged", "two registers missing")
    done = virtual_time.run(data_faults.campaign(tmp_path, 4, 1, sites=4, kinds=kinds))
    assert sorted(trial.kind for trial in done) == sorted(kinds)
    assert data_faults.held(done), data_faults.table(done)


def test_a_tenth_of_the_power_is_told_by_the_counters() -> None:
    """In steps of 100 Wh, read every 25 s, on the shipped morning; a sound meter is called sound."""
    span_s = range(5 * 3600, 10 * 3600)
    day = load_trace()
    sound = energy_counters.live(day, "em24", "none", 1.0, seed=1, span_s=span_s)
    wrong = energy_counters.live(day, "em24", "none", 0.1, seed=1, span_s=span_s)
    assert sound.verdicts
    assert sound.alarms_s == []
    assert wrong.alarms_s[0] <= span_s.start + 2 * 3600
    assert "| em24 | none | x 0.1 | 1 |" in energy_counters.table([sound, wrong])


@pytest.mark.slow
async def test_a_killed_daemon_leaves_slaves_that_rest_and_a_fallback_that_stands(tmp_path: Path) -> None:
    """A real process and real time: the time to live alone takes 15 s."""
    found = await controller_killed.campaign(tmp_path, 1, 1, sites=1, period_s=0.2, life_s=(8.0, 9.0))
    assert found.kills == found.starts == 1
    assert controller_killed.held(found), controller_killed.table(found)


def test_kills_shorten_no_fallback(tmp_path: Path) -> None:
    found = kills.campaign(tmp_path, 25, 1)
    assert found.kills == 25
    assert found.saves > 0
    assert found.strange == found.shortened == 0
    assert found.worst_s <= kills.SAME_S


def test_power_cuts_leave_what_was_saved(tmp_path: Path) -> None:
    result = power_cuts.campaign(tmp_path, 1500, 1)
    assert all(found.wrong == 0 and found.cuts >= 500 for found in result.values())
    assert all(found.old and found.new for found in result.values())
    assert result["honest"].nothing == 0
    assert result["lying"].nothing > 0
