"""What knowing the next minute would be worth to the scheduler of equal on/off slaves on a netting meter.

    python benchmarks/clairvoyant_scheduler.py [--plant switches] [--from-h 10] [--to-h 13] [--trace FILE]

Lives the same hours twice on the same far end: with the product's scheduler, and with an oracle that is told
the true surplus of the coming minute and switches by a dynamic program over it: every slave at most once, as
its minimum times allow, one in two seconds, for the least J. Both keep minimum times, limits and airtime.
"""

import argparse
import json
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import core.scheduling.schedule as scheduling
from core.decision import Switch
from core.metering import AVOIDABLE_WEIGHT
from core.scheduling.candidates import SwitchCandidates
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, simulate
from plant.site.description import load_description
from plant.site.drawing import scaled
from plant.site.stepped import bare_grid_w
from plant.site.trace import load_trace

KNOWN_S = 60
STEP_S = 2
"""One slave is switched in a step: the credit of the action's step allows no more."""
EFFECT_S = 3
"""From a switching until it is drawn: what happens before is nobody's to change."""


class Oracle(SwitchCandidates):
    """Switches by a dynamic program over the true surplus of the coming minute."""

    surplus_w: NDArray[np.float64]

    def in_order(self) -> Iterator[Switch]:
        """Whatever the program does first, by the slaves that may; nothing when it waits."""
        places = range(len(self._site.slaves))
        lowers = [switch for at in places if (switch := self._next_lower(at)) is not None]
        raises = [switch for at in places if (switch := self._raised(at)) is not None]
        if not (lowers or raises):
            return
        stay, rise, fall = self._least_costs(bool(raises), bool(lowers))
        if rise < stay and rise <= fall:
            yield from sorted(raises, key=lambda switch: self._changed_at_s(switch.place))
        elif fall < stay:
            yield from sorted(lowers, key=lambda switch: self._changed_at_s(switch.place))

    def _least_costs(self, may_rise: bool, may_fall: bool) -> tuple[float, float, float]:
        """Least cost of the minute after staying, switching one on, and switching one off now."""
        ups, downs = self._free_after_s(is_on=False), self._free_after_s(is_on=True)
        on = len(downs)
        first_s = int(self._snapshot.at_s) + EFFECT_S
        slaves = on + np.arange(len(ups) + 1)[:, None] - np.arange(len(downs) + 1)[None, :]
        power_w = float(self._site.slaves[0].max_w)
        left = np.zeros(slaves.shape)
        stay = left
        for step in reversed(range(KNOWN_S // STEP_S)):
            rows = self.surplus_w[first_s + step * STEP_S : first_s + (step + 1) * STEP_S]
            drawn_w = slaves[None] * power_w
            over_w = rows[:, None, None] - drawn_w
            cost = np.where(over_w > 0.0, over_w, AVOIDABLE_WEIGHT * np.minimum(drawn_w, -over_w)).sum(axis=0)
            stay = left + cost
            left = stay.copy()
            free_up = np.arange(len(ups))[:, None] < sum(wait_s <= step * STEP_S for wait_s in ups)
            free_down = np.arange(len(downs))[None, :] < sum(wait_s <= step * STEP_S for wait_s in downs)
            left[:-1] = np.where(free_up, np.minimum(left[:-1], stay[1:]), left[:-1])
            left[:, :-1] = np.where(free_down, np.minimum(left[:, :-1], stay[:, 1:]), left[:, :-1])
        rise = float(stay[1, 0]) if may_rise and ups else inf
        fall = float(stay[0, 1]) if may_fall and downs else inf
        return float(stay[0, 0]), rise, fall

    def _free_after_s(self, is_on: bool) -> list[float]:
        """How long each slave that is on, or off, still has to stay so; no more than the phases carry."""
        waits = []
        for slave, stage in zip(self._site.slaves, self._view.stages, strict=True):
            if stage is not None and (stage.base_w > 0) is is_on:
                least_s = slave.min_on_s if is_on else slave.min_off_s
                waits.append(max(0.0, stage.changed_at_s + least_s - self._snapshot.at_s))
        room = MOST_ON - len(self._view.stages) + len(waits)
        return sorted(waits)[: len(waits) if is_on else max(0, room)]


MOST_ON = 6
"""Of nine 1700 W heaters: two on each phase of 5000 W."""


def lived(scenario: Scenario, candidates: type[SwitchCandidates]) -> dict[str, Any]:
    """The figures of one run."""
    vars(scheduling)["SwitchCandidates"] = candidates
    run = simulate(scenario, pilot("pi", scenario.site))
    summary = run.score.summary()
    names = ("j_wh", "export_wh", "avoidable_import_wh", "unsafe_actions")
    return {name: round(summary[name], 1) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plant", default="switches")
    parser.add_argument("--from-h", type=float, default=10.0)
    parser.add_argument("--to-h", type=float, default=13.0)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--only", choices=("product", "oracle"))
    arguments = parser.parse_args()
    plant, trace = load_description(arguments.plant), load_trace(arguments.trace)
    site = plant.core_site()
    scenario = Scenario(
        trace, site, "3ph", int(arguments.from_h * 3600), int(arguments.to_h * 3600), plant=plant
    )
    Oracle.surplus_w = -bare_grid_w(scaled(trace, plant), "3ph").sum(axis=1)
    for name, candidates in (("product", SwitchCandidates), ("oracle", Oracle)):
        if arguments.only in (None, name):
            print(
                json.dumps({"scheduler": name, "trace": trace.name} | lived(scenario, candidates)), flush=True
            )


if __name__ == "__main__":
    main()
