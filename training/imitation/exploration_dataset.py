"""A data set of simulated days, run in the product's own loop under a law, plain or disturbed on purpose.

What always does the same teaches nothing about what else would happen. In the manner "disturbed" the student
of `training.imitation.demonstrations` acts: a quarter of an hour as its teacher proposes, then scaled and
with a wandering offset. The rows say who acted: "fallback" is the plain law, "policy" the student.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from core.decision import Authority
from core.parts import initial_memory
from core.site import Site
from daemon.runtime.assembly import assemble
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController
from training.data.days import Day, middle_of_light_s
from training.data.samples import Sample, simulated_samples
from training.imitation.demonstrations import AlwaysPolicySupervisor, RecordingExpert, Student, teacher_law

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Simulated days are dated from here on, one after the other."""
DAY = timedelta(days=1)
MANNERS = {"plain": (False,), "disturbed": (True,), "both": (False, True)}


@dataclass(frozen=True)
class Lives:
    """Which days are lived and how: every day once in each manner, the middle `share` of its light."""

    days: tuple[Day, ...]
    site: Site
    law: str = "pi"
    manner: str = "both"
    share: float = 0.2
    seed: int = 0

    def _numbered(self) -> Iterator[tuple[int, Day, bool]]:
        lives = ((day, is_disturbed) for is_disturbed in MANNERS[self.manner] for day in self.days)
        for number, (day, is_disturbed) in enumerate(lives):
            yield number, day, is_disturbed

    def splits(self) -> dict[str, str]:
        """The split of every date: that of its trace."""
        return {date_of(number): day.split for number, day, _ in self._numbered()}

    def samples(self) -> Iterator[Sample]:
        """All of them, in order; each life has slaves and a radio of its own."""
        for number, day, is_disturbed in self._numbered():
            trace, seed = day.load(), self.seed + number
            scenario = Scenario(
                trace, self.site, day.connection, *middle_of_light_s(trace, self.share), seed=seed
            )
            acting = (
                exploring_pilot(self.site, self.law, seed) if is_disturbed else pilot(self.law, self.site)
            )
            assert acting is not None
            midnight_s = int((EPOCH + number * DAY).timestamp())
            yield from simulated_samples(scenario, acting, midnight_s)


def date_of(number: int) -> str:
    """The date that the n-th simulated day gets."""
    return (EPOCH + number * DAY).date().isoformat()


def exploring_pilot(site: Site, law: str, seed: int) -> SimulatedController:
    """A pilot that acts as the law and as the law disturbed, in turns drawn from the seed."""
    witness = RecordingExpert(teacher_law(law, site))
    student = Student(witness, np.random.default_rng(seed), None)
    parts = replace(assemble(site, witness, None).parts, policy=student, supervisor=AlwaysPolicySupervisor())
    return SimulatedController(parts, initial_memory(parts), Authority.POLICY)
