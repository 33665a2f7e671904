"""A site that begins to answer otherwise is followed while it runs, without swinging on the way."""

import pytest

from core.decision import Decision
from core.estimation.reversal import ReversalState, swing
from core.parts import Memory
from core.tick import decide
from daemon.journal.format import from_line, to_line
from daemon.journal.records import Tick
from daemon.simulation.controllers import pilot
from daemon.simulation.plant_description import load_plant, plant_trace
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO

NOON_S = 11 * 3600


def lived(
    plant: str, acting: SimulatedController, memory: Memory, from_s: int, seconds: int
) -> tuple[list[tuple[Tick, Decision]], Memory]:
    """Seconds of the day that ships, on a member of the family that is believed to be the usual one."""
    description = load_plant(plant)
    scenario = Scenario(
        plant_trace(description, None), acting.parts.site, start_s=from_s, plant=description, settle_s=0
    )
    far_end, story = scenario.far_end(), []
    wires = SimulatedIO(scenario, far_end)
    for _ in range(seconds):
        seen = wires.snapshot()
        decision, memory = decide(seen, acting.authority, memory, acting.parts)
        wires.transmit(decision)
        tick = Tick(
            unix_s=1.0,
            snapshot=seen,
            authority=acting.authority,
            propensity=1.0,
            block=0,
            confounded=False,
            decision=decision,
        )
        story.append((tick, decision))
        for _ in range(far_end.tick_steps):
            far_end.step()
    return story, memory


def usual_pi() -> SimulatedController:
    acting = pilot("pi", load_plant("usual").core_site())
    assert acting is not None
    return acting


def reversals_per_min(story: list[tuple[Tick, Decision]]) -> float:
    """Of the phase that turned most."""
    most = 0
    for phase in range(3):
        held, count = ReversalState(), 0
        for tick, _ in story:
            held, is_turn = swing(held, tick.snapshot.on_air.action_w[phase], 100.0)
            count += is_turn
        most = max(most, count)
    return 60.0 * most / len(story)


def test_slaves_that_are_slower_than_believed_are_found() -> None:
    acting = usual_pi()
    story, _ = lived("slow-8", acting, acting.memory, NOON_S, 900)
    tick, last = story[-1]
    assert len(last.learned) == 3
    for one in last.learned:
        assert one is not None
        assert one.in_force
        assert one.lag_s > 3.5
    assert from_line(to_line(tick)) == tick


def test_a_meter_that_begins_to_average_is_followed_without_swinging() -> None:
    acting = usual_pi()
    _, memory = lived("usual", acting, acting.memory, NOON_S, 300)
    assert all(one is None or one.dead_time_s < 3.0 for one in memory.responses.in_force)
    story, _ = lived("meter-5s", acting, memory, NOON_S + 300, 900)
    last = story[-1][1]
    dead_times_s = [one.dead_time_s for one in last.learned if one is not None and one.in_force]
    assert len(dead_times_s) == 3
    assert min(dead_times_s) > 3.5
    assert last.estimate.delay_s == pytest.approx(sum(dead_times_s) / 3.0, abs=0.3)
    assert last.swinging is None
    assert reversals_per_min(story[-600:]) < 5.0
