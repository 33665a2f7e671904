"""How often the judge and the plan are wrong, and how fast they are right, in months that are drawn.

The judge and the promotion are the product's own (`safety.policy_comparison`, `daemon.rollout`); the months
are drawn by `tests.campaigns.drawn.months`. Beside them stand the rules that the specification names: 5 %
more than in the week before, and 5 % more than the twin as far as seen.

    python -m tests.campaigns.drawn.judge_errors --trials 1000 --jobs 2
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from core.decision import Authority
from core.modes import ModePlan, WallClock, assign
from daemon.config.rollout_section import RolloutSection, StepSection
from daemon.policy.rollout_walker import plan_of
from daemon.rollout.evidence import RolloutTick
from daemon.rollout.plan import RolloutPlan, RolloutStep, is_later
from daemon.rollout.requirements import Judged
from daemon.rollout.walk import RolloutState, begun, due, lived
from safety.evidence import PairedSums, days_rule_out
from safety.policy_comparison import ALPHA, is_better_by_days, is_worse, is_worse_by_days
from tests.campaigns.drawn.months import DAYLIGHT_H, DAYS, Energies, Months, MonthWorld, drawn
from tests.campaigns.table import heading, parser, percentile

DAY_S = 86400.0
EXCESSES = (-0.10, 0.0, 0.10, 0.20)
PLAN = plan_of(RolloutSection(shadow=StepSection(confirm="automatic")))
"""The plan as it ships, but for the operator's word."""
LIGHT_S = 3600.0 * (DAYLIGHT_H[1] - DAYLIGHT_H[0])
LEVEL_W, ANSWER_S = (500.0, 500.0, 500.0), 0.002
"""Proposals that nothing is to be said against: what is asked here is the worth alone."""
HALF = RolloutStep.SHARE_50
NAIVE_EXCESS = 0.05
"""Specification: export 5 % above the baseline."""
WEEK = 7
HEADING = (
    "| world | in the long run | rolled back | day | found better | day | half of the blocks | day "
    "| 99 % bounds ever wrong | week before | day | as far as seen | day |\n" + "|---" * 13 + "|"
)
WORLDS = {
    "the same controller": MonthWorld(day_spread=0.0, span_spread=0.0),
    "alike": MonthWorld(day_spread=0.05, span_spread=0.1),
    "usual": MonthWorld(),
    "unlike": MonthWorld(day_spread=0.15, span_spread=0.2),
    "usual, worse in costly weather": MonthWorld(by_weather=0.8),
    "usual, stores that fill": MonthWorld(has_stores=True),
    "usual, twin 3 % too cheap": MonthWorld(twin_bias=0.03),
    "usual, twin 23.5 % too cheap": MonthWorld(twin_bias=0.235),
    "usual, a day in five missing": MonthWorld(missing_share=0.2),
}


@dataclass(frozen=True)
class SiteFate:
    """What became of one site. Days count from 1, None when it did not come to that.

    `rolled_back` and `found_better` while the policy acts all the time, `week_before` and `point` by the
    rules of the specification there; `reached` is the day on which the plan gave half of the blocks away.
    `is_wrong` is whether a bound of the excess was ever on the wrong side.
    """

    rolled_back: int | None
    found_better: int | None
    week_before: int | None
    point: int | None
    reached: int | None
    is_wrong: bool


@dataclass
class _Account:
    """Sums of export and J as the judge keeps them, spans and days; nights count as time."""

    spans: list[PairedSums] = field(default_factory=lambda: [PairedSums(), PairedSums()])
    days: list[PairedSums] = field(default_factory=lambda: [PairedSums(), PairedSums()])

    def live(self, own_wh: Energies, twin_wh: Energies) -> bool:
        """With one day more, [span, quantity]; whether that rolls back."""
        is_rolled_back = False
        for own, twin in zip(own_wh, twin_wh, strict=True):
            self.spans = [
                pairs.add(float(x), float(y)) for pairs, x, y in zip(self.spans, own, twin, strict=True)
            ]
            is_rolled_back = is_rolled_back or (own[1] > 0.0 and any(map(is_worse, self.spans)))
        whole = zip(self.days, own_wh.sum(axis=0), twin_wh.sum(axis=0), strict=True)
        if own_wh.any() or twin_wh.any():
            self.days = [days.add_weighted(float(x), float(y)) for days, x, y in whole]
        return is_rolled_back or any(map(is_worse_by_days, self.days))


