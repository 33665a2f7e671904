"""Short forms of the fuzz of setpoints in several messages; the long ones are in `group_fuzz`."""

from unittest.mock import patch

import numpy as np
import pytest

from tests.safety.search import group_fuzz
from tests.safety.search.group_fuzz import Flags, Floats, FuzzedSites, compare, run


def test_the_twin_says_what_the_shipped_gate_says() -> None:
    assert 1000 < compare(4000, seed=1) < 3000


def test_the_twin_lets_nothing_unsafe_on_air_between_two_messages() -> None:
    assert run(200_000, seed=2, n=2000) > 20_000


def whole(sites: FuzzedSites, new_w: Floats, told: Flags) -> Flags:
    """A planted gate: the vector is judged as if it went out in one message."""
    total_w = np.where(told[:, :, None], new_w, sites.high_w).sum(1)
    before_w = sites.high_w.sum(1)
    near = np.linalg.norm(total_w - before_w, axis=1) <= 1000.0 * np.minimum(sites.age_s, 2.0)
    limit_w = np.maximum(sites.imbalance_max_w, group_fuzz.spread(before_w))
    inside = (total_w <= sites.phase_max_w).all(1) & (group_fuzz.spread(total_w) <= limit_w)
    return np.asarray(near & inside)


def test_a_gate_that_judges_the_whole_vector_is_caught() -> None:
    with patch.object(group_fuzz, "accepted", whole), pytest.raises(AssertionError):
        run(20_000, seed=2, n=2000)


@pytest.mark.parametrize("forgets", ["pending", "rest"])
def test_a_gate_that_forgets_what_may_be_on_air_is_caught(forgets: str) -> None:
    accepted = group_fuzz.accepted

    def careless(sites: FuzzedSites, new_w: Floats, told: Flags) -> Flags:
        if forgets == "pending":
            seen = FuzzedSites(sites.high_w, sites.high_w, sites.may_rest, sites.age_s, sites.grid_w)
        else:
            nobody = np.zeros_like(sites.may_rest)
            seen = FuzzedSites(sites.low_w, sites.high_w, nobody, sites.age_s, sites.grid_w)
        return accepted(seen, new_w, told)

    with patch.object(group_fuzz, "accepted", careless), pytest.raises(AssertionError):
        run(200_000, seed=2, n=2000)
