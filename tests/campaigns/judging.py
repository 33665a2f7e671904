"""How well the twin tells what the PI would have done, and how often the judge is wrong.

Measured days (``--traces``) are lived in daylight by the shipped policy, and by a PI of a third of the
gains; each is judged against the twin of the tuned PI, hour by hour. The tuned PI lives the same hours
itself: that is the truth that the twin is compared with. Then months are drawn from these days, with
replacement, and every hour of a controller is scaled so that it does in the long run exactly as well as the
PI, or worse by some share: how often, and after how many days, would the judge roll back?
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from core.decision import Authority
from core.modes import Assignment
from core.tick import decide
from daemon.policy.policy_monitor import PolicyMonitor
from daemon.runtime.assembly import Assembled, pi_rule_on
from daemon.runtime.loop import TickResult
from daemon.runtime.transmitter import Sent
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO, default_site
from models.policy import NoPolicy
from plant.site.trace import Trace, load_trace
from safety.evidence import PairedSums
from safety.pi import PiFallback, PiGains
from safety.policy_comparison import SPAN_S, ComparisonState, is_worse, is_worse_by_days
from tests.campaigns.table import heading, parser, percentile, traces_in

DAYLIGHT_S = (8 * 3600, 18 * 3600)
SLOW = PiGains(kp=0.7 / 3.0, ki=0.25 / 3.0)
CONTROLLERS = ("policy", "slow PI", "tuned PI")
EXCESSES = (-0.10, 0.0, 0.05, 0.10, 0.20)
DELAYS_S = (0.0, 1.0, 2.0)
MONTH_DAYS = 30
Wh: TypeAlias = tuple[tuple[float, float], ...]
SPANS_A_DAY = round(86400.0 / SPAN_S)
AT_ONCE = ("gross", "oscillation")
TUNED = "tuned PI"


@dataclass(frozen=True)
class Spans:
    """Whole spans of one day: own and twin's, export and J, in Wh; ticks with a reason to act at once."""

    own: Wh
    twin: Wh
    at_once: int


Results: TypeAlias = dict[tuple[str, float], list[Spans]]


def acting(controller: str) -> SimulatedController:
    """A pilot by the name that the tables give it."""
    site = default_site()
    flown = pilot("policy" if controller == "policy" else "pi", site)
    assert flown is not None
    if controller == "slow PI":
        return replace(flown, parts=replace(flown.parts, fallback=PiFallback(site, SLOW)))
    return flown


def lived(trace: Trace, controller: str, seed: int, delay_s: float, span_s: tuple[int, int]) -> Spans:
    """Live a day under a controller, with the judge beside it, and again under the tuned PI."""
    site, flown = default_site(), acting(controller)
    start_s, end_s = span_s
    scenario = Scenario(trace, site, start_s=start_s, end_s=end_s, seed=seed, extra_delay_s=delay_s)
    found: list[str] = []
    law = PiFallback(site, rule=pi_rule_on(site))
    tuned = Assembled(replace(flown.parts, fallback=law), NoPolicy(), None)
    judging = PolicyMonitor(site, "", scenario.ttl_s, lambda _name, reasons, subject: found.extend(reasons))
    judging.adopt(tuned)
    far_end, memory = scenario.far_end(), flown.memory
    wires = SimulatedIO(scenario, far_end)
    accounts: list[ComparisonState] = []
    while far_end.now_s < end_s:
        snapshot, before = wires.snapshot(), memory
        decision, memory = decide(snapshot, flown.authority, memory, flown.parts)
        accepted = wires.transmit(decision) or None
        judged = replace(decision, authority=Authority.POLICY)
        judging(
            TickResult(
                snapshot,
                Assignment(Authority.POLICY, 1.0, 0),
                before,
                judged,
                Sent((), accepted),
                0,
                0,
                0,
                memory,
            )
        )
        if judging.live.evidence.export.spans > len(accounts):
            accounts.append(judging.live.evidence)
        far_end.step()
    own_wh, twin_wh = _spans(accounts)
    return Spans(own_wh, twin_wh, sum(reason in AT_ONCE for reason in found))


