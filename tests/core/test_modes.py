"""Who should act, by mode and time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Authority
from core.modes import BLOCK_S, MINUTES_PER_DAY, Assignment, Mode, ModePlan, WallClock, Window, assign

SEED = b"a site"
NOON = WallClock(1_767_268_800.0, weekday=3, minute=720)
ALL_DAYS = frozenset(range(7))


def acts(plan: ModePlan, moment: WallClock) -> bool:
    return assign(plan, moment).authority is Authority.POLICY


def test_shadow_and_production_need_no_clock() -> None:
    assert assign(ModePlan(Mode.SHADOW), WallClock(None)) == Assignment(Authority.FALLBACK, 0.0, -1)
    assert assign(ModePlan(Mode.PRODUCTION), WallClock(None)) == Assignment(Authority.POLICY, 1.0, -1)
    block = int(NOON.unix_s or 0) // BLOCK_S
    assert assign(ModePlan(Mode.SHADOW), NOON) == Assignment(Authority.FALLBACK, 0.0, block)
    assert assign(ModePlan(Mode.PRODUCTION), NOON) == Assignment(Authority.POLICY, 1.0, block)


@pytest.mark.parametrize("mode", [Mode.AB, Mode.ROLLOUT])
def test_blocks_wait_for_a_synchronised_clock(mode: Mode) -> None:
    window = Window(ALL_DAYS, 0, MINUTES_PER_DAY)
    plan = ModePlan(mode, 100.0, (window,) if mode is Mode.AB else (), SEED)
    assert assign(plan, WallClock(None)) == Assignment(Authority.FALLBACK, 0.0, -1)


@given(st.floats(0.0, 4e9), st.floats(0.0, BLOCK_S - 1.0), st.sampled_from([Mode.AB, Mode.ROLLOUT]))
def test_a_block_is_decided_once(start_s: float, later_s: float, mode: Mode) -> None:
    plan = ModePlan(mode, 50.0, (), SEED)
    start_s = start_s // BLOCK_S * BLOCK_S
    assert assign(plan, WallClock(start_s)) == assign(plan, WallClock(start_s + later_s))


@pytest.mark.parametrize(
    ("percent", "low", "high"), [(0.0, 0, 0), (5.0, 30, 70), (50.0, 450, 550), (100.0, 1000, 1000)]
)
def test_rollout_chooses_its_share_of_blocks(percent: float, low: int, high: int) -> None:
    plan = ModePlan(Mode.ROLLOUT, percent, (), SEED)
    chosen = [assign(plan, WallClock(BLOCK_S * index + 0.5)) for index in range(1000)]
    assert low <= sum(a.authority is Authority.POLICY for a in chosen) <= high
    assert {a.propensity for a in chosen} == {percent / 100.0}


@pytest.mark.parametrize(("percent", "share"), [(-5.0, 0.0), (250.0, 1.0)])
def test_a_share_out_of_range_is_bounded(percent: float, share: float) -> None:
    assert assign(ModePlan(Mode.ROLLOUT, percent, (), SEED), NOON).propensity == share


def test_more_percent_keeps_the_blocks_that_were_chosen() -> None:
    for index in range(300):
        moment = WallClock(float(BLOCK_S * index))
        chosen = [acts(ModePlan(Mode.ROLLOUT, percent, (), SEED), moment) for percent in (5.0, 25.0, 80.0)]
        assert all(after or not before for before, after in pairwise(chosen))


def test_sites_differ() -> None:
    def blocks(seed: bytes) -> list[bool]:
        return [
            acts(ModePlan(Mode.ROLLOUT, 50.0, (), seed), WallClock(float(BLOCK_S * i))) for i in range(64)
        ]

    assert blocks(b"one") != blocks(b"two")


def test_pairs_have_one_block_of_each() -> None:
    plan = ModePlan(Mode.AB, 0.0, (), SEED)
    firsts = set()
    for pair in range(200):
        first, second = (assign(plan, WallClock(BLOCK_S * (2 * pair + k) + 1.0)) for k in (0, 1))
        assert {first.authority, second.authority} == {Authority.POLICY, Authority.FALLBACK}
        assert first.propensity == 0.5
        assert not first.confounded
        firsts.add(first.authority)
    assert len(firsts) == 2


def test_the_assignment_of_a_seed_never_changes() -> None:
    """An audit years later must find the same blocks."""
    plan = ModePlan(Mode.ROLLOUT, 50.0, (), SEED)
    bits = [acts(plan, WallClock(float(BLOCK_S * index))) for index in range(24)]
    assert sum(bit << index for index, bit in enumerate(bits)) == 0x497A3F


def test_the_pairs_of_a_seed_never_change() -> None:
    plan = ModePlan(Mode.AB, 0.0, (), SEED)
    bits = [acts(plan, WallClock(float(BLOCK_S * index))) for index in range(24)]
    assert sum(bit << index for index, bit in enumerate(bits)) == 0x69A656


def test_names_and_numbers_that_files_and_audits_rely_on() -> None:
    assert [mode.value for mode in Mode] == ["shadow", "ab", "rollout", "production"]
    assert (BLOCK_S, MINUTES_PER_DAY) == (900, 1440)
    assert ModePlan() == ModePlan(Mode.SHADOW, 0.0, (), b"")
    assert WallClock(5.0) == WallClock(5.0, weekday=0, minute=0)


def test_a_clock_before_1970_has_blocks_too() -> None:
    assert assign(ModePlan(Mode.ROLLOUT, 50.0, (), SEED), WallClock(-1.0)).block == -1


@pytest.mark.parametrize(
    ("window", "weekday", "minute", "inside"),
    [
        (Window(frozenset({0}), 480, 720), 0, 479, False),
        (Window(frozenset({0}), 480, 720), 0, 480, True),
        (Window(frozenset({0}), 480, 720), 0, 719, True),
        (Window(frozenset({0}), 480, 720), 0, 720, False),
        (Window(frozenset({0}), 480, 720), 1, 500, False),
        (Window(frozenset({4}), 1320, 120), 4, 1319, False),
        (Window(frozenset({4}), 1320, 120), 4, 1320, True),
        (Window(frozenset({4}), 1320, 120), 5, 0, True),
        (Window(frozenset({4}), 1320, 120), 5, 119, True),
        (Window(frozenset({4}), 1320, 120), 5, 120, False),
        (Window(frozenset({4}), 1320, 120), 4, 60, False),
        (Window(frozenset({6}), 1320, 120), 0, 60, True),
        (Window(frozenset({6}), 1320, 120), 0, 1330, False),
        (Window(frozenset({2}), 0, 0), 2, 0, True),
        (Window(frozenset({2}), 0, 0), 2, 1439, True),
        (Window(frozenset({2}), 0, 0), 3, 0, False),
        (Window(frozenset({2}), 600, 600), 3, 599, True),
        (Window(frozenset({2}), 0, MINUTES_PER_DAY), 2, 1439, True),
    ],
)
def test_windows(window: Window, weekday: int, minute: int, inside: bool) -> None:
    moment = WallClock(NOON.unix_s, weekday, minute)
    found = assign(ModePlan(Mode.AB, schedule=(window,)), moment)
    assert (found.authority is Authority.POLICY) is inside
    assert found.propensity == float(inside)
    assert found.confounded


def test_any_of_several_windows_counts() -> None:
    plan = ModePlan(Mode.AB, schedule=(Window(frozenset({0}), 0, 60), Window(frozenset({3}), 700, 760)))
    assert acts(plan, NOON)
    assert not acts(plan, WallClock(NOON.unix_s, 0, 720))
