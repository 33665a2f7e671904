"""Short forms of the fuzz; the long ones are in `tests.safety.search.fuzz`."""

import numpy as np

from tests.safety.search.fuzz import AGREE_W, Ticks, compare, run, safe_vectors, some_ticks, twin, unsafe


def test_the_twin_is_the_shipped_gate() -> None:
    assert 0.0 <= compare(4000, seed=1) <= AGREE_W


def test_the_twin_allows_nothing_unsafe() -> None:
    assert 0.5 < run(400_000, seed=2, sites=4000) / 400_000 <= 1.0


def test_the_judge_sees_what_is_unsafe() -> None:
    rng = np.random.default_rng(3)
    ticks = some_ticks(rng, np.floor(safe_vectors(rng, 4000)))
    safe_action_w = twin(ticks, of_grid=False, sign=1.0)
    assert not unsafe(ticks, safe_action_w, of_grid=False, sign=1.0).any()
    asked = Ticks(ticks.requested_action_w, ticks.air_w, ticks.age_s, ticks.grid_w, ticks.rest)
    with np.errstate(invalid="ignore"):
        as_asked = unsafe(asked, np.clip(asked.requested_action_w, 0.0, 5000.0), of_grid=False, sign=1.0)
    assert as_asked.mean() > 0.4
    for bad in (5001.0, -1.0, np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            assert unsafe(ticks, np.full((4000, 3), bad), of_grid=True, sign=1.0).all()
