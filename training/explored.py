"""A data set of simulated days: lived by the product's own loop under a law that is disturbed on purpose.

What always does the same teaches nothing about what else would happen, so the student of `training.lessons`
acts: a quarter of an hour as its teacher proposes, then scaled and with a wandering offset.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from core.decision import Authority
from core.parts import cold_start
from core.site import Site
from daemon.assembly import assemble
from daemon.simulate import Pilot, Scenario
from training.days import Day, daylight_s
from training.lessons import Licence, Student, Witness, teacher_law
from training.samples import Sample, simulated_samples

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Simulated days are dated from here on, one after the other."""
DAY = timedelta(days=1)


def date_of(number: int) -> str:
    """The date that the n-th simulated day gets."""
    return (EPOCH + number * DAY).date().isoformat()


def exploring_pilot(site: Site, teacher: str, seed: int) -> Pilot:
    """A pilot that acts as the law and as the law disturbed, in turns drawn from the seed."""
    witness = Witness(teacher_law(teacher, site))
    student = Student(witness, np.random.default_rng(seed), None)
    parts = replace(assemble(site, witness, None).parts, policy=student, supervisor=Licence())
    return Pilot(parts, cold_start(parts), Authority.POLICY)


def explored_samples(
    days: tuple[Day, ...], site: Site, teacher: str, seed: int, share: float
) -> Iterator[Sample]:
    """The middle `share` of the light of every day, in order; each with slaves and radio of its own."""
    for number, day in enumerate(days):
        trace = day.load()
        first_s, end_s = daylight_s(trace)
        cut_s = int((end_s - first_s) * (1.0 - share) / 2.0)
        scenario = Scenario(trace, site, day.connection, first_s + cut_s, end_s - cut_s, seed + number)
        midnight_s = int((EPOCH + number * DAY).timestamp())
        yield from simulated_samples(scenario, exploring_pilot(site, teacher, seed + number), midnight_s)
