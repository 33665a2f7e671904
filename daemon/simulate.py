"""A site lived in accelerated time: the plant's physics, and the same `decide()` as everywhere else."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from core.allocation import totals_w
from core.decision import Authority, Decision, Send, Source
from core.parts import Memory, Parts
from core.roles import sign
from core.site import Metering, Site, Slave
from core.snapshot import Air, SlaveState, Snapshot
from core.tick import decide
from daemon.scoring import Score
from drivers.frame import frames_needed
from plant.actuators import draw_actuators
from plant.link import draw_delays, draw_link, draw_noise
from plant.physics import TTL_S
from plant.stepped import SteppedSite, bare_grid_w
from plant.trace import DAY_S, Trace

CONTROLLERS = ("policy", "pi", "predictive", "none")
CHUNK_S = 3600
"""Ticks between two signs of life."""
SETTLE_S = 60
HEATERS_PER_PHASE = 3
HEATER_W = 1700
"""Three heaters of 1700 W fill a phase to its limit of 5000 W."""


def default_site(metering: Metering = Metering.NET) -> Site:
    """The site that is simulated without a configuration: nine heaters."""
    count = 3 * HEATERS_PER_PHASE
    return Site(
        slaves=tuple(Slave(i, f"heater {i + 1}", i // HEATERS_PER_PHASE, HEATER_W) for i in range(count)),
        metering=metering,
    )


@dataclass(frozen=True)
class Scenario:
    """What is lived: a day, a site, and a seed that draws the slaves, the radio and the meter's noise.

    Every second of a day has its own luck, so a part of the day lives what the whole day lives there.
    `settle_s` seconds before `start_s` are lived and not scored, as far as the day has them, so that the
    score does not begin with slaves at rest. `extra_delay_s` is added to every frame and told to nobody.
    Reports of the slaves are not simulated: the controller believes in the usual delay and a radio without
    losses.
    """

    trace: Trace
    site: Site
    connection: str = "3ph"
    start_s: int = 0
    end_s: int = DAY_S
    seed: int = 0
    extra_delay_s: float = 0.0
    ttl_s: float = TTL_S
    settle_s: int = SETTLE_S

    @property
    def lead_s(self) -> int:
        """Seconds that are lived before the score begins."""
        return min(self.settle_s, self.start_s)

    def far_end(self) -> SteppedSite:
        """The plant at its first second, slaves at rest."""
        slaves, radio, meter = map(np.random.default_rng, np.random.SeedSequence(self.seed).spawn(3))
        actuators = draw_actuators(slaves, self.site.slaves)
        delays = draw_delays(radio, draw_link(radio), DAY_S, len(actuators), self.extra_delay_s)
        return SteppedSite(
            bare_grid_w(self.trace, self.connection),
            actuators,
            delays,
            draw_noise(meter, DAY_S),
            sign(self.site.role),
            self.start_s - self.lead_s,
            self.ttl_s,
        )


class Wires:
    """What lies between a controller and a simulated far end: snapshots one way, frames the other.

    `on_air` is what was last transmitted, `frames` how many frames one vector of setpoints takes.
    """

    def __init__(self, scenario: Scenario, far_end: SteppedSite) -> None:
        self._site, self._ttl_s, self._far_end = scenario.site, scenario.ttl_s, far_end
        self._slaves = (SlaveState(report_age_s=0.0),) * len(scenario.site.slaves)
        self._resting = (0,) * len(scenario.site.slaves)
        self._sent_at_s, self._tick = float("-inf"), 0
        self.on_air = Air(setpoints_w=self._resting)
        self.frames = frames_needed(slave.slot for slave in scenario.site.slaves)

    def snapshot(self) -> Snapshot:
        """The process image of the next tick."""
        at_s, on_air = float(self._far_end.now_s), self.on_air
        age_s = at_s - self._sent_at_s
        heard = age_s <= self._ttl_s
        self.on_air = (
            Air(on_air.action_w, on_air.setpoints_w, age_s) if heard else Air(setpoints_w=self._resting)
        )
        self._tick += 1
        return Snapshot(self._tick - 1, at_s, self._far_end.meter_w, 0.0, self._slaves, self.on_air)

    def transmit(self, decision: Decision) -> bool:
        """Put the decision on air if it wants a frame; whether it did."""
        if decision.send is Send.NOTHING:
            return False
        setpoints_w = decision.setpoints_w
        self._far_end.transmit(setpoints_w)
        self._sent_at_s = float(self._far_end.now_s)
        self.on_air = Air(totals_w(setpoints_w, self._site), setpoints_w, 0.0)
        return True


@dataclass(frozen=True)
class Pilot:
    """A controller ready to act: parts, their memory, and whose authority it is."""

    parts: Parts[Any, Any, Any, Any, Any]
    memory: Memory[Any, Any, Any, Any, Any]
    authority: Authority


@dataclass(slots=True)
class Run:
    """A simulation under way. `score` grows with every chunk."""

    scenario: Scenario
    pilot: Pilot | None
    score: Score
    acted: dict[Source, int]
    lived_s: int = 0
    compute_s: float = 0.0

    def export_without_wh(self) -> float:
        """What would be exported in the scenario's hours without any slave, as billed."""
        scenario = self.scenario
        bare_w = bare_grid_w(scenario.trace, scenario.connection)[scenario.start_s : scenario.end_s]
        if scenario.site.metering is Metering.NET:
            bare_w = bare_w.sum(axis=1)
        return float(np.maximum(-bare_w, 0.0).sum()) / 3600.0

    def ticks_per_second(self) -> float:
        """Simulated seconds per second of computing."""
        return (self.scenario.lead_s + self.lived_s) / self.compute_s if self.compute_s > 0.0 else 0.0


