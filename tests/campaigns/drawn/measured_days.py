"""The same months from measured days: what policy and fallback cost is lived in the batched simulator.

    python -m tests.campaigns.drawn.measured_days --traces DIR --splits val test --trials 400

Every lit hour is lived by the tuned PI and by each controller, on the same far ends; a day's hours are scaled
until the controller does in the long run as well as the PI, or worse by some share, and days are drawn with
replacement. So days do not follow each other as weather does, and no twin comes between: both costs are true.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.site import Metering
from models.bundle import builtin_bundle
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from tests.campaigns.drawn.judge_errors import EXCESSES, HEADING, fate, row
from tests.campaigns.drawn.months import DAYS, SPANS, Energies, Months, MonthWorld
from tests.campaigns.table import heading, parser
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import HOUR_S
from training.batched.laws import pi_law, predictive_law
from training.batched.simulator import Policy
from training.contest.contest import always, heats_of, hours_of, lived
from training.data.days import Day, find_days

SPAN_S = round(86400 / SPANS)


@dataclass(frozen=True)
class DayCosts:
    """Wh, [day, span, quantity], of export and J of a controller, and of the tuned PI in the same hours."""

    own_wh: Energies
    pi_wh: Energies

    def months(self, excess: float, sites: int, seed: int) -> Months:
        """Months of days drawn with replacement, so much worse in the long run."""
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, len(self.pi_wh), (sites, DAYS))
        scale = (1.0 + excess) * self.pi_wh.sum(axis=(0, 1)) / self.own_wh.sum(axis=(0, 1))
        own, pi = (self.own_wh * scale)[drawn], self.pi_wh[drawn]
        return Months(own, pi, own, pi, np.ones((sites, DAYS), dtype=bool))

    def spread(self) -> float:
        """Standard deviation of the logarithm of the ratio over days, of export."""
        own, pi = self.own_wh[..., 0].sum(axis=1), self.pi_wh[..., 0].sum(axis=1)
        return float(np.log(own / pi).std())


def costs(days: Sequence[Day], policy: Policy) -> Energies:
    """Live all lit hours."""
    heats = heats_of(hours_of(days), (0,), meterings=(Metering.NET,), delays_s=(0,))
    found = lived(heats, always(policy), HOUR_S)
    return by_span(
        [heat.day.path.stem for heat in heats],
        [heat.from_s for heat in heats],
        np.stack((found.own_wh, found.j_wh), axis=-1),
    )


def by_span(days: Sequence[str], from_s: Sequence[int], hours_wh: Energies) -> Energies:
    """Sums over the spans of every day, [day, span, quantity]."""
    places = {day: place for place, day in enumerate(dict.fromkeys(days))}
    summed = np.zeros((len(places), SPANS, hours_wh.shape[-1]))
    for day, begin_s, hour_wh in zip(days, from_s, hours_wh, strict=True):
        summed[places[day], begin_s // SPAN_S] += hour_wh
    return summed


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=400)
    options.add_argument("--traces", type=Path, required=True, help="folder of measured days")
    options.add_argument("--splits", nargs="+", default=["val", "test"])
    chosen = options.parse_args()
    torch.set_num_threads(1)
    days = [day for split in chosen.splits for day in find_days(chosen.traces, split)]
    gains = PiGains()
    pi_wh = costs(days, pi_law(gains))

    controllers: dict[str, Policy] = {
        "the policy that ships": open_bundle(builtin_bundle()),
        "the predictive law": predictive_law(PredictiveGains()),
        "a PI of half the gains": pi_law(PiGains(gains.kp / 2.0, gains.ki / 2.0)),
        "a PI of a third": pi_law(PiGains(gains.kp / 3.0, gains.ki / 3.0)),
    }
    print(HEADING)
    for name, policy in controllers.items():
        known = DayCosts(costs(days, policy), pi_wh)
        told = f"{name} ({known.spread():.2f})"
        for excess in EXCESSES:
            months = known.months(excess, chosen.trials, chosen.seed)
            fates = [fate(months, site, excess) for site in range(chosen.trials)]
            print(row(told, MonthWorld(excess=excess), fates), flush=True)
    print(f"\n{len(days)} days, {heading(chosen.seed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
