"""The campaign on energy counters, short: three hours of the shipped day, a meter that tells power alone."""

import pytest

from plant.site.trace import load_trace
from tests.campaigns.energy_counters import live, table

MORNING = range(10 * 3600, 13 * 3600)


@pytest.mark.parametrize(("scale", "is_told"), [(1.0, False), (0.1, True), (-1.0, True)])
def test_counters_tell_of_powers_that_are_wrong_and_of_no_others(scale: float, is_told: bool) -> None:
    day = live(load_trace(), "em24", "none", scale, seed=1, span_s=MORNING)
    assert day.verdicts
    assert bool(day.alarms_s) is is_told
    assert f"| {len(day.alarms_s)} |" in table([day])
