"""The meter's power against its own energy counters: what a sound meter shows on whole days, and a wrong one.

Every second of a day (``--traces``, a folder of .parquet or .csv files; else the shipped day) is lived
through the daemon's simulation with the PI controller in charge, or without slaves. The registers of each
kind of meter are read by the daemon's driver for Modbus and judged by its plausibility, so that counters come
in the steps, and as seldom, as they do from such a meter; the controller sees what the driver says. Only the
wire is left out. ``--scales``: every power that the meter tells is so many times as large; its counters go on
counting right.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.tick import decide
from daemon.monitoring.energy_check import LIMIT, EnergyCheck, Finding
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedIO, default_site
from drivers.meters.modbus import ModbusMeter, Tcp
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.meters.profile import load_profile
from plant.meters.layouts import LAYOUTS, Entry, MeterState, Words, encode_exact
from plant.site.stepped import SteppedSite
from plant.site.trace import DAY_S, Trace, load_trace
from tests.campaigns.table import heading, parser, traces_in

SCALES = (1.0, 10.0, 0.1, -1.0)
COUNTED_BEFORE_WH = 3_000_000.0
POWERS = ("power_w", "total_power_w")


class Registers:
    """A meter on a simulated site, in the driver's place of a wire. `scale` multiplies the power it tells."""

    connects = 0

    def __init__(self, layout: str, far_end: SteppedSite, scale: float) -> None:
        self._layout, self._far_end, self._scale = LAYOUTS[layout], far_end, scale
        self._import_wh = self._export_wh = COUNTED_BEFORE_WH
        self._table: dict[int, int] = {}

    def count(self) -> None:
        """One second has been lived."""
        net_w = sum(self._far_end.grid_w)
        self._import_wh += max(0.0, net_w) / 3600.0
        self._export_wh += max(0.0, -net_w) / 3600.0
        self._table = {}

    def can_retry_before(self, _until_s: float) -> bool:
        """No second try is ever needed."""
        return False

    async def read_registers(
        self, _function: int, address: int, count: int, _until_s: float
    ) -> tuple[int, ...]:
        """The answer that the driver's line would bring."""
        if not self._table:
            state = MeterState(self._far_end.meter_w, import_wh=self._import_wh, export_wh=self._export_wh)
            self._table = self._layout.words(state, self._tell)
        return tuple(self._table.get(at, 0) for at in range(address, address + count))

    def _tell(self, entry: Entry, number: float) -> Words:
        if entry.quantity in ("import_wh", "export_wh") and entry.encoding.format[-1] not in "fd":
            return entry.encoding.words(number * entry.per_unit // 1)  # a counter shows what is full
        return encode_exact(entry, self._scale * number if entry.quantity in POWERS else number)


@dataclass(frozen=True)
class CounterDay:
    """One day of one meter: every verdict with its instant, and the seconds in which one stood."""

    name: str
    layout: str
    controller: str
    scale: float
    verdicts: tuple[tuple[float, Finding], ...]
    known_s: int

    @property
    def alarms_s(self) -> list[float]:
        """When a verdict said that power and counters disagree."""
        return [at_s for at_s, found in self.verdicts if not found.agrees]


def live(trace: Trace, layout: str, controller: str, scale: float, *, seed: int, span_s: range) -> CounterDay:
    """Live the day between two seconds of it."""
    scenario = Scenario(trace, default_site(), start_s=span_s.start, end_s=span_s.stop, seed=seed, settle_s=0)
    far_end = scenario.far_end()
    registers = Registers(layout, far_end, scale)
    meter = ModbusMeter(load_profile(layout), Tcp("", 0), clock=lambda: float(far_end.now_s))
    meter._line = registers  # type: ignore[assignment]
    return asyncio.run(_live(scenario, far_end, registers, meter, (layout, controller, scale)))


async def _live(
    scenario: Scenario,
    far_end: SteppedSite,
    registers: Registers,
    meter: ModbusMeter,
    kind: tuple[str, str, float],
) -> CounterDay:
    acting, wires = pilot(kind[1], scenario.site), SimulatedIO(scenario, far_end)
    memory: Any = None if acting is None else acting.memory
    check, rules, remembered = EnergyCheck(), Plausibility(), PlausibilityMemory()
    verdicts, known_s, good_s = list[tuple[float, Finding]](), 0, float("-inf")
    grid_w = far_end.meter_w
    while far_end.now_s < scenario.end_s:
        at_s, before = float(far_end.now_s), check.finding
        reading = await meter.read()
        refused, remembered = rules.check(reading, at_s, remembered)
        if not refused:
            grid_w, good_s = reading.grid_power_w, at_s
            check.update(at_s, grid_w, meter.energy)
        if check.finding is not None and check.finding is not before:
            verdicts.append((at_s, check.finding))
        known_s += check.finding is not None
        if acting is not None:
            snapshot = replace(wires.snapshot(), grid_power_w=grid_w, meter_age_s=at_s - good_s)
            decision, memory = decide(snapshot, acting.authority, memory, acting.parts)
            wires.transmit(decision)
        far_end.step()
        registers.count()
    return CounterDay(scenario.trace.name, *kind, tuple(verdicts), known_s)


def table(days: Sequence[CounterDay]) -> str:
    """What was found, one line for each kind of meter."""
    lines = [
        "| meter | controller | power told | days | verdicts | alarms | days with one | worst ratio "
        "| first after h | time known |",
        "|" + "---|" * 10,
    ]
    for kind in dict.fromkeys((day.layout, day.controller, day.scale) for day in days):
        chosen = [day for day in days if (day.layout, day.controller, day.scale) == kind]
        found = [finding for day in chosen for _, finding in day.verdicts]
        alarms = [day.alarms_s for day in chosen]
        first = sorted(each[0] / 3600.0 for each in alarms if each)
        spread = f"{first[0]:.1f} to {first[-1]:.1f}" if first else "-"
        worst = f"{max(finding.ratio for finding in found):.3f}" if found else "-"
        known = sum(day.known_s for day in chosen) / (DAY_S * len(chosen))
        lines.append(
            f"| {kind[0]} | {kind[1]} | x {kind[2]:g} | {len(chosen)} | {len(found)} "
            f"| {sum(map(len, alarms))} | {len(first)} | {worst} | {spread} | {100.0 * known:.0f} % |"
        )
    return "\n".join(lines)


def main() -> int:
    """The long form: 1 when a sound meter was called wrong."""
    options = parser(__doc__, trials=1)
    options.add_argument("--traces", type=Path, help="folder of measured days; else the shipped day")
    options.add_argument("--meters", nargs="*", default=sorted(LAYOUTS), choices=sorted(LAYOUTS))
    options.add_argument("--controllers", nargs="*", default=["pi", "none"])
    options.add_argument("--scales", nargs="*", type=float, default=list(SCALES))
    chosen = options.parse_args()
    files: list[Path | None] = [None]
    if chosen.traces:
        files = [*traces_in(chosen.traces)]
    days = []
    for trace in map(load_trace, files):
        for scale in chosen.scales:
            for layout in chosen.meters:
                for controller in chosen.controllers:
                    done = live(trace, layout, controller, scale, seed=chosen.seed, span_s=range(DAY_S))
                    days.append(done)
                    print(".", end="", file=sys.stderr, flush=True)
    print(heading(chosen.seed) + f", {len(files)} days; an alarm is a ratio over {LIMIT:g}")
    print(table(days))
    return 1 if any(day.alarms_s for day in days if day.scale == 1.0) else 0


if __name__ == "__main__":
    sys.exit(main())
