"""What an environment lives: where episodes come from, one life of a site tick by tick, and what it earns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.decision import Decision
from core.estimation.learning import learn_responses
from core.estimation.state_estimate import StateEstimate, estimate_state
from core.metering import AVOIDABLE_WEIGHT, avoidable_import_w, exported_w
from core.site import ZERO, Phases, Site
from core.snapshot import Snapshot
from core.tick import decide
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO
from plant.site.stepped import SteppedSite
from plant.site.trace import DAY_S, Trace
from training.data.days import Day, daylight_s


@dataclass(frozen=True)
class Reward:
    """Minus (export + weight x avoidable import + unrest x change of the action), in units of `scale_w`.

    Export and avoidable import are those of the second that was lived, as the site's meter bills them.
    """

    avoidable_weight: float = AVOIDABLE_WEIGHT
    unrest_weight: float = 0.0
    scale_w: float = 200.0

    def of(self, export_w: float, avoidable_w: float, change_w: float) -> float:
        """The reward of one second."""
        cost_w = export_w + self.avoidable_weight * avoidable_w + self.unrest_weight * change_w
        return -cost_w / self.scale_w


@dataclass(frozen=True)
class Stretches:
    """Where episodes are drawn from: days, and how long a part of one lasts.

    Only daylight is lived when `daylight_only`. `extra_delay_s` is the range of a delay that is added to
    every frame of an episode and told to nobody.
    """

    days: Sequence[Day | tuple[Trace, str]]
    length_s: int = 1800
    daylight_only: bool = True
    extra_delay_s: tuple[float, float] = (0.0, 0.0)
    settle_s: int = 0

    def draw(self, rng: np.random.Generator, site: Site, options: Mapping[str, Any]) -> Scenario:
        """One episode. `options` may fix `day` (index), `start_s`, `length_s`, `seed` and `extra_delay_s`.

        The same randomness is used up whatever is fixed.
        """
        drawn_day = int(rng.integers(len(self.days)))
        share, delay_share, drawn_seed = float(rng.random()), float(rng.random()), int(rng.integers(2**31))
        trace, connection = _open(self.days[int(options.get("day", drawn_day))])
        first_s, end_s = daylight_s(trace) if self.daylight_only else (0, DAY_S)
        length_s = int(options.get("length_s", self.length_s))
        start_s = int(options.get("start_s", first_s + int(share * max(0, end_s - length_s - first_s))))
        low_s, high_s = self.extra_delay_s
        return Scenario(
            trace,
            site,
            connection,
            start_s,
            min(start_s + length_s, DAY_S),
            int(options.get("seed", drawn_seed)),
            float(options.get("extra_delay_s", low_s + delay_share * (high_s - low_s))),
            settle_s=self.settle_s,
        )


def _open(day: Day | tuple[Trace, str]) -> tuple[Trace, str]:
    return (day.load(), day.connection) if isinstance(day, Day) else day


@dataclass(slots=True)
class GivenAction:
    """The policy of an environment: proposes what it was given. Satisfies `core.parts.Policy`."""

    action_w: Phases = ZERO

    @property
    def cold(self) -> tuple[()]:
        """Nothing to carry."""
        return ()

    def propose(self, _observation: Sequence[float], memory: tuple[()]) -> tuple[Phases, tuple[()]]:
        """The given action."""
        return self.action_w, memory


@dataclass(slots=True)
class SimulatedEpisode:
    """A simulated site and its controller, tick by tick; what a learner and a law for comparison share."""

    pilot: SimulatedController
    far_end: SteppedSite
    wires: SimulatedIO
    memory: Any
    snapshot: Snapshot = field(init=False)

    @classmethod
    def begin(cls, scenario: Scenario, acting: SimulatedController) -> "SimulatedEpisode":
        """At the first tick, with the snapshot it will be decided on."""
        far_end = scenario.far_end()
        life = cls(acting, far_end, SimulatedIO(scenario, far_end), acting.memory)
        life.snapshot = life.wires.snapshot()
        return life

    def live(self) -> tuple[Decision, float]:
        """Decide and live one second; also how much the action on air changed, summed over the phases."""
        before_w = self.snapshot.on_air.action_w
        decision, self.memory = decide(self.snapshot, self.pilot.authority, self.memory, self.pilot.parts)
        self.wires.transmit(decision)
        action_w = self.wires.on_air.action_w
        self.far_end.step()
        return decision, sum(abs(new - old) for new, old in zip(action_w, before_w, strict=True))

    def next_snapshot(self) -> None:
        """The snapshot of the next tick."""
        self.snapshot = self.wires.snapshot()

    def preview(self) -> tuple[StateEstimate, tuple[float, ...]]:
        """What the coming decision will see: its estimate and its features. Changes nothing."""
        parts = self.pilot.parts
        responses = self.memory.responses
        if parts.watches.responses:
            responses = learn_responses(parts.site, self.snapshot, responses)
        estimate, _ = estimate_state(parts.site, self.snapshot, self.memory.belief, responses.in_force)
        features, _ = parts.observer.observe(self.snapshot, estimate, self.memory.observed)
        return estimate, tuple(features)

    def billed_w(self) -> tuple[float, float]:
        """Export and avoidable import of the last second, true values."""
        far_end, metering = self.far_end, self.pilot.parts.site.metering
        return (
            exported_w(far_end.grid_w, metering),
            avoidable_import_w(far_end.slaves_w, far_end.grid_w, metering),
        )
