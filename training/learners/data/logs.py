"""Logs of a PI that explores: ``python -m training.learners.data.logs --traces DIR --out FILE``.

The exploration is a slow random walk outside of the loop: the PI continues from its own undisturbed
proposal. Fed back through its integrator, the same walk would multiply the cost. The site is driven by
`core.tick.decide` through `daemon.simulation.simulate`, with gains and margins drawn for every day.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from core.decision import Authority
from core.estimation.state_estimate import StateEstimate
from core.metering import AVOIDABLE_WEIGHT, avoidable_import_w, exported_w
from core.parts import initial_memory
from core.site import ZERO, Metering, Phases, Site, per_phase
from daemon.cli.options import FiniteRange
from daemon.runtime.assembly import assemble
from daemon.simulation.controllers import pilot
from daemon.simulation.score import Score
from daemon.simulation.simulate import Scenario, SimulatedController, begin, default_site, live
from models.features import FEATURE_NAMES
from safety.pi import PiFallback, PiGains, PiMemory
from training.data.days import Day, find_days, middle_of_light_s
from training.data.table import ACTION_NAMES
from training.imitation.demonstrations import AlwaysPolicySupervisor
from training.learners.data.files import FALLBACK_NAMES, POLICY_NAMES, REWARD_W, write_log

KEPT, KICK_W, KICK_SHARE = 0.85, 25.0, 0.7
"""AR(1) dither per phase: what is kept from one second to the next, and a fresh kick with this chance."""
KP, KI, MARGIN_W = (0.5, 0.8), (0.15, 0.3), (-20.0, 50.0)
"""Ranges that the gains of a day are drawn from, around the tuned ones."""

console = Console(stderr=True)


class Explorer:
    """Sits in the place of the fallback, where it sees, and of the policy, where it acts and takes notes."""

    def __init__(self, site: Site, gains: PiGains, rng: np.random.Generator) -> None:
        self._law, self._rng = PiFallback(site, gains), rng
        self._dither_w = np.zeros(3)
        self._proposed_w: Phases = ZERO
        self._policy_action_w: Phases = ZERO
        self._capacity_w: Phases = ZERO
        self.rows: list[tuple[float, ...]] = []
        self.allowed: list[Phases] = []

    @property
    def cold(self) -> PiMemory:
        """Of the law."""
        return self._law.cold

    def propose(self, estimate: StateEstimate, memory: PiMemory) -> tuple[Phases, PiMemory]:
        """The law's proposal, without dither."""
        self._proposed_w, memory = self._law.propose(estimate, memory)
        self._capacity_w = estimate.capacity_w
        return self._proposed_w, memory

    def track(self, memory: PiMemory, estimate: StateEstimate, safe_action_w: Phases) -> PiMemory:
        """Continue from the undisturbed proposal, moved by what the limits took away."""
        self.allowed.append(safe_action_w)
        cells = zip(self._proposed_w, safe_action_w, self._policy_action_w, estimate.capacity_w, strict=True)
        own_w = [min(max(0.0, own + safe - proposed), top) for own, safe, proposed, top in cells]
        return self._law.track(memory, estimate, per_phase(own_w))

    def explore(self, observation: Sequence[float]) -> Phases:
        """The proposal with dither, where there is surplus to place."""
        kicked = self._rng.random(3) < KICK_SHARE
        self._dither_w = KEPT * self._dither_w + kicked * self._rng.normal(0.0, KICK_W, 3)
        placed = np.asarray(self._proposed_w) > 0.0
        policy_action_w = np.where(placed, np.asarray(self._proposed_w) + self._dither_w, 0.0)
        self._policy_action_w = per_phase(np.clip(policy_action_w, 0.0, self._capacity_w).tolist())
        self.rows.append((*observation, *self._proposed_w))
        return self._policy_action_w


class Acting:
    """The explorer as a policy."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    @property
    def cold(self) -> tuple[()]:
        """Nothing to carry."""
        return ()

    def propose(self, observation: Sequence[float], memory: tuple[()]) -> tuple[Phases, tuple[()]]:
        """Act and take notes."""
        return self._explorer.explore(observation), memory


class Costs(Score):
    """A score that also keeps what every second cost and what was on air, in W."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.cost_w: list[float] = []
        self.on_air_w: list[Phases] = []

    def settled(self) -> "Costs":
        """Itself: a log needs no time to settle."""
        return self

    def step(self, grid_w: Phases, slaves_w: Phases, action_w: Phases) -> None:
        """Take one second."""
        super().step(grid_w, slaves_w, action_w)
        metering = self.site.metering
        avoidable_w = avoidable_import_w(slaves_w, grid_w, metering)
        self.cost_w.append(exported_w(grid_w, metering) + AVOIDABLE_WEIGHT * avoidable_w)
        self.on_air_w.append(action_w)