def simulate(scenario: Scenario, pilot: Pilot | None) -> Run:
    """Live the whole scenario. Without a pilot the slaves are never commanded."""
    run = begin(scenario, pilot)
    for _ in live(run):
        pass
    return run


def begin(scenario: Scenario, pilot: Pilot | None) -> Run:
    """A run that has not lived yet."""
    if scenario.site.period_s != 1.0:
        raise ValueError(
            f"a trace has steps of 1 s, so the period must be 1 s, not {scenario.site.period_s:g} s"
        )
    return Run(scenario, pilot, Score(scenario.site), dict.fromkeys(Source, 0))


def live(run: Run) -> Iterator[int]:
    """Live the scenario; yields the seconds lived so far, every `CHUNK_S`."""
    scenario = run.scenario
    started_s = perf_counter()
    far_end = scenario.far_end()
    ticks = _uncommanded(run, far_end) if run.pilot is None else _controlled(run, run.pilot, far_end)
    for _ in range(scenario.lead_s):
        next(ticks)
    run.score, run.acted = run.score.settled(), dict.fromkeys(Source, 0)
    for run.lived_s in range(1, scenario.end_s - scenario.start_s + 1):
        next(ticks)
        if run.lived_s % CHUNK_S == 0:
            run.compute_s += perf_counter() - started_s
            yield run.lived_s
            started_s = perf_counter()
    run.compute_s += perf_counter() - started_s


def _uncommanded(run: Run, far_end: SteppedSite) -> Iterator[None]:
    idle_w = (0.0, 0.0, 0.0)
    while True:
        far_end.step()
        run.score.second(far_end.grid_w, far_end.slaves_w, idle_w)
        yield


def _controlled(run: Run, pilot: Pilot, far_end: SteppedSite) -> Iterator[None]:
    parts, memory, authority = pilot.parts, pilot.memory, pilot.authority
    wires = Wires(run.scenario, far_end)
    while True:
        snapshot = wires.snapshot()
        decision, memory = decide(snapshot, authority, memory, parts)
        run.acted[decision.verdict.source] += 1
        if wires.transmit(decision):
            resting = decision.verdict.source is Source.REST
            run.score.frame(snapshot.at_s, decision.setpoints_w, resting, wires.frames)
        far_end.step()
        run.score.second(far_end.grid_w, far_end.slaves_w, wires.on_air.action_w)
        yield
