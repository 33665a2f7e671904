"""A made-up sunny site for the views: plausible figures without a daemon.

Run it to look at the views: ``python -m tests.support.telemetry_feed page|terminal [--port N] [--scene
NAME]``.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from math import sin
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from core.decision import Anomaly, Authority, Decision, Send, Source, State, SupervisorDecision
from core.estimation.state_estimate import EstimatorState, StateEstimate, estimate_state
from core.modes import Mode
from core.site import ZERO, Phases, Site, Slave, per_phase
from core.snapshot import OnAirState, SlaveState, Snapshot
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost, MeterStatistics, ProcessStatistics, RadioStatistics, SiteInfo

SITE = Site(
    slaves=(
        Slave(0, "boiler", 0, 3000),
        Slave(1, "floor heating", 0, 2000),
        Slave(2, "wallbox", 1, 3600, 1400),
        Slave(3, "pool heater", 1, 2000),
        Slave(4, "buffer tank", 2, 4500),
    )
)
ABOUT = SiteInfo(
    site_name="Home",
    mode=Mode.PRODUCTION,
    policy_name="builtin 3",
    version="0.1.0",
    remark="made-up figures",
)
NOON = datetime(2026, 6, 21, 12, 40, tzinfo=timezone(timedelta(hours=2)))
BLIND = StateEstimate(True, ZERO, ZERO, ZERO, ZERO, ZERO, 1.0, 2.0, 1.0)


STATE_OF = {
    Source.POLICY: State.RL_ACTIVE,
    Source.FALLBACK: State.FALLBACK,
    Source.HOLD: State.HOLD,
    Source.REST: State.SAFE_STOP,
}
"""A state in which this source acts."""


def decision(state: State = State.RL_ACTIVE, **changes: object) -> Decision:
    """A decision with little in it."""
    base = Decision(
        tick=0,
        authority=Authority.POLICY,
        verdict=SupervisorDecision(state, ()),
        estimate=BLIND,
        policy_action_w=(900.0, 600.0, 300.0),
        fallback_action_w=(800.0, 500.0, 200.0),
        requested_action_w=(900.0, 600.0, 300.0),
        safe_action_w=(900.0, 600.0, 300.0),
        setpoints_w=(500, 400, 0, 600, 300),
        send=Send.NOTHING,
        anomaly=Anomaly(),
        violations=(),
        interventions=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def snapshot(at_s: float, grid_w: Phases, **changes: object) -> Snapshot:
    """A snapshot with a fresh sample."""
    base = Snapshot(
        tick=int(at_s),
        at_s=at_s,
        grid_power_w=grid_w,
        meter_age_s=0.01,
        slaves=tuple(SlaveState() for _ in SITE.slaves),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass
class FedHouse:
    """Clouds, loads and slaves that follow their setpoints two seconds late."""

    random: Random = field(default_factory=lambda: Random(7))
    at_s: float = 1000.0
    drawn_w: list[float] = field(default_factory=lambda: [0.0] * 5)
    setpoints_w: tuple[int, ...] = (0,) * 5
    past: list[tuple[int, ...]] = field(default_factory=lambda: [(0,) * 5] * 3)
    belief: EstimatorState = field(default_factory=EstimatorState)
    cloud: float = 1.0
    kettle_s: int = 0
    frames: int = 0

    def ticks(self, scene: str) -> Iterator[tuple[Snapshot, Decision, RadioStatistics]]:
        """One tick after the other, for ever."""
        while True:
            self.at_s += 1.0
            yield self._tick(scene)

    def _surplus_w(self) -> list[float]:
        self.cloud += 0.02 * (self.random.choice((0.35, 1.0, 1.0)) - self.cloud) * self.random.random() * 3
        if self.kettle_s == 0 and self.random.random() < 0.006:
            self.kettle_s = 90
        self.kettle_s = max(0, self.kettle_s - 1)
        sun_w = (7800.0 + 300.0 * sin(self.at_s / 90.0)) * self.cloud
        loads_w = (350.0, 600.0 + (2100.0 if self.kettle_s else 0.0), 250.0 + 120.0 * (self.at_s % 50 < 20))
        return [sun_w / 3.0 - load_w + self.random.gauss(0.0, 15.0) for load_w in loads_w]

    def _tick(self, scene: str) -> tuple[Snapshot, Decision, RadioStatistics]:
        surplus_w = [-400.0 + self.random.gauss(0, 9)] * 3 if scene == "night" else self._surplus_w()
        for at, told_w in enumerate(self.past[0]):
            self.drawn_w[at] += 0.5 * (told_w - self.drawn_w[at])
        phases_w = [
            sum(w for w, s in zip(self.drawn_w, SITE.slaves, strict=True) if s.phase == p) for p in range(3)
        ]
        grid_w = per_phase([p - s for p, s in zip(phases_w, surplus_w, strict=True)])
        lost = scene == "stopped"
        on_air_w = per_phase(
            [
                float(sum(w for w, s in zip(self.setpoints_w, SITE.slaves, strict=True) if s.phase == p))
                for p in range(3)
            ]
        )
        seen = Snapshot(
            tick=int(self.at_s),
            at_s=self.at_s,
            grid_power_w=grid_w,
            meter_age_s=8.4 if lost else 0.012,
            slaves=tuple(
                SlaveState(not (scene == "partly" and at == 3), round(w, 1), (self.at_s + at) % 5.0 + 0.2)
                for at, w in enumerate(self.drawn_w)
            ),
            on_air=OnAirState(on_air_w, self.setpoints_w, 1.0),
        )
        estimate, self.belief = estimate_state(SITE, seen, self.belief)
        safe_action_w = per_phase([0.0 if lost else max(0.0, s) for s in estimate.surplus_w])
        self.setpoints_w = self._share(safe_action_w)
        self.past = [*self.past[1:], self.setpoints_w]
        self.frames += 1
        return (
            seen,
            self._decision(scene, estimate, safe_action_w),
            RadioStatistics(True, 1, 0, self.frames, 0.99, 3, 2, 4_294_000_000),
        )

    def _share(self, safe_action_w: Phases) -> tuple[int, ...]:
        left = list(safe_action_w)
        setpoints = []
        for slave in SITE.slaves:
            watts = int(min(slave.max_w, left[slave.phase]))
            left[slave.phase] -= watts
            setpoints.append(watts)
        return tuple(setpoints)

    def _decision(self, scene: str, estimate: StateEstimate, safe_action_w: Phases) -> Decision:
        state, causes = {
            "stopped": (State.SAFE_STOP, ("meter_lost",)),
            "fallback": (State.FALLBACK, ("violation",)),
        }.get(scene, (State.RL_ACTIVE, ()))
        return decision(
            state,
            verdict=SupervisorDecision(state, causes),
            estimate=estimate,
            policy_action_w=per_phase([w * 1.05 for w in safe_action_w]),
            fallback_action_w=safe_action_w,
            safe_action_w=safe_action_w,
            setpoints_w=self.setpoints_w,
            send=Send.CHANGE if int(self.at_s) % 2 else Send.NOTHING,
        )


def feed(figures: Figures, house: FedHouse, scene: str, ticks: int) -> None:
    """Live through some ticks at once."""
    lives = house.ticks(scene)
    for _ in range(ticks):
        seen, decided, radio = next(lives)
        figures.update(
            seen,
            decided,
            cost=Cost(0.0004 + 0.0002 * house.random.random(), 0.001 * house.random.random(), 0.00005),
            frames_sent=int(decided.send is not Send.NOTHING),
            meter=MeterStatistics(figures.ticks, 2, 0, 0.004, 0.003),
            radio=radio,
            house=ProcessStatistics(journal_bytes=figures.ticks * 410),
            local=NOON + timedelta(seconds=house.at_s),
        )


async def _main() -> None:
    from daemon.history.database import FILE
    from daemon.history.reading import HistoryReader
    from daemon.monitoring import terminal
    from daemon.web.history_answers import HistoryAnswers
    from daemon.web.server import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("view", choices=("page", "terminal"))
    parser.add_argument("--port", type=int, default=9108)
    parser.add_argument(
        "--scene", default="sunny", choices=("sunny", "partly", "fallback", "night", "stopped")
    )
    parser.add_argument("--ticks", type=int, default=10**9)
    parser.add_argument("--history", type=Path, help="a folder of tools/make_year_of_history.py")
    arguments = parser.parse_args()
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    figures = Figures(SITE, ABOUT, now_s - 700.0)
    house = FedHouse(at_s=now_s - 700.0)
    feed(figures, house, "sunny" if arguments.scene == "stopped" else arguments.scene, 690)
    past = None
    if arguments.history is not None:
        reader = HistoryReader(arguments.history / FILE, ZoneInfo("Europe/Berlin"))
        past = HistoryAnswers(reader, "EUR", True, time.monotonic)
    is_page = arguments.view == "page"
    server = await serve(figures, "127.0.0.1", arguments.port, history=past) if is_page else None
    view = terminal.TerminalView(figures) if arguments.view == "terminal" else None
    if view:
        view.__enter__()
    for _ in range(arguments.ticks):
        house.at_s = time.clock_gettime(time.CLOCK_BOOTTIME) - 1.0
        feed(figures, house, arguments.scene, 1)
        if view:
            view.update()
        await asyncio.sleep(1.0)
    if view:
        view.__exit__(None, None, None)
    if server:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(_main())