def lived(scenario: Scenario, acting: SimulatedController | None) -> Costs:
    """Live a scenario from its first second."""
    run, costs = begin(scenario, acting), Costs(scenario.site)
    run.score = costs
    for _ in live(run):
        pass
    return costs


def explore(day: Day, metering: Metering, seed: int, share: float = 1.0) -> dict[str, NDArray[Any]]:
    """The log of the middle of a day's light; the reward is what was saved over the predictive law.

    Args:
        day: the trace.
        metering: how the simulated site is billed.
        seed: draws the far end, the gains and the dither. The predictive law meets the same far end.
        share: part of the daylight.
    """
    site, trace, rng = default_site(metering), day.load(), np.random.default_rng([seed, 1])
    light_s = middle_of_light_s(trace, share)
    scenario = Scenario(trace, site, day.connection, *light_s, seed=seed, settle_s=0)
    gains = PiGains(*(float(rng.uniform(*span)) for span in (KP, KI, MARGIN_W)))
    explorer = Explorer(site, gains, rng)
    parts = assemble(site, PiFallback(site), None).parts
    parts = type(parts)(
        site, parts.observer, Acting(explorer), explorer, parts.detector, AlwaysPolicySupervisor(), parts.gate
    )
    costs = lived(scenario, SimulatedController(parts, initial_memory(parts), Authority.POLICY))
    base = lived(scenario, pilot("predictive", site))
    return _columns(explorer, costs, base)


def _columns(explorer: Explorer, costs: Costs, base: Costs) -> dict[str, NDArray[Any]]:
    rows = np.asarray(explorer.rows, np.float32)
    cost_w, base_w = (np.asarray(score.cost_w, np.float32) for score in (costs, base))
    features = {name: rows[:, i] for i, name in enumerate(FEATURE_NAMES)}
    actions = {
        FALLBACK_NAMES: rows[:, len(FEATURE_NAMES) :],
        POLICY_NAMES: np.asarray(explorer.allowed, np.float32),
        ACTION_NAMES: np.asarray(costs.on_air_w, np.float32),
    }
    named = {name: table[:, i] for names, table in actions.items() for i, name in enumerate(names)}
    return {
        **features,
        **named,
        "cost_w": cost_w,
        "base_cost_w": base_w,
        "reward": (base_w - cost_w) / np.float32(REWARD_W),
        "is_fresh": np.ones(len(rows), bool),
        "source": np.full(len(rows), "policy"),
    }


def write_explored(days: Sequence[Day], out: Path, metering: Metering, seed: int, share: float) -> None:
    """Explore these days, each with randomness of its own, and write one log; `share` is of their light."""
    logs = []
    for index, day in enumerate(days):
        log_ = explore(day, metering, seed * 1000 + index, share)
        log_["episode"] = np.full(len(log_["reward"]), index, np.int32)
        cost_wh, base_wh = (float(log_[name].sum()) / 3600.0 for name in ("cost_w", "base_cost_w"))
        console.print(f"{day.path.stem}: J {cost_wh:.0f} Wh exploring, {base_wh:.0f} Wh predictive")
        logs.append(log_)
    write_log(out, {name: np.concatenate([log_[name] for log_ in logs]) for name in logs[0]}, metering)


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--split", type=click.Choice(["train", "val"]), default="train", show_default=True)
@click.option(
    "--days", type=click.IntRange(1), default=4, show_default=True, help="The first N of the split."
)
@click.option("--share", type=FiniteRange(0.01, 1.0), default=0.5, show_default=True, help="Of the light.")
@click.option("--metering", type=click.Choice([m.value for m in Metering]), default="net", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(traces: Path, out: Path, split: str, days: int, share: float, metering: str, seed: int) -> None:
    """Let a PI explore measured days, and write the log as one Parquet file."""
    write_explored(find_days(traces, split)[:days], out, Metering(metering), seed, share)


if __name__ == "__main__":
    main()
