"""What the watch on the wiring says of right and of wrong wirings, in closed loop on measured days.

Minutes of days (``--traces``, a folder of .parquet or .csv files) are lived through the daemon's simulation,
with the shipped policy or the PI controller in charge, on sites and radios of several kinds, under more sun
than was measured. From a given second on the meter is wired wrongly, and the controller goes on with what it
then reads, until the watch stops it. Three kinds of lives:

- ``right``: twenty minutes in daylight, nothing wrong;
- ``ramps``: slaves of 5000 W from rest to where the sun takes them, 20 s long, under 2.2 times the sun:
  what a site does after every stop;
- a fault: two minutes of daylight before it and two after it, or from rest at night (``..., at night``).
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from math import log
from pathlib import Path
from random import Random

import numpy as np

from core.roles import Role
from core.site import PHASE_NAMES, Metering, Phases, Site, Slave, per_phase
from core.tick import decide
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO
from plant.site.trace import Trace, load_trace
from tests.campaigns.table import heading, parser, percentile, traces_in

CAUSES = ("meter_sign", "meter_phases", "loop_diverges")
LATCHING = ("meter_sign", "meter_phases")
DAYLIGHT_S = (9 * 3600, 17 * 3600)
NIGHT_S = (3600, 5 * 3600)
SETTLE_S = 60
RIGHT_S = 1200
RAMP_S = 20
BEFORE_S, AFTER_S = 120, 120
SUNS = (1.0, 1.5, 2.2)
CONNECTIONS = ("3ph", "3ph", "3ph", "A", "B", "C")
SINGLE_PHASE_SHARE = 0.5
"""A generator on one phase is smaller: 5 to 8 kW instead of 10 to 16."""
RUN_AWAY_W = 2000.0
"""So much more on air after the fault, and no stop."""
LARGEST_PV_W = (14_500.0, 36_000.0)
"""More sun than measured, but no more than a phase of 63 A carries, or the largest generator measured."""
EXTRA_DELAYS_S = (0.0, 0.0, 1.0, 2.0)
SITES = {"9 x 1700 W": (9, 1700), "3 x 5000 W": (3, 5000), "6 x 1700 W": (6, 1700), "18 x 850 W": (18, 850)}

Wiring = Callable[[Phases], Phases]
"""What the meter says of the true power."""


def _turned(*phases: int) -> Wiring:
    return lambda w: per_phase([-x if p in phases else x for p, x in enumerate(w)])


def _ordered(order: tuple[int, ...]) -> Wiring:
    return lambda w: per_phase([w[p] for p in order])


KINDS: dict[str, dict[str, Wiring]] = {
    "sign of the meter": {"abc": _turned(0, 1, 2)},
    "sign of one phase": {PHASE_NAMES[p]: _turned(p) for p in range(3)},
    "phases exchanged": {
        "".join(PHASE_NAMES[p] for p in order): _ordered(order)
        for order in tuple(permutations((0, 1, 2)))[1:]
    },
}
KINDS["ten times the power"] = {"abc": lambda w: per_phase([10.0 * x for x in w])}
AT_NIGHT = ", at night"


@dataclass(frozen=True)
class WiringRun:
    """Some minutes of one site.

    `fault` is a key of its kind in `KINDS`, empty for the right wiring. No `trace` is the shipped day.
    """

    kind: str
    trace: Path | None
    start_s: int
    end_s: int
    seed: int
    controller: str
    slaves: str
    role: Role
    metering: Metering
    sun: float
    connection: str
    extra_delay_s: float
    fault: str = ""
    fault_at_s: int = 0
    settle_s: int = SETTLE_S

    @property
    def wiring(self) -> Wiring | None:
        """The wrong wiring; None for the right one."""
        return KINDS[self.kind.removesuffix(AT_NIGHT)][self.fault] if self.fault else None

    @property
    def site(self) -> Site:
        """The site that is lived."""
        count, max_w = SITES[self.slaves]
        slaves = tuple(Slave(slot, f"slave {slot + 1}", slot % 3, max_w) for slot in range(count))
        return Site(slaves, role=self.role, metering=self.metering)


@lru_cache(maxsize=4)
def _day(trace: Path | None) -> Trace:
    return load_trace(trace)


@lru_cache(maxsize=32)
def _pilot(controller: str, site: Site) -> SimulatedController:
    acting = pilot(controller, site)
    assert acting is not None
    return acting


@dataclass(frozen=True)
class WiringResult:
    """When the watch first spoke of each cause: seconds after the fault, or after the begin.

    `rose_w` is how much more than at the fault was on air at most. `moves` went on air with other setpoints
    than the frame before, from the fault until the site was stopped.
    """

    life: WiringRun
    spoke_s: dict[str, float]
    rose_w: float
    moves: int

    @property
    def stopped_s(self) -> float | None:
        """By the first of them that spoke after the fault."""
        return _stopped_s(self.spoke_s)


def _stopped_s(spoke_s: dict[str, float]) -> float | None:
    return min((spoke_s[cause] for cause in CAUSES if spoke_s.get(cause, -1.0) >= 0.0), default=None)


def live(life: WiringRun) -> WiringResult:
    """Live through it; the watch stops the site as it would."""
    day, site = _day(life.trace), life.site
    sun = min(life.sun, LARGEST_PV_W[life.connection == "3ph"] / max(1.0, float(day.pv_w.max())))
    scenario = Scenario(
        replace(day, pv_w=np.asarray(day.pv_w * sun)),
        site,
        life.connection,
        start_s=life.start_s,
        end_s=life.end_s,
        seed=life.seed,
        extra_delay_s=life.extra_delay_s,
        settle_s=life.settle_s,
    )
    acting, far_end, spoke_s = _pilot(life.controller, site), scenario.far_end(), dict[str, float]()
    memory, wires = acting.memory, SimulatedIO(scenario, far_end)
    wrong, on_air_w, rose_w, moves, before_w = life.wiring, 0.0, 0.0, 0, None
    since_s = life.fault_at_s if life.fault else far_end.now_s
    while far_end.now_s < scenario.end_s:
        snapshot = wires.snapshot()
        if not wrong or far_end.now_s < life.fault_at_s:
            on_air_w = sum(snapshot.on_air.action_w)
        else:
            rose_w = max(rose_w, sum(snapshot.on_air.action_w) - on_air_w)
            if _stopped_s(spoke_s) is None:
                moves += before_w not in (None, snapshot.on_air.setpoints_w)
            before_w = snapshot.on_air.setpoints_w
            snapshot = replace(snapshot, grid_power_w=wrong(snapshot.grid_power_w))
        decision, memory = decide(snapshot, acting.authority, memory, acting.parts)
        for cause in decision.verdict.causes:
            spoke_s.setdefault(cause, snapshot.at_s - since_s)
        wires.transmit(decision)
        far_end.step()
    return WiringResult(life, spoke_s, rose_w, moves)


def plan(traces: Sequence[Path | None], seed: int, *, right: int, ramps: int, faults: int) -> list[WiringRun]:
    """So many lives of each kind, `faults` of each kind of wrong wiring by day and by night."""
    rng = Random(seed)
    lives = [_drawn(rng, "right", traces, RIGHT_S) for _ in range(right)]
    lives += [_ramp(rng, traces) for _ in range(ramps)]
    for kind, wirings in KINDS.items():
        for number in range(faults):
            life = _drawn(rng, kind, traces, BEFORE_S + AFTER_S)
            wrong = replace(life, fault=tuple(wirings)[number % len(wirings)])
            lives.append(replace(wrong, fault_at_s=life.start_s + BEFORE_S))
            at_s = rng.randrange(*NIGHT_S)
            at_night = replace(wrong, kind=kind + AT_NIGHT, start_s=at_s, end_s=at_s + AFTER_S, sun=0.0)
            role = Role.ABSORB  # what is generated at night is never too much
            lives.append(replace(at_night, fault_at_s=at_s, role=role))
    return lives


def _drawn(rng: Random, kind: str, traces: Sequence[Path | None], length_s: int) -> WiringRun:
    start_s = rng.randrange(DAYLIGHT_S[0], DAYLIGHT_S[1] - length_s)
    role = rng.choice((Role.ABSORB, Role.ABSORB, Role.GENERATE))
    connection = rng.choice(CONNECTIONS)
    return WiringRun(
        kind,
        rng.choice(traces),
        start_s,
        start_s + length_s,
        rng.randrange(1 << 30),
        rng.choice(("policy", "pi")) if role is Role.ABSORB else "pi",
        rng.choice(tuple(SITES)),
        role,
        rng.choice(tuple(Metering)),
        rng.choice(SUNS) * (1.0 if connection == "3ph" else SINGLE_PHASE_SHARE),
        connection,
        rng.choice(EXTRA_DELAYS_S),
    )


def _ramp(rng: Random, traces: Sequence[Path | None]) -> WiringRun:
    life = _drawn(rng, "ramps", traces, RAMP_S)
    start_s = rng.randrange(11 * 3600, 15 * 3600)
    return replace(
        life,
        start_s=start_s,
        end_s=start_s + RAMP_S,
        slaves="3 x 5000 W",
        role=Role.ABSORB,
        controller=rng.choice(("policy", "pi")),
        sun=2.2,
        connection="3ph",
        settle_s=0,
    )


def false_stops(found: Sequence[WiringResult]) -> str:
    """Lives with the right wiring in which the watch spoke; the first verdict of a life counts."""
    lines = ["| lives | hours | " + " | ".join(CAUSES) + " | latched per day at most (95 %) |"]
    lines.append("|---|---|" + "---|" * (len(CAUSES) + 1))
    for kind in ("right", "ramps"):
        chosen = [f for f in found if f.life.kind == kind]
        if not chosen:
            continue
        hours = sum(f.life.end_s - f.life.start_s + f.life.settle_s for f in chosen) / 3600.0
        counts = [sum(cause in f.spoke_s for f in chosen) for cause in CAUSES]
        latched = sum(any(cause in f.spoke_s for cause in LATCHING) for f in chosen)
        most = f"{24.0 * -log(0.05) / hours:.2f}" if latched == 0 else "-"
        lines.append(f"| {kind} | {hours:.1f} | {' | '.join(map(str, counts))} | {most} |")
    return "\n".join(lines)


def detections(found: Sequence[WiringResult]) -> str:
    """Shares of the faults that were stopped in time by any cause, and that latched within all the time."""
    lines = [
        "| fault | lives | stopped <= 10 s | <= 30 s | <= 60 s | <= 120 s | p50 s | moves p50 | p90 "
        "| latched | ran away unseen |",
        "|" + "---|" * 11,
    ]
    for kind in dict.fromkeys(f.life.kind for f in found if f.life.fault):
        chosen = [f for f in found if f.life.kind == kind]
        told = [f.stopped_s for f in chosen if f.stopped_s is not None]
        shares = [
            f"{100.0 * sum(t <= limit for t in told) / len(chosen):.0f} %" for limit in (10, 30, 60, 120)
        ]
        middle = f"{percentile(told, 0.5):.0f}" if told else "-"
        moves = [f.moves for f in chosen if f.stopped_s is not None]
        counts = " | ".join(f"{percentile(moves, share):.0f}" if moves else "-" for share in (0.5, 0.9))
        latched = sum(any(f.spoke_s.get(c, -1.0) >= 0.0 for c in LATCHING) for f in chosen)
        lines.append(
            f"| {kind} | {len(chosen)} | {' | '.join(shares)} | {middle} | {counts} "
            f"| {100.0 * latched / len(chosen):.0f} % | {sum(_ran_away(f) for f in chosen)} |"
        )
    return "\n".join(lines)


def _ran_away(found: WiringResult) -> bool:
    return found.stopped_s is None and found.rose_w > RUN_AWAY_W


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=20)
    options.add_argument("--traces", type=Path, required=True, help="folder of measured days")
    options.add_argument("--days", nargs="*", help="names of the days to use, without suffix; else all")
    options.add_argument("--right", type=int, default=120, help="lives of 20 minutes with the right wiring")
    options.add_argument("--ramps", type=int, default=600, help="lives of 20 s from rest under 2.2 suns")
    options.add_argument("--jobs", type=int, default=1)
    chosen = options.parse_args()
    files = traces_in(chosen.traces)
    traces = [file for file in files if not chosen.days or file.stem in chosen.days]
    lives = plan(traces, chosen.seed, right=chosen.right, ramps=chosen.ramps, faults=chosen.trials)
    lives.sort(key=lambda life: str(life.trace))  # days are read once
    found: list[WiringResult] = []
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for number, one in enumerate(pool.map(live, lives, chunksize=8), 1):
            found.append(one)
            if number % 100 == 0:
                print(f"{number} of {len(lives)} lives", file=sys.stderr)
    print(heading(chosen.seed) + f", {len(traces)} days")
    print(false_stops(found) + "\n\n" + detections(found))
    return 1 if any(c in f.spoke_s for f in found if not f.life.fault for c in LATCHING) else 0


if __name__ == "__main__":
    sys.exit(main())
