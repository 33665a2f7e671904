"""The short form of the soak, and that it can find something."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.soak.leg import HOUR_S, Leg, live
from tests.soak.resources import Held
from tests.soak.storm import CALM_EVERY_S, CALM_S, LANES, Spell, plan
from tests.support import virtual_time


@pytest.mark.slow
def test_ten_minutes_of_storm(tmp_path: Path) -> None:
    """Three lanes at once, and two minutes of calm at the end."""
    names = {
        "meter": ("no answer", "answers 5 s late"),
        "radio": ("coordinator hangs",),
        "slaves": ("stuck",),
    }
    spells = {
        lane: [
            Spell(100.0 + 120.0 * place, 20.0, fault)
            for place, fault in enumerate(f for f in LANES[lane] if f.name in chosen)
        ]
        for lane, chosen in names.items()
    }
    found = virtual_time.run(live(tmp_path / "site", 1, 0, 1.0 / 6.0, spells=spells), settle_s=0.0)
    assert found.problems == []
    assert found.ticks >= 580
    assert {"meter_lost", "radio_down"} <= found.causes.keys()
    assert found.referee["frames"] > 100
    assert found.answered["/metrics"] >= 38
    assert found.not_answered == {}


def test_a_plan_is_calm_at_the_end_of_every_half_hour() -> None:
    hours = 6.0
    for name, lane in LANES.items():
        spells = plan(name, Random(1), hours * HOUR_S)
        assert len(spells) > 40
        assert {spell.injection.name for spell in spells} == {fault.name for fault in lane}
        for spell in spells:
            assert (spell.at_s + spell.lasts_s) % CALM_EVERY_S <= CALM_EVERY_S - CALM_S
        assert spells == plan(name, Random(1), hours * HOUR_S)


def test_a_leak_and_an_unsafe_frame_are_problems() -> None:
    steady = [Held(at_s, 100.0, 20, 4, 19) for at_s in (1800.0, 3600.0, 5400.0, 7200.0)]
    sound = Leg(1, 0, 2.0, samples=steady)
    assert sound.problems == []
    leaks = (
        replace(steady[-1], descriptors=21),
        replace(steady[-1], tasks=20),
        replace(steady[-1], threads=5),
        replace(steady[-1], rss_mb=102.1),
    )
    for leak in leaks:
        assert len(replace(sound, samples=[*steady[:-1], leak]).problems) == 1
    assert replace(sound, broken=[{"rule": "step"}]).problems
    assert replace(sound, unhandled=["tick_failed"]).problems
    assert replace(sound, skipped_ticks=1).problems
