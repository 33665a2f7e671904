"""A site that begins to answer otherwise is followed while it runs, without swinging on the way."""

import pytest

from core.decision import Decision
from core.parts import Memory
from core.reversal import ReversalState, swing
from core.tick import decide
from daemon.journal.format import from_line, to_line
from daemon.journal.records import Tick
from daemon.runtime.assembly import pi_rule_on
from daemon.simulation.controllers import pilot
from daemon.simulation.plant_description import load_plant, plant_trace
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO

NOON_S = 11 * 3600
BEFORE_S, AFTER_S, LAST_S = 300, 1800, 600


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


@pytest.mark.parametrize(
    ("plant", "dead_time_s", "lag_s"),
    [
        ("late-4", (5.5, 7.2), (0.7, 2.6)),
        ("slow-8", (1.5, 3.6), (5.0, 11.0)),
        ("meter-5s", (4.5, 9.0), (0.7, 4.0)),
    ],
)
def test_a_change_is_followed_within_half_an_hour(
    plant: str, dead_time_s: tuple[float, float], lag_s: tuple[float, float]
) -> None:
    acting = pilot("pi", load_plant("usual").core_site())
    assert acting is not None
    _, memory = lived("usual", acting, acting.memory, NOON_S, BEFORE_S)
    story, _ = lived(plant, acting, memory, NOON_S + BEFORE_S, AFTER_S)
    tick, last = story[-1]
    assert len(last.learned) == 3
    for one in last.learned:
        assert one is not None
        assert one.in_force
        assert dead_time_s[0] <= one.dead_time_s <= dead_time_s[1]
        assert lag_s[0] <= one.lag_s <= lag_s[1]
    assert last.sight.delay_s == pytest.approx(
        sum(one.dead_time_s for one in last.learned if one is not None) / 3.0, abs=0.3
    )
    assert reversals_per_min(story[-LAST_S:]) < 5.0
    assert from_line(to_line(tick)) == tick


def test_configured_gains_win() -> None:
    acting = pilot("pi", load_plant("usual").core_site())
    assert acting is not None
    story, _ = lived("late-4", acting, acting.memory, NOON_S, 600)
    learned = next(one for one in story[-1][1].learned if one is not None and one.in_force)
    assert pi_rule_on(acting.parts.site)(learned).ki < 0.25