def _spans(accounts: Sequence[ComparisonState]) -> tuple[Wh, Wh]:
    """Own and twin's of each span, from the sums after it."""
    sums = [(0.0, 0.0, 0.0, 0.0), *((e.export.x, e.j.x, e.export.y, e.j.y) for e in accounts)]
    steps = [[b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(sums)]
    return tuple((a, b) for a, b, _, _ in steps), tuple((c, d) for _, _, c, d in steps)


def kept(path: Path, controller: str, seed: int, delay_s: float, cache: Path) -> Spans:
    """The spans of a day; from the cache when it was lived before."""
    file = cache / f"{path.stem}.{controller.replace(' ', '-')}.{seed}.{delay_s:g}.json"
    if file.exists():
        known: dict[str, Any] = json.loads(file.read_text())
        own, twin = (tuple((a, b) for a, b in known[name]) for name in ("own", "twin"))
        return Spans(own, twin, known["at_once"])
    spans = lived(load_trace(path), controller, seed, delay_s, DAYLIGHT_S)
    file.write_text(json.dumps(spans.__dict__))
    return spans


def month(lives: Sequence[Spans], scale: Sequence[float], excess: float, rng: Random) -> int | None:
    """The day of a drawn month in which the judge rolls back; None when it does not."""
    spans, days = [PairedSums(), PairedSums()], [PairedSums(), PairedSums()]
    for day in range(1, MONTH_DAYS + 1):
        drawn = rng.choice(lives)
        for own, twin in zip(drawn.own, drawn.twin, strict=True):
            for quantity, share in enumerate(scale):
                worse = own[quantity] * share * (1.0 + excess)
                spans[quantity] = spans[quantity].add(worse, twin[quantity])
        spans = [replace(pairs, spans=SPANS_A_DAY * day) for pairs in spans]  # nights are time, too
        for quantity, share in enumerate(scale):
            worse = sum(own[quantity] for own in drawn.own) * share * (1.0 + excess)
            days[quantity] = days[quantity].add_weighted(worse, sum(twin[quantity] for twin in drawn.twin))
        if any(map(is_worse, spans)) or any(map(is_worse_by_days, days)):
            return day
    return None


def table_of_twins(results: Results) -> str:
    """The twin beside the PI that lived the same hours."""
    lines = [
        "| controller | untold delay s | days | export Wh | twin's | the PI's own | twin is off | at once |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (controller, delay_s), days in results.items():
        if controller == TUNED:
            continue
        own, twin, true = (
            sum(h[0] for day in lives for h in getattr(day, side))
            for lives, side in ((days, "own"), (days, "twin"), (results[TUNED, delay_s], "own"))
        )
        at_once = sum(day.at_once for day in days)
        lines.append(
            f"| {controller} | {delay_s:g} | {len(days)} | {own:,.0f} | {twin:,.0f} | {true:,.0f} | "
            f"{twin / true - 1.0:+.1%} | {at_once} |"
        )
    return "\n".join(lines)


def table_of_months(days: dict[str, list[Spans]], months: int, seed: int) -> str:
    """Rolled back within a month, and after how many days."""
    lines = ["| controller | in the long run | months | rolled back | median day |", "|---|---|---|---|---|"]
    for controller, lives in days.items():
        sums = [
            [sum(h[q] for day in lives for h in getattr(day, side)) for q in (0, 1)]
            for side in ("own", "twin")
        ]
        scale = [twin / own for own, twin in zip(*sums, strict=True)]
        for excess in EXCESSES:
            rng = Random(f"{seed} {controller} {excess}")
            ends = [month(lives, scale, excess, rng) for _ in range(months)]
            found = [day for day in ends if day is not None]
            lines.append(
                f"| {controller} | {excess:+.0%} | {months} | {100.0 * len(found) / months:.2f} % | "
                f"{percentile(found, 0.5):.0f} |"
            )
    return "\n".join(lines)


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=2000)
    options.add_argument("--traces", type=Path, required=True, help="folder of measured days")
    options.add_argument("--days", nargs="*", help="names of the days to use, without suffix; else all")
    options.add_argument(
        "--late-days", type=int, default=6, help="days that are lived with untold delay, too"
    )
    options.add_argument("--cache", type=Path, default=Path("runs/judging"))
    options.add_argument("--jobs", type=int, default=1)
    chosen = options.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    results = _results(chosen)
    print(heading(chosen.seed) + "\n")
    print(table_of_twins(results) + "\n")
    on_time = {n: days for (n, delay_s), days in results.items() if delay_s == 0.0 and n != TUNED}
    print(table_of_months(on_time, chosen.trials, chosen.seed))
    return 0


def _results(chosen: Namespace) -> Results:
    files = traces_in(chosen.traces)
    traces = [file for file in files if not chosen.days or file.stem in chosen.days]
    plan = {
        (controller, delay_s): traces
        if delay_s == 0.0
        else traces[:: max(1, len(traces) // chosen.late_days)]
        for delay_s in DELAYS_S
        for controller in CONTROLLERS
        if delay_s == 0.0 or (controller != "slow PI" and chosen.late_days)
    }
    with ProcessPoolExecutor(chosen.jobs) as pool:
        waiting = {
            key: [pool.submit(kept, path, key[0], chosen.seed, key[1], chosen.cache) for path in paths]
            for key, paths in plan.items()
        }
        done, total = 0, sum(map(len, waiting.values()))
        results: Results = {key: [] for key in waiting}
        for key, futures in waiting.items():
            for future in futures:
                results[key].append(future.result())
                done += 1
                print(f"{done} of {total} days lived", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
