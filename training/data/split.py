"""Which days teach, choose and judge. Whole days, so that no weather is on both sides."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.data.days import SPLITS


class Shares(NamedTuple):
    """Parts of the days for training, for choices, and for the final judgement."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15


def split_days(dates: Sequence[str], shares: Shares, seed: int) -> dict[str, str]:
    """Every date's split. The same dates and seed give the same split, in whatever order they come.

    Numbers of days follow the shares by largest remainder, and every split has at least one day.

    Raises:
        ValueError: fewer than three different days, or shares that are not positive parts of 1.
    """
    ordered = sorted(set(dates))
    if len(ordered) < len(SPLITS):
        raise ValueError(f"{len(ordered)} days; a split by day needs at least {len(SPLITS)}")
    if not (min(shares) > 0.0 and abs(sum(shares) - 1.0) < 1e-9):
        raise ValueError(
            f"shares {shares.train:g}/{shares.val:g}/{shares.test:g} are not positive parts of 1"
        )
    counts = _counts(len(ordered), shares)
    drawn = np.random.default_rng(seed).permutation(len(ordered)).tolist()
    names = [name for name, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    return {ordered[place]: name for place, name in zip(drawn, names, strict=True)}


def _counts(days: int, shares: Shares) -> list[int]:
    """Days per split: one each, the rest by largest remainder."""
    spare = days - len(shares)
    wanted = [max(0.0, share * days - 1.0) for share in shares]
    scale = spare / sum(wanted) if spare else 0.0
    exact = [scale * w for w in wanted]
    counts = [int(x) for x in exact]
    by_remainder = sorted(range(len(counts)), key=lambda i: counts[i] - exact[i])
    for place in by_remainder[: spare - sum(counts)]:
        counts[place] += 1
    return [1 + count for count in counts]
