"""Policy against PI: blocks belong to whom they were assigned to, and the interval keeps its promise."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.decision import Authority, State, SupervisorDecision
from core.modes import BLOCK_S, Mode
from daemon.journal.records import Tick
from daemon.monitoring.energy_ledger import EnergyTotals
from daemon.report.comparison import (
    BLOCKS_LEAST,
    PAIRS_LEAST,
    Comparison,
    compare,
)
from daemon.report.trial import CARRY_OVER_S, MEASURED_LEAST_S, BlockTrial, Design, TrialBlock
from tests.daemon.report.accounts import tick

POLICY, FALLBACK = Authority.POLICY, Authority.FALLBACK
WHOLE_S = BLOCK_S - CARRY_OVER_S


def block(
    index: int,
    assigned: Authority,
    export_w: float,
    *,
    design: Design = Design.PAIRS,
    propensity: float = 0.5,
    avoidable_w: float = 0.0,
    surplus_w: float = 2000.0,
    measured_s: float = WHOLE_S,
) -> TrialBlock:
    energy = EnergyTotals(
        exported_j=export_w * measured_s,
        avoidable_import_j=avoidable_w * measured_s,
        exported_without_j=surplus_w * measured_s,
        measured_s=measured_s,
    )
    return TrialBlock(
        index, design, assigned, propensity, "", energy, WHOLE_S, WHOLE_S * (assigned is POLICY)
    )


def pairs(policy_w: Sequence[float], fallback_w: Sequence[float]) -> list[TrialBlock]:
    """The policy first in every second pair."""
    blocks = []
    for pair, (one_w, other_w) in enumerate(zip(policy_w, fallback_w, strict=True)):
        blocks += [
            block(2 * pair + pair % 2, POLICY, one_w),
            block(2 * pair + 1 - pair % 2, FALLBACK, other_w),
        ]
    return blocks


def single(blocks: list[TrialBlock]) -> Comparison:
    (found,) = compare(blocks)
    return found


def booked(ticks: Sequence[Tick], mode: Mode = Mode.AB) -> BlockTrial:
    trial = BlockTrial()
    for one in ticks:
        trial.book(one, mode, "", EnergyTotals(exported_j=100.0, measured_s=1.0), 1.0)
    return trial


def by_lot(second: int, **changes: Any) -> Tick:
    """A tick in the block that its instant belongs to."""
    lot: dict[str, Any] = {"propensity": 0.5, "block": second // BLOCK_S}
    return replace(tick(float(second), float(second)), **(lot | changes))


def test_a_block_belongs_to_whom_it_was_assigned_to_whoever_acted() -> None:
    """The policy's block in which the PI had to act stays the policy's."""
    acting = by_lot(100)
    fallen_back = replace(acting.decision, verdict=SupervisorDecision(State.FALLBACK, ("violation",)))
    trial = booked([acting, by_lot(101, decision=fallen_back), by_lot(1000, authority=FALLBACK)])
    one, other = trial.blocks[0], trial.blocks[1]
    assert (one.assigned, one.recorded_s, one.policy_s, one.energy.exported_j) == (POLICY, 2.0, 1.0, 200.0)
    assert other.assigned is FALLBACK
    assert not one.is_mixed


def test_the_first_minute_of_a_block_does_not_count() -> None:
    trial = booked([by_lot(second) for second in range(BLOCK_S)])
    assert trial.blocks[0].recorded_s == WHOLE_S


NOT_BY_BLOCKS = [
    {"propensity": 1.0},
    {"propensity": 0.0},
    {"block": -1},
    {"authority": Authority.REST},
]


@pytest.mark.parametrize("changes", NOT_BY_BLOCKS)
def test_what_no_lot_assigned_is_not_compared(changes: dict[str, Any]) -> None:
    assert not booked([by_lot(100, **changes)]).blocks


@pytest.mark.parametrize(
    ("mode", "confounded", "design"),
    [
        (Mode.AB, False, Design.PAIRS),
        (Mode.ROLLOUT, False, Design.SHARE),
        (
            Mode.SHADOW,
            False,
            Design.SHARE,
        ),  # a reload that was removed with its segment: no pairs are assumed
        (Mode.AB, True, Design.SCHEDULE),
    ],
)
def test_the_design_is_what_the_journal_says(mode: Mode, confounded: bool, design: Design) -> None:
    trial = booked([by_lot(100, confounded=confounded)], mode)
    assert trial.blocks[0].design is design


def test_a_block_under_two_plans_counts_for_none() -> None:
    trial = booked([by_lot(100), by_lot(101, authority=FALLBACK)])
    assert trial.blocks[0].is_mixed
    found = single([*trial.blocks.values()])
    assert (found.policy, found.fallback) == (None, None)
    assert found.incomplete == {POLICY: 1, FALLBACK: 0}


def test_pairs_worked_out_by_hand() -> None:
    """The policy exports 100 W less in every pair, whatever the weather; J counts half of the import."""
    weather_w = [100.0 * n for n in range(2, 2 + PAIRS_LEAST)]
    blocks = pairs([w - 100.0 for w in weather_w], weather_w)
    blocks = [
        b
        if b.assigned is FALLBACK
        else block(b.index, POLICY, b.energy.exported_j / WHOLE_S, avoidable_w=40.0)
        for b in blocks
    ]
    found = single(blocks)
    assert (found.pairs, found.too_few, found.without_surplus) == (PAIRS_LEAST, "", 0)
    assert found.export is not None
    assert found.j is not None
    assert found.export.value_w == pytest.approx(-100.0)
    assert found.export.low_w == pytest.approx(-100.0)
    assert found.export.high_w == pytest.approx(-100.0)
    assert found.j.value_w == pytest.approx(-80.0)
    assert found.policy is not None
    assert (found.policy.blocks, found.policy.acted_share) == (PAIRS_LEAST, 1.0)
    assert found.policy.avoidable_import_w == pytest.approx(40.0)
    assert found.fallback is not None
    assert found.fallback.export_w == pytest.approx(np.mean(weather_w))
    assert found.fallback.surplus_w == pytest.approx(2000.0)


def test_one_pair_less_is_too_few_to_say() -> None:
    found = single(pairs([100.0] * (PAIRS_LEAST - 1), [900.0] * (PAIRS_LEAST - 1)))
    assert found.export is None
    assert found.j is None
    assert f"{PAIRS_LEAST - 1} pairs" in found.too_few


def test_half_a_pair_a_short_block_and_a_dark_pair_do_not_count() -> None:
    blocks = pairs([100.0] * 14, [200.0] * 14)
    blocks = [b for b in blocks if (b.index // 2, b.assigned) != (0, POLICY)]
    short = block(2 * 1 + 1, POLICY, 5000.0, measured_s=MEASURED_LEAST_S - 1.0)
    blocks = [short if b.index == short.index else b for b in blocks]
    blocks += [block(100, POLICY, 0.0, surplus_w=10.0), block(101, FALLBACK, 0.0, surplus_w=20.0)]
    blocks += [block(102, POLICY, 0.0), block(103, POLICY, 0.0)]  # no pair that the lot of pairs can make
    found = single(blocks)
    assert found.pairs == 12
    assert found.without_surplus == 2
    assert found.incomplete == {POLICY: 1 + 2, FALLBACK: 2}
    assert found.policy is not None
    assert found.policy.export_w == pytest.approx(100.0)


def test_what_a_policy_places_in_the_dark_is_not_left_out() -> None:
    dark = [replace_placed(b, 500.0) for b in pairs([0.0] * 12, [0.0] * 12)]
    assert single(dark).pairs == 12


def replace_placed(base: TrialBlock, placed_w: float) -> TrialBlock:
    """No surplus, but the policy takes power all the same."""
    energy = replace(base.energy, exported_without_j=0.0)
    energy.placed_j = placed_w * WHOLE_S if base.assigned is POLICY else 0.0
    return replace(base, energy=energy)


def test_a_schedule_is_confounded_and_gets_no_difference() -> None:
    blocks = [replace(b, design=Design.SCHEDULE, propensity=1.0) for b in pairs([100.0] * 60, [900.0] * 60)]
    found = single(blocks)
    assert found.confounded
    assert (found.export, found.j, found.too_few) == (None, None, "")
    assert found.policy is not None
    assert found.policy.export_w == pytest.approx(100.0)


def test_a_share_weighs_every_block_by_its_odds() -> None:
    """5 % then 50 %: the policy's block of the first time stands for twenty."""
    early = [
        block(n, POLICY if n < BLOCKS_LEAST else FALLBACK, 1000.0, design=Design.SHARE, propensity=0.05)
        for n in range(40)
    ]
    late = [block(100 + n, POLICY if n % 2 else FALLBACK, 100.0, design=Design.SHARE) for n in range(40)]
    found = single([*early, *late])
    assert found.policy is not None
    assert found.fallback is not None
    assert found.policy.export_w == pytest.approx((20 * 20 * 1000.0 + 20 * 2 * 100.0) / (20 * 20 + 20 * 2))
    weight = 20 / 0.95
    assert found.fallback.export_w == pytest.approx((weight * 1000.0 + 20 * 2 * 100.0) / (weight + 20 * 2))
    assert found.export is not None
    assert found.export.low_w < found.export.value_w < found.export.high_w
    few = single(late[:-2])
    assert "19 and 19 blocks" in few.too_few
    assert few.export is None


