"""Small days for tests of the training side, and journals of a site that lived them."""

from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np

from core.decision import Authority
from core.tick import decide
from daemon.config.settings import parse_settings
from daemon.journal.format import to_segment
from daemon.journal.records import AnyRecord, Event, Start, Tick
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedIO
from plant.site.trace import DAY_S, Trace, load_trace
from training.data.days import Day

MIDNIGHT_S = 1_780_012_800
"""2026-05-29, 00:00 UTC."""
NOON_S = DAY_S // 2


def swinging_day(period_s: float = 90.0, load_w: float = 300.0, pv_w: float = 5000.0) -> Trace:
    """`load_w` per phase; PV swings by 3 kW around `pv_w` all day long."""
    t = np.arange(DAY_S)
    return Trace("swinging", np.full((DAY_S, 3), load_w), pv_w + 3000.0 * np.sin(2.0 * np.pi * t / period_s))


def lived(
    configuration: str, days: int, ticks: int, trace: Trace | None = None
) -> Iterator[tuple[int, Tick]]:
    """Some ticks from noon of some days under the PI, as a daemon would write them down: (second, tick)."""
    site = parse_settings(configuration, Path("sunkeep.toml")).core_site()
    acting, trace = pilot("pi", site), trace or swinging_day()
    assert acting is not None
    for day in range(days):
        scenario = Scenario(trace, site, "3ph", NOON_S, NOON_S + ticks, seed=day, settle_s=0)
        far_end = scenario.far_end()
        wires, memory = SimulatedIO(scenario, far_end), acting.memory
        for _ in range(ticks):
            snapshot = wires.snapshot()
            decision, memory = decide(snapshot, Authority.FALLBACK, memory, acting.parts)
            second = MIDNIGHT_S + day * DAY_S + far_end.second
            accepted = True if wires.transmit(decision) else None
            far_end.step()
            yield (
                second,
                Tick(
                    unix_s=second + 0.02 * (snapshot.tick % 5),
                    snapshot=snapshot,
                    authority=Authority.FALLBACK,
                    propensity=0.25,
                    block=second // 900,
                    confounded=False,
                    decision=decision,
                    accepted=accepted,
                ),
            )


def write_journals(folder: Path, ticks: list[tuple[int, Tick]], configuration: str) -> Path:
    """One journal a day, with a note among the ticks."""
    folder.mkdir()
    for day, pairs in groupby(ticks, key=lambda pair: (pair[0] - MIDNIGHT_S) // DAY_S):
        of_day, run = [tick for _, tick in pairs], f"run-{day}"
        start = Start(
            version="0", unix_s=0.0, run=run, settings_path="/sunkeep.toml", settings_toml=configuration,
            bundle_sha256="", standing={},
        )  # fmt: skip
        records: list[AnyRecord] = [start, *of_day[:40], Event(unix_s=0.0, event="note"), *of_day[40:]]
        (folder / f"{run}.journal").write_bytes(to_segment(records))
    return folder


@cache
def _shipped() -> Trace:
    return load_trace()


class ShippedDay(Day):
    """The day that ships, under any name; read once."""

    def load(self) -> Trace:
        return _shipped()
