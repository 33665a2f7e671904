"""On sites that answer otherwise than is believed, the loop stops swinging; a journal of it replays."""

from dataclasses import replace
from typing import Any

import pytest

from core.decision import Decision, Source
from core.parts import Watches, initial_memory
from core.tick import decide
from daemon.journal.digest import digest
from daemon.journal.format import from_line, to_line
from daemon.journal.memory_record import from_checkpoint, to_checkpoint
from daemon.journal.records import Start, Tick
from daemon.simulation.controllers import pilot
from daemon.simulation.plant_description import load_plant, plant_trace
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO

NOON_S = 11 * 3600
FALLS_WITHIN_S = 300


def ready(plant: str, controller: str) -> tuple[Scenario, SimulatedController]:
    description = load_plant(plant)
    site = description.core_site()
    scenario = Scenario(plant_trace(description, None), site, start_s=NOON_S, plant=description)
    acting = pilot(controller, site)
    assert acting is not None
    return scenario, acting


def lived(scenario: Scenario, acting: SimulatedController, seconds: int) -> list[tuple[Any, Decision, Any]]:
    """Snapshot, decision and memory before it, second by second."""
    far_end, memory, story = scenario.far_end(), acting.memory, []
    wires = SimulatedIO(scenario, far_end)
    for _ in range(seconds):
        seen, before = wires.snapshot(), memory
        decision, memory = decide(seen, acting.authority, memory, acting.parts)
        wires.transmit(decision)
        story.append((seen, decision, before))
        for _ in range(far_end.tick_steps):
            far_end.step()
    return story


@pytest.mark.parametrize(("plant", "controller"), [("late-4", "pi"), ("fast", "predictive")])
def test_gains_fall_within_minutes_and_what_was_decided_replays(plant: str, controller: str) -> None:
    scenario, acting = ready(plant, controller)
    # what slaves' moves tell would end the swing before the watch has seen enough of it
    acting = replace(acting, parts=replace(acting.parts, watches=Watches.of(("swinging",))))
    story = lived(scenario, acting, 700)
    fallen = [at for at, (_, decision, _) in enumerate(story) if decision.swinging is not None]
    assert 0 < fallen[0] <= FALLS_WITHIN_S
    found = story[fallen[0]][1].swinging
    assert found is not None
    assert found.gain_share < 1.0
    assert (found.delay_s > 4.0) is (plant == "late-4")

    begun = fallen[0] + 20  # in the middle of the run, from its checkpoint
    cold = initial_memory(acting.parts)
    memory = from_checkpoint(to_checkpoint(story[begun][2]), cold)
    assert memory is not None
    for seen, decision, _ in story[begun:]:
        again, memory = decide(seen, acting.authority, memory, acting.parts)
        assert digest(again) == digest(decision)
        assert again.swinging == decision.swinging


def test_what_moves_tell_ends_a_swing_before_the_watch_does() -> None:
    scenario, acting = ready("late-4", "pi")
    story = lived(scenario, acting, 400)
    assert all(decision.swinging is None for _, decision, _ in story)
    learned = story[-1][1].learned
    assert len(learned) == 3
    assert all(one is not None and one.in_force and one.dead_time_s > 5.0 for one in learned)

    begun, cold = 250, initial_memory(acting.parts)
    memory = from_checkpoint(to_checkpoint(story[begun][2]), cold)
    assert memory is not None
    for seen, decision, _ in story[begun:]:
        again, memory = decide(seen, acting.authority, memory, acting.parts)
        assert digest(again) == digest(decision)
        assert again.learned == decision.learned


def test_a_journal_of_a_release_without_the_watch_is_decided_without_it() -> None:
    scenario, acting = ready("late-4", "pi")
    start = Start(
        version="1", unix_s=0.0, run="1", settings_path="", settings_toml="", bundle_sha256="", standing={}
    )
    assert Watches.of(start.watches) == Watches.of(())
    assert Watches.of(acting.parts.watches.names) == acting.parts.watches
    blind = replace(acting, parts=replace(acting.parts, watches=Watches.of(start.watches)))
    assert all(decision.swinging is None for _, decision, _ in lived(scenario, blind, 400))


def test_a_tick_tells_what_is_left_of_the_gains() -> None:
    seen, decision, before = lived(*ready("late-4", "pi"), 1)[0]
    swung = before.swinging._replace(gain_share=0.4, phase=1, delay_s=6.0, lag_s=1.5)
    _, acting = ready("late-4", "pi")
    decision, _ = decide(seen, acting.authority, replace(before, swinging=swung), acting.parts)
    assert decision.gain_share == 0.4
    assert decision.verdict.source is Source.FALLBACK
    tick = Tick(
        unix_s=1.0,
        snapshot=seen,
        authority=acting.authority,
        propensity=1.0,
        block=0,
        confounded=False,
        decision=decision,
    )
    assert from_line(to_line(tick)) == tick


def test_the_usual_site_under_cycling_loads_keeps_its_gains() -> None:
    scenario, acting = ready("usual", "pi")
    t = scenario.trace
    hob = t.load_w.copy()
    hob[:, 0] += [1800.0 if second % 23 < 9 else 0.0 for second in range(len(hob))]
    story = lived(replace(scenario, trace=replace(t, load_w=hob)), acting, 900)
    assert all(decision.swinging is None for _, decision, _ in story)
