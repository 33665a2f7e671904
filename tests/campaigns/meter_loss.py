"""From the last good sample of the meter until every slave rests, at random phases, end to end.

Real pymodbus, zigpy and bellows on loopback sockets and pseudo-terminals, one tick per second, many sites in
one process. The meter fails in one of four ways, at a random instant after a random time of control:

- ``mute``: a frozen connection: it stays open, accepts, and answers nothing;
- ``closed``: the connection is reset and new ones are refused;
- ``absent``: every register is NaN;
- ``late``: every answer comes 5 s late.

Time is virtual unless told otherwise (`tests.support.virtual_time`): ports and pseudo-terminals are real,
the instants are those of the software, not of a busy machine. The way back (30 good samples) is spared by
putting the daemon's memory forward; with ``--wait`` it is waited for. An independent referee reads all
wires; what it finds is printed.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from core.site import Slave
from daemon.commissioning.embedded_site import site_key
from daemon.system.clock import boottime_s
from plant.radio.channel import IndependentLoss, no_loss
from plant.simulated_site import slaves_of
from tests.campaigns.pairs import FAULTS, LagWatch, Pair, large_slaves, running_pair, silent_log, sunny_day
from tests.campaigns.table import heading, parser, percentile, spread
from tests.referee.tap import RefereeProcess, Tap, TapJudgement
from tests.support import virtual_time

LIMIT_S = 5.0
RUN_S = (2.0, 15.0)
"""Time of control before the fault: from the first setpoints to full power."""
LOOK_S = 0.02
WIRING = ("meter_sign", "meter_phases", "loop_diverges")
GIVE_UP_S = 25.0


@dataclass(frozen=True)
class LossTrial:
    """One loss. `lost_s` from the last good sample until every slave rests, None when it never happened."""

    site: int
    kind: str
    power_w: float
    lost_s: float | None


@dataclass(frozen=True)
class LossOutcome:
    """All trials, the referee's judgement, and how late the event loop was at worst."""

    trials: list[LossTrial]
    judgement: TapJudgement
    lag_s: float
    false_stops: tuple[str, ...] = ()

    @property
    def worst_s(self) -> float:
        """The longest; infinite when a slave never rested."""
        return max(
            (float("inf") if t.lost_s is None else t.lost_s for t in self.trials), default=float("inf")
        )


def slaves_of_site(site: int) -> tuple[Slave, ...]:
    """Two thirds of the sites have the longest ramp, the others six usual slaves."""
    return slaves_of(6) if site % 3 == 2 else large_slaves()


async def _reached(pair: Pair, power_w: float, false_stops: list[str]) -> None:
    """Until the slaves draw so much. A stop without a fault is counted, and cleared as an operator would."""
    async with asyncio.timeout(200):
        while pair.power_w() < power_w:
            await asyncio.sleep(0.1)
            verdict = pair.lived[-1].decision.verdict
            if verdict.causes and verdict.causes[0] in WIRING:
                false_stops.append(verdict.causes[0])
                pair.acknowledge()
                await asyncio.sleep(1.2)
                pair.warm()
                await asyncio.sleep(1.2)


async def _start(pair: Pair) -> None:
    """Spare the wait at the start."""
    while not (
        pair.lived and pair.lived[-1].decision.estimate.fresh and pair.whole.far_end.radio.air.extended_pan_id
    ):
        await asyncio.sleep(0.1)
    pair.warm()


async def _trial(
    site: int,
    pair: Pair,
    kind: str,
    rng: Random,
    run_s: tuple[float, float],
    false_stops: list[str],
    *,
    wait: bool,
) -> LossTrial:
    await _reached(pair, 300.0, false_stops)
    await asyncio.sleep(rng.uniform(*run_s))
    while pair.power_w() < 300.0:  # a TTL that ran out, or a stop: not the start of a loss
        await _reached(pair, 300.0, false_stops)
    power_w = pair.power_w()
    await pair.fail(kind)
    good_at_s = pair.good_at_s
    lost_s = None
    while boottime_s() - good_at_s < GIVE_UP_S:
        await asyncio.sleep(LOOK_S)
        if pair.power_w() == 0.0:
            lost_s = boottime_s() - good_at_s
            break
    await pair.mend(kind)
    mended_at_s = boottime_s()
    if not wait:
        async with asyncio.timeout(60):
            while not (
                pair.lived and pair.lived[-1].decision.estimate.fresh and pair.good_at_s > mended_at_s
            ):
                await asyncio.sleep(0.1)
        pair.warm()
    return LossTrial(site, kind, power_w, lost_s)


