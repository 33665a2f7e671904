"""Runs a site in accelerated time: the plant's physics, and the same `decide()` as everywhere else."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from core.allocation import totals_w
from core.decision import Authority, Decision, Send, Source
from core.parts import Memory, Parts
from core.site import Metering, Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.runtime.on_air import OnAir
from daemon.runtime.transmitter import delivery_groups
from daemon.simulation.score import Score
from plant.site.description import Description, described
from plant.site.drawing import draw_far_end, scaled
from plant.site.physics import TTL_S
from plant.site.stepped import SteppedSite, bare_grid_w
from plant.site.trace import DAY_S, Trace

CONTROLLERS = ("policy", "pi", "predictive", "none")
CHUNK_S = 3600
"""Between two signs of life."""
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

    Every second of a day has its own randomness, so a part of the day lives what the whole day lives there.
    `settle_s` seconds before `start_s` are lived and not scored, as far as the day has them, so that the
    score does not begin with slaves at rest. `extra_delay_s` is added to every frame and told to nobody.
    `plant` is what is truly there; without one it is the usual far end of `site`. Reports of the slaves are
    simulated only where `plant` says so: else the controller believes in the usual delay and a radio
    without losses.
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
    plant: Description | None = None

    @property
    def lead_s(self) -> int:
        """Seconds that are lived before the score begins."""
        return min(self.settle_s, self.start_s)

    @property
    def description(self) -> Description:
        """What is truly there."""
        return self.plant or described(self.site, self.ttl_s)

    def far_end(self) -> SteppedSite:
        """The plant at its first second, slaves at rest."""
        return draw_far_end(
            self.description,
            self.trace,
            self.connection,
            self.seed,
            self.start_s - self.lead_s,
            self.extra_delay_s,
        )


@dataclass(frozen=True, slots=True)
class SimulatedMessage:
    """What one delivery group is told; satisfies `core.authorization.Decoded`."""

    base: int
    setpoints_w: tuple[int, ...]
    safe_release: bool = False


class SimulatedIO:
    """What lies between a controller and a simulated far end: snapshots one way, frames the other.

    `on_air` is what was last transmitted, `frames` how many messages the last transmission took. Slaves that
    do not fit into one frame are told group by group, as the daemon does.
    """

    def __init__(self, scenario: Scenario, far_end: SteppedSite) -> None:
        self._site, self._far_end = scenario.site, far_end
        radio = scenario.description.radio
        self._ttl_s, self._report_every_s = radio.ttl_s, radio.report_every_s
        self._slaves = (SlaveState(report_age_s=0.0),) * len(scenario.site.slaves)
        self._reported_at_s = float("-inf")
        self._resting = (0,) * len(scenario.site.slaves)
        self._sent_at_s, self._moved_at_s, self._tick = float("-inf"), float("-inf"), 0
        self._groups = delivery_groups(scenario.site)
        self._told = OnAir(scenario.site, self._ttl_s, self._groups) if len(self._groups) > 1 else None
        self.on_air = OnAirState(setpoints_w=self._resting)
        self.frames = 1

    def snapshot(self) -> Snapshot:
        """The process image of the next tick."""
        at_s, on_air = float(self._far_end.now_s), self.on_air
        age_s = at_s - self._sent_at_s
        heard = age_s <= self._ttl_s
        still_s = at_s - self._moved_at_s
        if self._told is not None:
            self.on_air = self._told.at(at_s)
        elif heard:
            self.on_air = OnAirState(on_air.action_w, on_air.setpoints_w, age_s, still_s=still_s)
        else:
            self.on_air = OnAirState(setpoints_w=self._resting, still_s=min(age_s - self._ttl_s, still_s))
        if self._report_every_s > 0.0:
            self._hear_reports(at_s)
        self._tick += 1
        return Snapshot(self._tick - 1, at_s, self._far_end.meter_w, 0.0, self._slaves, self.on_air)

    def _hear_reports(self, at_s: float) -> None:
        """All slaves report together, what they draw; a report is as old as the last time they did."""
        if at_s - self._reported_at_s >= self._report_every_s:
            self._reported_at_s = at_s
        age_s = at_s - self._reported_at_s
        self._slaves = tuple(
            self._report(index) if age_s == 0.0 else replace(state, report_age_s=age_s)
            for index, state in enumerate(self._slaves)
        )

    def _report(self, index: int) -> SlaveState:
        heard_w = round(self._far_end.setpoint_w(index))
        return SlaveState(True, self._far_end.slave_power_w(index), 0.0, applied_w=heard_w, told_w=heard_w)

    def transmit(self, decision: Decision) -> bool:
        """Put the decision on air if it wants a frame; whether it did."""
        if decision.send is Send.NOTHING:
            return False
        setpoints_w = decision.setpoints_w
        if self._told is not None:
            self._transmit_by_group(decision, self._told)
            return True
        self._far_end.transmit(setpoints_w)
        self._sent_at_s = float(self._far_end.now_s)
        if setpoints_w != self.on_air.setpoints_w:
            self._moved_at_s = self._sent_at_s
        self.on_air = OnAirState(totals_w(setpoints_w, self._site), setpoints_w, 0.0)
        return True

    def _transmit_by_group(self, decision: Decision, told: OnAir) -> None:
        at_s, slaves, self.frames = float(self._far_end.now_s), self._site.slaves, 0
        for number, places in enumerate(self._groups):
            if number in decision.withheld:
                continue
            by_slot = {slaves[place].slot: decision.setpoints_w[place] for place in places}
            base, last = min(by_slot), max(by_slot)
            said = SimulatedMessage(base, tuple(by_slot.get(slot, 0) for slot in range(base, last + 1)))
            told.accepted(said, at_s)
            self._far_end.transmit(decision.setpoints_w, places)
            self.frames += 1
        self.on_air = told.at(at_s)


@dataclass(frozen=True)
class SimulatedController:
    """A controller ready to act: parts, their memory, and whose authority it is."""

    parts: Parts
    memory: Memory
    authority: Authority


@dataclass(slots=True)
class SimulationRun:
    """A simulation under way. `score` grows with every chunk."""

    scenario: Scenario
    pilot: SimulatedController | None
    score: Score
    acted: dict[Source, float]
    lived_s: int = 0
    compute_s: float = 0.0

    def export_without_wh(self) -> float:
        """What would be exported in the scenario's hours without any slave, as billed."""
        scenario = self.scenario
        trace = scaled(scenario.trace, scenario.description)
        bare_w = bare_grid_w(trace, scenario.connection)[scenario.start_s : scenario.end_s]
        if scenario.site.metering is Metering.NET:
            bare_w = bare_w.sum(axis=1)
        return float(np.maximum(-bare_w, 0.0).sum()) / 3600.0

    def ticks_per_second(self) -> float:
        """Simulated seconds per second of computing."""
        return (self.scenario.lead_s + self.lived_s) / self.compute_s if self.compute_s > 0.0 else 0.0