def fate(months: Months, site: int, excess: float) -> SiteFate:
    """Live one site: with the policy in charge throughout, and once more by the plan."""
    account, week = _Account(), _week_before(months, site)
    found: dict[str, int] = {}
    is_wrong = False
    for day in range(months.measured.shape[1]):
        if not months.measured[site, day]:
            continue
        own, twin = months.policy_wh[site, day], months.fallback_twin_wh[site, day]
        if account.live(own, twin):
            found.setdefault("rolled_back", day + 1)
        if is_better_by_days(account.days[0]):
            found.setdefault("found_better", day + 1)
        if own[:, 0].sum() > (1.0 + NAIVE_EXCESS) * week:
            found.setdefault("week_before", day + 1)
        if (account.spans[0].excess or 0.0) > NAIVE_EXCESS:
            found.setdefault("point", day + 1)
        is_wrong = is_wrong or _rules_out(account.days[0], excess)
    return SiteFate(
        found.get("rolled_back"),
        found.get("found_better"),
        found.get("week_before"),
        found.get("point"),
        reached(months, site),
        is_wrong,
    )


def _rules_out(days: PairedSums, excess: float) -> bool:
    """Whether the bounds of whole days do not hold this excess between them, without looking for them."""
    return any(days_rule_out(days, excess, ALPHA, above=above) for above in (True, False))


def _week_before(months: Months, site: int) -> float:
    """The fallback's export a day in another week of the same site: the last one of the month."""
    return float(months.fallback_wh[site, -WEEK:, :, 0].sum(axis=1).mean())


def reached(months: Months, site: int, plan: RolloutPlan = PLAN) -> int | None:
    """The day on which the plan gave half of the blocks to the policy; None when it did not."""
    seed = int(site).to_bytes(32, "big")
    state = begun(RolloutState(), "policy", "fallback", 0.0)
    live, shadow = _Account(), _Account()
    is_rolled_back = False
    for day in range(months.measured.shape[1]):
        mode = plan.mode_plan(state.step, ModePlan(site_seed=seed))
        assignment = assign(mode, WallClock(day * DAY_S))
        is_policy = assignment.authority is Authority.POLICY
        is_measured = bool(months.measured[site, day])
        own, twin = _seen(months, site, day, is_policy)
        has_sun = bool(months.fallback_wh[site, day, :, 0].any())
        for hours_s, is_light in ((LIGHT_S, True), (DAY_S - LIGHT_S, False)):
            tick = RolloutTick(
                step_s=hours_s,
                is_measured=is_measured,
                has_sun=has_sun and is_light,
                proposal_w=LEVEL_W,
                latency_s=ANSWER_S,
                is_violation=False,
                is_anomaly=False,
                block=assignment.block,
                propensity=assignment.propensity,
                is_policy=is_policy,
            )
            state = lived(plan, state, tick)
        if is_measured:
            found = (live if is_policy else shadow).live(own, twin)
            is_rolled_back = is_rolled_back or (is_policy and found)
        if is_rolled_back:
            return None
        state = due(plan, state, Judged(live.spans[0], live.days[0], *live.spans[1:], *shadow.spans), None)
        if not is_later(HALF, state.step):
            return day + 1
    return None


def _seen(months: Months, site: int, day: int, is_policy: bool) -> tuple[Energies, Energies]:
    """The policy's costs and the fallback's, one of them measured and the other one the twin's."""
    if is_policy:
        return months.policy_wh[site, day], months.fallback_twin_wh[site, day]
    return months.policy_twin_wh[site, day], months.fallback_wh[site, day]


def fates(world: MonthWorld, sites: int, seed: int) -> list[SiteFate]:
    """Of all sites."""
    months = drawn(world, sites, seed)
    return [fate(months, site, world.excess) for site in range(sites)]


def row(name: str, world: MonthWorld, lived_through: Sequence[SiteFate]) -> str:
    """One line of the table."""

    def told(days: Sequence[int | None]) -> str:
        """Share of sites and the median over all of them, a dash where fewer than half came to it."""
        known = [day if day is not None else DAYS + 1 for day in days]
        middle = percentile(known, 0.5)
        share = sum(day is not None for day in days) / len(days)
        return f"{100.0 * share:.1f} % | {f'{middle:.0f}' if middle <= DAYS else '–'}"

    columns = (
        told([one.rolled_back for one in lived_through]),
        told([one.found_better for one in lived_through]),
        told([one.reached for one in lived_through]),
        f"{100.0 * np.mean([one.is_wrong for one in lived_through]):.1f} %",
        told([one.week_before for one in lived_through]),
        told([one.point for one in lived_through]),
    )
    return f"| {name} | {world.excess:+.0%} | {' | '.join(columns)} |"


def _rows(sites: int, seed: int, jobs: int, worlds: Sequence[str]) -> Iterator[str]:
    cases = [(name, replace(WORLDS[name], excess=excess)) for name, excess in product(worlds, EXCESSES)]
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(fates, world, sites, seed) for _, world in cases]
        for (name, world), lived_through in zip(cases, waiting, strict=True):
            yield row(name, world, lived_through.result())


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=1000)
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--worlds", nargs="*", choices=tuple(WORLDS), default=tuple(WORLDS))
    chosen = options.parse_args()
    print(HEADING)
    for line in _rows(chosen.trials, chosen.seed, chosen.jobs, chosen.worlds):
        print(line, flush=True)
    print("\n" + heading(chosen.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