async def campaign(
    folder: Path,
    trials: int,
    seed: int,
    *,
    sites: int,
    kinds: Sequence[str] = FAULTS,
    loss: float = 0.0,
    wait: bool = False,
    run_s: tuple[float, float] = RUN_S,
) -> LossOutcome:
    """So many losses, shared by so many sites in this event loop."""
    rng = Random(seed)
    done: list[LossTrial] = []
    false_stops: list[str] = []
    left = list(range(trials))
    referee, lag = RefereeProcess(), LagWatch()
    day = sunny_day()

    async def live(site: int, pair: Pair) -> None:
        own_rng = Random(rng.random())
        if not wait:
            await _start(pair)
        while left:
            left.pop()
            done.append(
                await _trial(
                    site, pair, kinds[len(left) % len(kinds)], own_rng, run_s, false_stops, wait=wait
                )
            )
            if len(done) % 100 == 0:
                worst_s = max(trial.lost_s or GIVE_UP_S for trial in done)
                print(f"{len(done)} trials, worst {worst_s:.2f} s, lag {lag.worst_s:.3f} s", file=sys.stderr)

    async with AsyncExitStack() as stack:
        pairs = []
        for site in range(sites):
            slaves, home = slaves_of_site(site), folder / str(site)
            pair = await stack.enter_async_context(
                running_pair(home, slaves=slaves, trace=day, seed=seed + site)
            )
            air = pair.whole.far_end.radio.air
            air.loss = IndependentLoss(Random(seed + site), loss) if loss else no_loss
            tap = Tap(referee, str(site), pair.whole.far_end, boottime_s)
            tap.attach(slaves, site_key(home), period_s=1.0, waits=wait)
            stack.callback(tap.detach)
            pairs.append(pair)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        await asyncio.gather(*(live(site, pair) for site, pair in enumerate(pairs)))
        lag_s = lag.stop()
    return LossOutcome(done, referee.finish(), lag_s, tuple(false_stops))


def table(outcome: LossOutcome, limit_s: float = LIMIT_S) -> str:
    """What was found."""
    lines = ["| fault | trials | p50 s | p90 s | p99 s | p100 s |", "|---|---|---|---|---|---|"]
    for kind in (*FAULTS, "all"):
        chosen = [t.lost_s or GIVE_UP_S for t in outcome.trials if kind in (t.kind, "all")]
        if chosen:
            lines.append(f"| {kind:<8} | {spread(chosen)} |")
    power = [trial.power_w for trial in outcome.trials]
    over = sum((trial.lost_s or GIVE_UP_S) > limit_s for trial in outcome.trials)
    lines.append(
        f"\nover {limit_s:g} s: {over}; never at rest: {sum(t.lost_s is None for t in outcome.trials)}"
    )
    lines.append(
        f"power of a site at the fault: median {percentile(power, 0.5):.0f} W, most {max(power):.0f} W; "
        f"event loop at most {outcome.lag_s * 1000:.0f} ms late"
    )
    summary = outcome.judgement.summary
    lines.append(f"stops by the loop watch without a fault: {dict(Counter(outcome.false_stops)) or 0}")
    lines.append(
        f"referee: {summary['frames']} frames and {summary['answers']} answers of {summary['sites']} sites, "
        f"{len(outcome.judgement.broken)} rules broken {summary['broken'] or ''}"
    )
    return "\n".join(lines)


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=1000)
    options.add_argument("--sites", type=int, default=24)
    options.add_argument("--loss", type=float, default=0.0, help="share of broadcasts that each slave misses")
    options.add_argument("--wait", action="store_true", help="wait for 30 good samples after every stop")
    options.add_argument("--real-time", action="store_true", help="on an idle machine: its own delays count")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, silent_log():
        outcome = (asyncio.run if chosen.real_time else virtual_time.run)(
            campaign(
                Path(folder),
                chosen.trials,
                chosen.seed,
                sites=chosen.sites,
                loss=chosen.loss,
                wait=chosen.wait,
            )
        )
    print(heading(chosen.seed) + f", {chosen.sites} sites, loss {chosen.loss:g}")
    print(table(outcome))
    for line in outcome.judgement.broken[:20]:
        print(line)
    held = outcome.worst_s <= LIMIT_S or chosen.loss > 0.0
    return 0 if held and not outcome.judgement.broken else 1


if __name__ == "__main__":
    sys.exit(main())
