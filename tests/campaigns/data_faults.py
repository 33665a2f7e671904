"""A meter that goes on answering, but wrongly: how long until the daemon does no longer act on it.

Through the whole daemon: the virtual meter's registers are wrong from a random instant on. Two times are
taken: until the first sample was refused or the first tick that held or rested (noticed), and until the
first safe frame was decided (rest). Wrong signs and exchanged phases keep every register plausible; only the
answer of the meter to moves of the slaves tells, and that takes the moves. ``turned_from_rest`` is the wrong
sign as it is met in houses: at night, with the slaves at rest, import reads as export, and whatever is
switched on to take it makes it read as more.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from core.decision import Source
from daemon.clock import boottime_s
from plant.channel import no_loss
from plant.far_end import slaves_of
from plant.trace import Trace, load_trace
from tests.campaigns import virtual_time
from tests.campaigns.pairs import LagWatch, Pair, running_pair, silent_log
from tests.campaigns.table import heading, parser, spread

REGISTERS = ("absent", "zeroed", "tenfold", "swapped_words", "swapped_bytes", "frozen")
WIRING = ("reversed_sign", "swapped_phases")
TURNED = "turned_from_rest"
LIMIT_S = 10.5
"""Ten seconds and the half tick by which ten reads at one per second may begin late."""
LOOK_S = 0.05
GIVE_UP_S = {**dict.fromkeys(REGISTERS, 20.0), **dict.fromkeys(WIRING, 120.0)}
RUN_S = (2.0, 15.0)
ACTING = (Source.FALLBACK, Source.POLICY)


@dataclass(frozen=True)
class Trial:
    """One fault. Seconds until it was noticed and until the slaves were told to rest, None: not in time."""

    kind: str
    noticed_s: float | None
    rest_s: float | None
    causes: tuple[str, ...] = ()
    power_w: float = 0.0


def _refused(pair: Pair) -> int:
    assert pair.loop is not None
    return sum(pair.loop.senses.errors_total.values())


async def _works(pair: Pair) -> None:
    """Until setpoints are on air; a stop that an operator has to clear is cleared."""
    assert pair.loop is not None
    async with asyncio.timeout(120):
        while not (
            pair.lived and pair.lived[-1].decision.verdict.source in ACTING and pair.power_w() > 300.0
        ):
            await asyncio.sleep(0.1)
            last = pair.lived[-1].decision if pair.lived else None
            if last is not None and last.sight.fresh and last.verdict.source is Source.REST:
                pair.acknowledge()
                await asyncio.sleep(1.2)
                pair.warm()


async def _trial(pair: Pair, kind: str, rng: Random) -> Trial:
    await _works(pair)
    await asyncio.sleep(rng.uniform(*RUN_S))
    await _works(pair)
    refused, began_s = _refused(pair), boottime_s()
    setattr(pair.whole.far_end.meter.faults, kind, True)
    noticed_s = rest_s = None
    causes: tuple[str, ...] = ()
    while boottime_s() - began_s < GIVE_UP_S[kind] and rest_s is None:
        await asyncio.sleep(LOOK_S)
        now_s = boottime_s() - began_s
        verdict = pair.lived[-1].decision.verdict
        acted = pair.lived[-1].snapshot.at_s > began_s and verdict.source in (Source.HOLD, Source.REST)
        if noticed_s is None and (_refused(pair) > refused or acted):
            noticed_s = now_s
        if acted and verdict.source is Source.REST:
            rest_s, causes = now_s, verdict.causes
    setattr(pair.whole.far_end.meter.faults, kind, False)
    return Trial(kind, noticed_s, rest_s, causes)


async def campaign(
    folder: Path, trials: int, seed: int, *, sites: int, kinds: tuple[str, ...]
) -> list[Trial]:
    """So many faults, every kind equally often, shared by so many sites."""
    rng = Random(seed)
    left = [kinds[number % len(kinds)] for number in range(trials)]
    rng.shuffle(left)
    done: list[Trial] = []

    async def live(pair: Pair) -> None:
        luck = Random(rng.random())
        while left:
            done.append(await _trial(pair, left.pop(), luck))

    async with AsyncExitStack() as stack:
        pairs = []
        for site in range(sites):
            pair = await stack.enter_async_context(
                running_pair(folder / str(site), slaves=slaves_of(6), seed=seed + site)
            )
            pair.whole.far_end.radio.air.loss = no_loss
            pairs.append(pair)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        await asyncio.gather(*(live(pair) for pair in pairs))
    return done


def night() -> Trace:
    """The shipped day without sun."""
    day = load_trace()
    return Trace("night", day.load_w, np.zeros_like(day.pv_w))


async def _turned(pair: Pair, rng: Random) -> Trial:
    """Sign turned while everything rests; until the daemon sees that it pushes the wrong way."""
    faults = pair.whole.far_end.meter.faults
    assert pair.loop is not None
    while not (pair.lived and pair.lived[-1].decision.sight.fresh and pair.power_w() == 0.0):
        await asyncio.sleep(0.1)
    while pair.loop.memory.watch.standing.latched:  # raised until the way to rest is over
        pair.acknowledge()
        await asyncio.sleep(1.2)
    pair.warm()
    await asyncio.sleep(rng.uniform(*RUN_S))
    faults.reversed_sign = True
    began_s, power_w = boottime_s(), 0.0
    trial = Trial(TURNED, None, None)
    while boottime_s() - began_s < GIVE_UP_S["reversed_sign"]:
        await asyncio.sleep(LOOK_S)
        power_w = max(power_w, pair.power_w())
        last = pair.lived[-1]
        if last.snapshot.at_s > began_s and last.decision.verdict.source is Source.REST:
            now_s = boottime_s() - began_s
            trial = Trial(TURNED, now_s, now_s, last.decision.verdict.causes, power_w)
            break
    faults.reversed_sign = False
    return trial


async def turned(folder: Path, trials: int, seed: int, *, sites: int) -> list[Trial]:
    """So many wrong signs from rest."""
    rng, left, done = Random(seed), list(range(trials)), list[Trial]()

    async def live(pair: Pair) -> None:
        while left:
            left.pop()
            done.append(await _turned(pair, Random(rng.random())))

    async with AsyncExitStack() as stack:
        pairs = []
        for site in range(sites):
            home = folder / f"night {site}"
            pairs.append(
                await stack.enter_async_context(
                    running_pair(home, slaves=slaves_of(6), trace=night(), seed=seed + site)
                )
            )
            pairs[-1].whole.far_end.radio.air.loss = no_loss
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        await asyncio.gather(*(live(pair) for pair in pairs))
    return done


def table(done: list[Trial]) -> str:
    """What was found."""
    lines = [
        "| fault | noticed | of | p50 s | p90 s | p99 s | p100 s | at rest p50 s | p100 s | causes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*REGISTERS, *WIRING, TURNED):
        chosen = [trial for trial in done if trial.kind == kind]
        if not chosen:
            continue
        noticed = [trial.noticed_s for trial in chosen if trial.noticed_s is not None]
        rest = sorted(trial.rest_s for trial in chosen if trial.rest_s is not None)
        named = {trial.causes[0] for trial in chosen if trial.causes}
        times = spread(noticed).split(" | ", 1)[1]
        ends = f"{rest[len(rest) // 2]:.2f} | {rest[-1]:.2f}" if rest else "- | -"
        causes = ", ".join(sorted(named))
        lines.append(f"| {kind} | {len(noticed)} | {len(chosen)} | {times} | {ends} | {causes} |")
    powers = [trial.power_w for trial in done if trial.kind == TURNED and trial.causes]
    if powers:
        lines.append(f"\nturned from rest: at most {max(powers):.0f} W were switched on before it was seen")
    return "\n".join(lines)


def held(done: list[Trial]) -> bool:
    """Wrong registers are noticed within the limit, each time."""
    return all(
        trial.noticed_s is not None and trial.noticed_s <= LIMIT_S
        for trial in done
        if trial.kind in REGISTERS
    )


async def _main(folder: Path, trials: int, seed: int, sites: int) -> tuple[list[Trial], float]:
    lag = LagWatch()
    done = await campaign(folder, trials, seed, sites=sites, kinds=(*REGISTERS, *WIRING))
    done += await turned(folder, max(1, trials // 8), seed, sites=max(1, sites // 2))
    return done, lag.stop()


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=160)
    options.add_argument("--sites", type=int, default=12)
    options.add_argument("--real-time", action="store_true", help="on an idle machine: its own delays count")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, silent_log():
        done, lag_s = (asyncio.run if chosen.real_time else virtual_time.run)(
            _main(Path(folder), chosen.trials, chosen.seed, chosen.sites)
        )
    print(heading(chosen.seed) + f", {chosen.sites} sites, event loop at most {lag_s * 1000:.0f} ms late")
    print(table(done))
    return 0 if held(done) else 1


if __name__ == "__main__":
    sys.exit(main())
