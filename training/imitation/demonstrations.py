"""Demonstrations for a clone: what an expert proposes in the states that the product's own loop visits.

The simulated site is driven by `core.tick.decide` through `daemon.simulation.simulate`, as live control is.
The teacher sits in the place of the fallback, which proposes at every tick whoever acts; the student sits in
the place of the policy, notes what it sees beside what the teacher proposes, and acts in changing manners, so
that the lessons also cover what happens off the teacher's own path (DAgger, Ross et al. 2011).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from core.decision import Authority, State, SupervisorDecision
from core.estimation.state_estimate import StateEstimate
from core.parts import Fallback, PolicyHealth, initial_memory
from core.site import ZERO, Metering, Phases, Site, per_phase
from core.snapshot import Snapshot
from daemon.runtime.assembly import assemble
from daemon.simulation.simulate import Scenario, SimulatedController, default_site, simulate
from models.features import FEATURE_NAMES, PHASE_FEATURES
from safety.pi import PiFallback
from safety.predictive import PredictiveFallback
from training.data.days import Day, middle_of_light_s

Floats = npt.NDArray[np.float32]
Answer = Callable[[Sequence[float]], Phases]

TEACHERS = ("predictive", "pi")
BLOCK_S = 900
"""A manner of acting lasts a quarter of an hour."""
OFFSET_W = 250.0
"""Spread of a disturbed action's slow offset."""
OFFSET_KEPT = 0.98
"""Of the offset from one second to the next: it wanders within a minute."""
GAINS = (0.6, 1.2)
"""A disturbed action is this much of the teacher's."""
DELAYS_S = (1.0, 6.0)
LOSSES = (0.0, 0.3)
"""Ranges of what the laws taught here do not react to, so that the clone learns not to either."""


@dataclass(frozen=True, slots=True)
class DemonstrationDataset:
    """Rows of what was seen, [n, 30] raw, what the teacher proposed, [n, 3] W, and the capacity, [n, 3] W."""

    states: Floats
    actions_w: Floats
    capacity_w: Floats

    def __len__(self) -> int:
        return len(self.states)


class BehaviourPolicy(Enum):
    """How the student acts during a block."""

    TEACHER = "as the teacher proposes"
    DISTURBED = "the teacher's proposal, scaled and with a wandering offset"
    CLONE = "as the clone answers"


class AlwaysPolicySupervisor:
    """A supervisor of lessons: the student acts at every tick, whatever it does."""

    cold = None

    def step(
        self,
        snapshot: Snapshot,
        estimate: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        memory: None,
    ) -> tuple[SupervisorDecision, None]:
        """The policy's turn."""
        return _POLICY_ACTS, None


_POLICY_ACTS = SupervisorDecision(State.RL_ACTIVE)


class RecordingExpert:
    """A fallback that proposes what its law proposes, and keeps the last proposal for the student."""

    def __init__(self, law: Fallback) -> None:
        self._law = law
        self.proposed_w: Phases = ZERO
        self.capacity_w: Phases = ZERO

    @property
    def cold(self) -> Any:
        """Of the law."""
        return self._law.cold

    def propose(self, estimate: StateEstimate, memory: Any) -> tuple[Phases, Any]:
        """Of the law."""
        self.proposed_w, memory = self._law.propose(estimate, memory)
        self.capacity_w = estimate.capacity_w
        return self.proposed_w, memory

    def track(self, memory: Any, estimate: StateEstimate, safe_action_w: Phases) -> Any:
        """Of the law."""
        return self._law.track(memory, estimate, safe_action_w)