def test_each_design_is_compared_by_itself() -> None:
    share = [replace(b, design=Design.SHARE, index=b.index + 1000) for b in pairs([1.0], [2.0])]
    found = compare([*share, *pairs([100.0] * 12, [200.0] * 12)])
    assert [one.design for one in found] == [Design.PAIRS, Design.SHARE]
    assert compare([]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "least", "most"), [(Design.PAIRS, 0.93, 0.97), (Design.SHARE, 0.93, 0.995)]
)
def test_the_interval_holds_the_effect_as_often_as_it_says(design: Design, least: float, most: float) -> None:
    """Weather with heavy tails that lasts for hours, the same policy under 400 lots."""
    rng = np.random.default_rng(4)
    count = 2 * PAIRS_LEAST if design is Design.PAIRS else 3 * BLOCKS_LEAST
    weather_w = np.exp(np.convolve(rng.standard_normal(count + 5), np.ones(6) / 2.0, "valid")) * 200.0
    effect_w, held, told = -60.0, 0, 0
    for _ in range(400):
        if design is Design.PAIRS:
            first = rng.random(count // 2) < 0.5
            chosen = np.repeat(first, 2) == (np.arange(count) % 2 == 0)
        else:
            chosen = rng.random(count) < 0.5
        blocks = [
            block(
                n,
                POLICY if chosen[n] else FALLBACK,
                float(weather_w[n] + effect_w * chosen[n]),
                design=design,
            )
            for n in range(count)
        ]
        found = single(blocks)
        if found.export is not None:
            told += 1
            held += found.export.low_w <= effect_w <= found.export.high_w
    assert told > 380
    assert least <= held / told <= most, (held, told)


def test_policies_are_compared_one_by_one() -> None:
    blocks = [block(index, POLICY if index % 2 else FALLBACK, 100.0) for index in range(48)]
    for late in blocks[24:]:
        late.policy_sha256 = "b"
    first, second = compare(blocks)
    assert (first.policy_sha256, second.policy_sha256) == ("", "b")
    assert first.policy is not None
    assert second.policy is not None
    assert (first.policy.blocks, second.policy.blocks) == (12, 12)