def simulate(scenario: Scenario, pilot: SimulatedController | None) -> SimulationRun:
    """Live the whole scenario. Without a pilot the slaves are never commanded."""
    run = begin(scenario, pilot)
    for _ in live(run):
        pass
    return run


def begin(scenario: Scenario, pilot: SimulatedController | None) -> SimulationRun:
    """A run that has not lived yet."""
    return SimulationRun(scenario, pilot, Score(scenario.site), dict.fromkeys(Source, 0.0))


def live(run: SimulationRun) -> Iterator[int]:
    """Live the scenario; yields the seconds lived so far, every `CHUNK_S`."""
    scenario = run.scenario
    started_s = perf_counter()
    far_end = scenario.far_end()
    run.score.step_s = far_end.step_s
    begin_s, due_s = float(scenario.start_s), float(scenario.start_s + CHUNK_S)
    is_settled = scenario.lead_s == 0
    for _ in _uncommanded(run, far_end) if run.pilot is None else _controlled(run, run.pilot, far_end):
        now_s = far_end.now_s
        if not is_settled and now_s >= begin_s:
            run.score, run.acted = run.score.settled(), dict.fromkeys(Source, 0.0)
            is_settled = True
        run.lived_s = max(0, int(now_s - begin_s))
        if now_s >= due_s:
            due_s += CHUNK_S
            run.compute_s += perf_counter() - started_s
            yield run.lived_s
            started_s = perf_counter()
        if now_s >= scenario.end_s:
            break
    run.compute_s += perf_counter() - started_s


def _uncommanded(run: SimulationRun, far_end: SteppedSite) -> Iterator[None]:
    idle_w = (0.0, 0.0, 0.0)
    while True:
        far_end.step()
        run.score.step(far_end.grid_w, far_end.slaves_w, idle_w)
        yield


def _controlled(run: SimulationRun, pilot: SimulatedController, far_end: SteppedSite) -> Iterator[None]:
    parts, memory, authority = pilot.parts, pilot.memory, pilot.authority
    wires = SimulatedIO(run.scenario, far_end)
    while True:
        snapshot = wires.snapshot()
        decision, memory = decide(snapshot, authority, memory, parts)
        run.acted[decision.verdict.source] += parts.site.period_s
        if wires.transmit(decision):
            resting = decision.verdict.source is Source.REST
            run.score.frame(snapshot.at_s, decision.setpoints_w, resting, wires.frames)
        for _ in range(far_end.tick_steps):
            far_end.step()
            run.score.step(far_end.grid_w, far_end.slaves_w, wires.on_air.action_w)
            yield