class Student:
    """A policy that takes notes. `decide` asks the fallback before it, so the witness is up to date."""

    def __init__(self, witness: RecordingExpert, rng: np.random.Generator, answer: Answer | None) -> None:
        self._witness, self._rng, self._answer = witness, rng, answer
        self._manner, self._gain, self._offset_w = BehaviourPolicy.TEACHER, 1.0, np.zeros(3)
        self.rows: list[tuple[float, ...]] = []

    @property
    def cold(self) -> tuple[()]:
        """Nothing to carry."""
        return ()

    def propose(self, observation: Sequence[float], memory: tuple[()]) -> tuple[Phases, tuple[()]]:
        """Note the tick and act in the manner of the block."""
        if len(self.rows) % BLOCK_S == 0:
            self._next_block()
        self.rows.append((*observation, *self._witness.proposed_w, *self._witness.capacity_w))
        if self._manner is BehaviourPolicy.CLONE and self._answer is not None:
            return self._answer(observation), ()
        if self._manner is BehaviourPolicy.DISTURBED:
            return self._disturbed(self._witness.proposed_w), ()
        return self._witness.proposed_w, ()

    def _next_block(self) -> None:
        chances = (0.3, 0.7, 0.0) if self._answer is None else (0.1, 0.3, 0.6)
        self._manner = tuple(BehaviourPolicy)[int(self._rng.choice(len(BehaviourPolicy), p=chances))]
        self._gain = float(self._rng.uniform(*GAINS))

    def _disturbed(self, action_w: Phases) -> Phases:
        kick = OFFSET_W * np.sqrt(1.0 - OFFSET_KEPT**2)
        self._offset_w = OFFSET_KEPT * self._offset_w + self._rng.normal(0.0, kick, 3)
        return per_phase((self._gain * np.asarray(action_w) + self._offset_w).tolist())


def teacher_law(name: str, site: Site) -> Fallback:
    """The tuned law that is cloned: "predictive" or "pi"."""
    return PredictiveFallback(site) if name == "predictive" else PiFallback(site)


def attend(
    day: Day, teacher: str, metering: Metering, seed: int, answer: Answer | None = None, share: float = 1.0
) -> DemonstrationDataset:
    """Live the daylight of a day, taking notes at every tick.

    Args:
        day: the trace.
        teacher: one of `TEACHERS`.
        metering: how the simulated site is billed.
        seed: draws the slaves, the radio, the meter's noise and the manners.
        answer: the clone so far; without one only the teacher acts, plain or disturbed.
        share: part of the daylight that is lived, around its middle.
    """
    site, trace = default_site(metering), day.load()
    witness = RecordingExpert(teacher_law(teacher, site))
    student = Student(witness, np.random.default_rng(seed), answer)
    parts = replace(assemble(site, witness, None).parts, policy=student, supervisor=AlwaysPolicySupervisor())
    light_s = middle_of_light_s(trace, share)
    scenario = Scenario(trace, site, day.connection, *light_s, seed=seed, settle_s=0)
    simulate(scenario, SimulatedController(parts, initial_memory(parts), Authority.POLICY))
    return _table(student.rows)


def _table(rows: list[tuple[float, ...]]) -> DemonstrationDataset:
    table, inputs = np.asarray(rows, np.float32), len(FEATURE_NAMES)
    return DemonstrationDataset(table[:, :inputs], table[:, inputs : inputs + 3], table[:, inputs + 3 :])


def join(parts: Sequence[DemonstrationDataset]) -> DemonstrationDataset:
    """All rows, in order."""
    return DemonstrationDataset(
        np.concatenate([part.states for part in parts]),
        np.concatenate([part.actions_w for part in parts]),
        np.concatenate([part.capacity_w for part in parts]),
    )


def orders() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The six orders of the phases: as columns of the features, [6, 30], and of the actions, [6, 3]."""
    width = len(PHASE_FEATURES)
    phases = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)], np.intp)
    columns = (phases[:, :, None] * width + np.arange(width)).reshape(len(phases), 3 * width)
    site = np.broadcast_to(np.arange(3 * width, len(FEATURE_NAMES)), (len(phases), 3))
    return np.concatenate([columns, site], axis=1), phases


def vary(lessons: DemonstrationDataset, rng: np.random.Generator) -> DemonstrationDataset:
    """The same lessons for exchanged phases, and over the ranges of what the laws do not react to.

    A law treats its phases alike, so a lesson holds in any order of them.
    """
    columns, phases = orders()
    drawn = rng.integers(len(phases), size=len(lessons))
    states = np.take_along_axis(lessons.states, columns[drawn], axis=1)
    states[:, FEATURE_NAMES.index("delay_estimate_s")] = rng.uniform(*DELAYS_S, len(lessons))
    states[:, FEATURE_NAMES.index("link_loss_rate")] = rng.uniform(*LOSSES, len(lessons))
    return DemonstrationDataset(
        states,
        np.take_along_axis(lessons.actions_w, phases[drawn], axis=1),
        np.take_along_axis(lessons.capacity_w, phases[drawn], axis=1),
    )
