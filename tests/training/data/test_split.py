"""Splits by whole days, and moments gathered piece by piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.days import SPLITS
from training.data.split import Shares, split_days
from training.data.statistics import Moments


def dates(count: int) -> list[str]:
    return [f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(count)]


@given(count=st.integers(3, 300), seed=st.integers(0, 50))
def test_every_day_is_in_one_split_and_every_split_has_days(count: int, seed: int) -> None:
    split = split_days(dates(count), Shares(), seed)
    assert sorted(split) == dates(count)
    sizes = {name: list(split.values()).count(name) for name in SPLITS}
    assert min(sizes.values()) >= 1
    for name, share in zip(SPLITS, Shares(), strict=True):
        assert abs(sizes[name] - share * count) < 2.0


def test_twenty_days_go_fourteen_three_three() -> None:
    split = split_days(dates(20), Shares(), 0)
    assert [list(split.values()).count(name) for name in SPLITS] == [14, 3, 3]


def test_a_split_depends_on_the_seed_and_not_on_the_order() -> None:
    assert split_days(dates(30), Shares(), 1) == split_days(dates(30)[::-1], Shares(), 1)
    assert split_days(dates(30), Shares(), 1) != split_days(dates(30), Shares(), 2)


@pytest.mark.parametrize("shares", [Shares(1.0, 0.0, 0.0), Shares(0.5, 0.2, 0.2), Shares(float("nan"))])
def test_shares_are_parts_of_one(shares: Shares) -> None:
    with pytest.raises(ValueError, match="parts of 1"):
        split_days(dates(10), shares, 0)


def test_two_days_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        split_days(dates(2), Shares(), 0)


@given(cuts=st.lists(st.integers(0, 500), max_size=5), seed=st.integers(0, 9))
def test_moments_of_pieces_are_those_of_the_whole(cuts: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(5000.0, 3.0, (500, 4)).astype(np.float32)
    rows[7, 2] = np.nan
    total = Moments.of(rows[:0])
    for piece in np.split(rows, sorted(cuts)):
        total += Moments.of(piece)
    whole = np.delete(rows, 7, axis=0).astype(np.float64)
    assert total.count == 499
    np.testing.assert_allclose(total.mean, whole.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(total.std, whole.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal((total.low, total.high), (whole.min(axis=0), whole.max(axis=0)))
