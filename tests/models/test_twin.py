"""The twin: exactly the real controller when it does the same, and its own world when it does not."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, nan

import pytest

from core.decision import Authority, Decision, Send, Source
from core.metering import exported_w
from core.parts import Memory
from core.roles import Role
from core.site import Metering, Site
from core.snapshot import OnAirState, Snapshot
from core.tick import decide
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedIO, default_site
from models.twin import TwinMemory, TwinTick, fallback_twin
from plant.site.trace import load_trace
from safety.pi import PiFallback, PiGains

NOON_S = 12 * 3600


@dataclass
class TwinSecond:
    """One tick of both."""

    snapshot: Snapshot
    decision: Decision
    twin: TwinTick
    memory: TwinMemory


@dataclass
class TwinStory:
    """A site under a PI that is judged as if it were the policy, with a twin beside it."""

    site: Site = field(default_factory=default_site)
    gains: PiGains = field(default_factory=PiGains)
    fallback: PiGains = field(default_factory=PiGains)
    frame_s: float = 0.0
    see: Callable[[int, Snapshot], Snapshot] = lambda _tick, snapshot: snapshot
    authority: Callable[[int], Authority] = lambda _tick: Authority.POLICY
    accepts: Callable[[int], bool] = lambda _tick: True

    def live(self, seconds: int) -> list[TwinSecond]:
        flown = pilot("pi", self.site)
        assert flown is not None
        parts, memory = replace(flown.parts, fallback=PiFallback(self.site, self.gains)), flown.memory
        scenario = Scenario(load_trace(), self.site, start_s=NOON_S, end_s=NOON_S + seconds, settle_s=0)
        far_end = scenario.far_end()
        wires = SimulatedIO(scenario, far_end)
        twin = fallback_twin(replace(parts, fallback=PiFallback(self.site, self.fallback)), scenario.ttl_s)
        own, lived = twin.cold, []
        for tick in range(seconds):
            snapshot = self.see(tick, self._late(wires.snapshot()))
            before: Memory = memory
            decision, memory = decide(snapshot, Authority.FALLBACK, memory, parts)
            accepted: bool | None = None
            if decision.send is not Send.NOTHING:
                accepted = self.accepts(tick) and wires.transmit(decision)
            told = replace(decision, authority=self.authority(tick))
            of_twin, own = twin.step(snapshot, told, before, accepted, own)
            lived.append(TwinSecond(snapshot, decision, of_twin, own))
            far_end.step()
        return lived

    def _late(self, snapshot: Snapshot) -> Snapshot:
        """Frames are accepted so much later than the tick that sent them."""
        air = snapshot.on_air
        return replace(snapshot, on_air=replace(air, age_s=air.age_s - self.frame_s))


def off_w(lived: list[TwinSecond]) -> float:
    """How far the twin's meter is from the real one, at worst."""
    return max(
        abs(a - b)
        for second in lived
        for a, b in zip(second.twin.grid_power_w, second.snapshot.grid_power_w, strict=True)
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("metering", Metering)
def test_a_twin_that_does_the_same_sees_exactly_what_was_measured(role: Role, metering: Metering) -> None:
    lived = TwinStory(replace(default_site(metering), role=role)).live(300)
    assert max(max(second.decision.safe_action_w) for second in lived) > (
        500.0 if role is Role.ABSORB else 0.0
    )
    assert off_w(lived) < 1e-9
    assert all(second.twin.action_w == second.snapshot.on_air.action_w for second in lived)


def test_it_takes_the_time_of_frames_from_the_real_ones() -> None:
    assert off_w(TwinStory(frame_s=0.12).live(300)) < 1e-9


def test_it_holds_and_rests_with_the_real_one() -> None:
    def see(tick: int, snapshot: Snapshot) -> Snapshot:
        if 100 <= tick < 102:
            return replace(snapshot, meter_age_s=1.0 + (tick - 100))
        if 150 <= tick < 156:
            return replace(snapshot, meter_age_s=3.0 + tick - 150, grid_power_w=(nan, nan, nan))
        return snapshot

    lived = TwinStory(see=see).live(260)
    assert {second.decision.verdict.source for second in lived} == {Source.FALLBACK, Source.HOLD, Source.REST}
    assert off_w([second for second in lived if second.decision.estimate.fresh]) < 1e-9


def test_refused_frames_are_refused_for_both() -> None:
    assert off_w(TwinStory(accepts=lambda tick: tick % 7 != 0).live(200)) < 1e-9


def test_without_a_radio_neither_is_heard() -> None:
    def see(tick: int, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, alarms=("radio_down",)) if 50 <= tick < 54 else snapshot

    lived = TwinStory(see=see, accepts=lambda tick: not 50 <= tick < 54).live(150)
    assert off_w(lived) < 1e-9
    silent = TwinStory(gains=PiGains(0.0, 0.0), see=see).live(54)  # sends nothing, so nothing is refused
    assert silent[53].memory.sent_at_s <= silent[50].snapshot.at_s


def test_its_setpoints_run_out_with_the_time_to_live() -> None:
    def see(tick: int, snapshot: Snapshot) -> Snapshot:
        return snapshot if tick < 60 else replace(snapshot, alarms=("radio_down",))

    lived = TwinStory(see=see, accepts=lambda tick: tick < 60).live(90)
    assert lived[70].twin.action_w != (0.0, 0.0, 0.0)
    assert lived[80].twin.action_w == lived[80].snapshot.on_air.action_w == (0.0, 0.0, 0.0)


def test_both_live_through_the_same_sun_and_house() -> None:
    lived = TwinStory(gains=PiGains(0.2, 0.05)).live(300)
    for second in lived:
        bare = [
            g - m for g, m in zip(second.snapshot.grid_power_w, second.decision.estimate.model_w, strict=True)
        ]
        twin = [g - m for g, m in zip(second.twin.grid_power_w, second.twin.slaves_w, strict=True)]
        assert twin == pytest.approx(bare, abs=1e-6)
    assert off_w(lived) > 500.0


def test_a_twin_with_better_gains_exports_what_such_a_controller_would() -> None:
    """The truth is lived: the same half hour under the tuned PI, which exports half as much."""
    slow, tuned = TwinStory(gains=PiGains(0.2, 0.05)).live(1800), TwinStory().live(1800)

    def exported(lived: list[TwinSecond], of: str) -> float:
        grids = [(second.twin if of == "twin" else second.snapshot).grid_power_w for second in lived]
        return sum(exported_w(grid_w, Metering.NET) for grid_w in grids)

    true = exported(tuned, "meter")
    assert exported(slow, "meter") > 1.8 * true
    assert exported(slow, "twin") == pytest.approx(true, rel=0.1)


def test_while_the_fallback_is_in_charge_it_is_the_real_one() -> None:
    lived = TwinStory(
        gains=PiGains(0.2, 0.05),
        authority=lambda t: Authority.POLICY if 100 <= t < 200 else Authority.FALLBACK,
    ).live(250)
    for second in (*lived[:100], *lived[200:]):
        assert second.twin.grid_power_w == second.snapshot.grid_power_w
        assert second.twin.action_w == second.snapshot.on_air.action_w
        assert second.memory.memory is None
    assert lived[100].twin.grid_power_w == pytest.approx(lived[100].snapshot.grid_power_w)
    assert off_w(lived[100:200]) > 100.0


def test_before_the_first_frame_it_rests_too() -> None:
    lived = TwinStory().live(2)
    assert lived[0].snapshot.on_air == OnAirState(setpoints_w=(0,) * 9, age_s=inf)
    assert lived[0].twin.action_w == (0.0, 0.0, 0.0)
