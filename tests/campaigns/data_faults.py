"""A meter that goes on answering, but wrongly: how long until the daemon does no longer act on it.

Through the whole daemon, on measured days (``--traces``, a folder of .parquet or .csv files; else the shipped
day): what the virtual meter tells is wrong from a random instant on. Two times are taken: until the first
sample was refused or the first tick that held or rested (noticed), and until the first safe frame was decided
(rest). Wrong signs and exchanged phases keep every register plausible; only the answer of the meter to moves
of the slaves tells, and that takes the moves: they are counted. ``at night`` is the wrong sign as it is met
in houses: with the slaves at rest, import reads as export, and whatever is switched on to take it makes it
read as more.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

from core.decision import Source
from daemon.system.clock import boottime_s
from plant.meters.virtual_meter import MeterFaults
from plant.radio.channel import no_loss
from plant.simulated_site import slaves_of
from plant.site.trace import Trace, load_trace
from tests.campaigns.pairs import LagWatch, Pair, running_pair, silent_log
from tests.campaigns.table import heading, parser, percentile, spread, traces_in
from tests.support import virtual_time
from tests.support.full_daemon import NOON_S


@dataclass(frozen=True)
class DataFault:
    """One thing that a meter does wrong: an attribute of its faults, and the value that brings it about."""

    attribute: str
    wrong: object = True

    def begin(self, pair: Pair) -> None:
        """From now on."""
        setattr(pair.whole.far_end.meter.faults, self.attribute, self.wrong)


REGISTERS = {
    "not available in every register": DataFault("absent"),
    "all zero": DataFault("zeroed"),
    "power ten times too large": DataFault("scale", 10.0),
    "power a thousand times too large": DataFault("scale", 1000.0),
    "words exchanged": DataFault("swapped_words"),
    "bytes exchanged": DataFault("swapped_bytes"),
    "two registers missing": DataFault("short_by", 2),
    "an exception for every request": DataFault("exception", 4),
    "one phase of an earlier instant": DataFault("torn"),
    "frozen": DataFault("frozen"),
}
SIGN, PHASES, AT_NIGHT = "sign turned", "phases exchanged", "sign turned, at night from rest"
WIRING = {SIGN: DataFault("reversed_sign"), PHASES: DataFault("swapped_phases")}
FAULTS = REGISTERS | WIRING
LIMIT_S = 10.5
"""Ten seconds and the half tick by which ten reads at one per second may begin late."""
LOOK_S = 0.05
GIVE_UP_S = {**dict.fromkeys(REGISTERS, 20.0), **dict.fromkeys(WIRING, 120.0), AT_NIGHT: 120.0}
RUN_S = (2.0, 15.0)
WAIT_S = 600.0
"""Longest wait for sun to place."""
ACTING = (Source.FALLBACK, Source.POLICY)
SUNNY_W, SUNNY_FOR_S = 1500, 1200
LATEST_S = 14 * 3600
"""Where a site begins: so much surplus in the mean of the next 20 minutes, and not after two o'clock. Days
that have no such second are left out."""


@dataclass(frozen=True)
class FaultTrial:
    """One fault. Seconds until it was noticed and until the slaves were told to rest, None: not in time.

    `moves` were on air with other setpoints than the frame before, until then. `begin_w` is what the slaves
    were told when it began, `power_w` the most that they were told.
    """

    kind: str
    noticed_s: float | None
    rest_s: float | None
    causes: tuple[str, ...] = ()
    moves: int = 0
    begin_w: float = 0.0
    power_w: float = 0.0


def _refused(pair: Pair) -> int:
    assert pair.loop is not None
    return sum(pair.loop.snapshot_source.errors_total.values())


def _moves(pair: Pair, began_s: float) -> int:
    since = [lived.snapshot for lived in pair.lived if lived.snapshot.at_s > began_s]
    return sum(a.on_air.setpoints_w != b.on_air.setpoints_w for a, b in pairwise(since))


async def _works(pair: Pair) -> None:
    """Until setpoints are on air; a stop that an operator has to clear is cleared."""
    assert pair.loop is not None
    async with asyncio.timeout(WAIT_S):
        while not (
            pair.lived and pair.lived[-1].decision.verdict.source in ACTING and pair.power_w() > 300.0
        ):
            await asyncio.sleep(0.1)
            last = pair.lived[-1].decision if pair.lived else None
            if last is not None and last.estimate.fresh and last.verdict.source is Source.REST:
                pair.acknowledge()
                await asyncio.sleep(1.2)
                pair.warm()


async def _rests(pair: Pair) -> None:
    assert pair.loop is not None
    while not (pair.lived and pair.lived[-1].decision.estimate.fresh and pair.power_w() == 0.0):
        await asyncio.sleep(0.1)
    while pair.loop.memory.watch.standing.latched:  # raised until the way to rest is over
        pair.acknowledge()
        await asyncio.sleep(1.2)
    pair.warm()


async def _by_day(pair: Pair, kind: str, rng: Random) -> FaultTrial:
    await _works(pair)
    await asyncio.sleep(rng.uniform(*RUN_S))
    await _works(pair)
    return await _until_rest(pair, kind, FAULTS[kind])


async def _at_night(pair: Pair, kind: str, rng: Random) -> FaultTrial:
    await _rests(pair)
    await asyncio.sleep(rng.uniform(*RUN_S))
    return await _until_rest(pair, kind, WIRING[SIGN])


async def _until_rest(pair: Pair, kind: str, fault: DataFault) -> FaultTrial:
    refused, began_s, begin_w = _refused(pair), boottime_s(), pair.power_w()
    power_w = begin_w
    fault.begin(pair)
    noticed_s = rest_s = None
    causes: tuple[str, ...] = ()
    while boottime_s() - began_s < GIVE_UP_S[kind] and rest_s is None:
        await asyncio.sleep(LOOK_S)
        now_s, power_w = boottime_s() - began_s, max(power_w, pair.power_w())
        verdict = pair.lived[-1].decision.verdict
        acted = pair.lived[-1].snapshot.at_s > began_s and verdict.source in (Source.HOLD, Source.REST)
        if noticed_s is None and (_refused(pair) > refused or acted):
            noticed_s = now_s
        if acted and verdict.source is Source.REST:
            rest_s, causes = now_s, verdict.causes
    moves = _moves(pair, began_s)
    pair.whole.far_end.meter.faults = MeterFaults()
    return FaultTrial(kind, noticed_s, rest_s, causes, moves, begin_w, power_w)


Try = Callable[[Pair, str, Random], Coroutine[None, None, FaultTrial]]


async def _on_sites(
    folder: Path, kinds: Sequence[str], days: Sequence[Trace], rng: Random, sites: int, trial: Try
) -> list[FaultTrial]:
    """These faults, shared by so many sites, which live the days in turn."""
    left, done = list(kinds), list[FaultTrial]()
    rng.shuffle(left)

    async def live(pair: Pair) -> None:
        own_rng, before = Random(rng.random()), "nothing"
        while left:
            kind = left.pop()
            try:
                done.append(await trial(pair, kind, own_rng))
            except TimeoutError:
                left.append(kind)  # for a site that still has sun
                verdict = pair.lived[-1].decision.verdict
                print(
                    f"a site ends: nothing on air for {WAIT_S:.0f} s after {before}: {verdict}",
                    file=sys.stderr,
                )
                return
            before = kind

    async with AsyncExitStack() as stack:
        pairs = []
        for number in range(sites):
            day = days[number % len(days)]
            site = running_pair(
                folder / f"{number}",
                slaves=slaves_of(6),
                trace=day,
                seed=rng.randrange(1 << 30),
                start_s=rng.choice(_sunny(day)) if day.pv_w.any() else NOON_S,
            )
            pairs.append(await stack.enter_async_context(site))
            pairs[-1].whole.far_end.radio.air.loss = no_loss
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        await asyncio.gather(*(live(pair) for pair in pairs))
    if left:
        print(f"{len(left)} faults were not lived: no site had sun any more", file=sys.stderr)
    return done


def _sunny(day: Trace) -> Sequence[int]:
    """Seconds at which a site may begin."""
    surplus_w = np.cumsum(np.concatenate([[0.0], day.pv_w - day.load_w.sum(axis=1)]))
    ahead_w = (surplus_w[SUNNY_FOR_S:] - surplus_w[:-SUNNY_FOR_S]) / SUNNY_FOR_S
    return [int(second) for second in np.flatnonzero(ahead_w[:LATEST_S] >= SUNNY_W)]


async def campaign(
    folder: Path, trials: int, seed: int, *, sites: int, kinds: Sequence[str], days: Sequence[Trace] = ()
) -> list[FaultTrial]:
    """So many faults by day, every kind equally often."""
    chosen = [kinds[number % len(kinds)] for number in range(trials)]
    return await _on_sites(folder, chosen, days or [load_trace()], Random(seed), sites, _by_day)


async def turned(
    folder: Path, trials: int, seed: int, *, sites: int, days: Sequence[Trace] = ()
) -> list[FaultTrial]:
    """So many wrong signs from rest, on days without sun."""
    nights = [Trace("night", day.load_w, np.zeros_like(day.pv_w)) for day in days or [load_trace()]]
    return await _on_sites(folder, [AT_NIGHT] * trials, nights, Random(seed), sites, _at_night)


def table(done: list[FaultTrial]) -> str:
    """What was found."""
    lines = [
        "| fault | noticed | of | p50 s | p90 s | p99 s | p100 s | at rest p50 s | p100 s "
        "| moves p50 | p90 | p100 | on W, noticed p50 | unnoticed p50 | at most W | causes |",
        "|" + "---|" * 16,
    ]
    for kind in (*FAULTS, AT_NIGHT):
        chosen = [trial for trial in done if trial.kind == kind]
        if not chosen:
            continue
        noticed = [trial.noticed_s for trial in chosen if trial.noticed_s is not None]
        rest = [trial.rest_s for trial in chosen if trial.rest_s is not None]
        moves = [trial.moves for trial in chosen if trial.rest_s is not None]
        cells = (
            f"{len(noticed)}",
            f"{len(chosen)}",
            spread(noticed).split(" | ", 1)[1],
            " | ".join(f"{percentile(rest, share):.2f}" for share in (0.5, 1.0)),
            " | ".join(f"{percentile(moves, share):.0f}" for share in (0.5, 0.9, 1.0)),
            " | ".join(
                f"{percentile([t.begin_w for t in chosen if (t.noticed_s is not None) is seen], 0.5):.0f}"
                for seen in (True, False)
            ),
            f"{max(trial.power_w for trial in chosen):.0f}",
            ", ".join(sorted({trial.causes[0] for trial in chosen if trial.causes})),
        )
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    registers = [trial for trial in done if trial.kind in REGISTERS]
    in_time = sum(map(_in_time, registers))
    return "\n".join([*lines, f"\nregisters: {in_time} of {len(registers)} within {LIMIT_S:.1f} s"])


def _in_time(trial: FaultTrial) -> bool:
    return trial.noticed_s is not None and trial.noticed_s <= LIMIT_S


def held(done: list[FaultTrial]) -> bool:
    """Wrong registers are noticed within the limit, each time."""
    return all(_in_time(trial) for trial in done if trial.kind in REGISTERS)


async def _main(
    folder: Path, trials: int, seed: int, sites: int, days: list[Trace]
) -> tuple[list[FaultTrial], float]:
    lag = LagWatch()
    (folder / "day").mkdir()
    (folder / "night").mkdir()
    done = await campaign(folder / "day", trials, seed, sites=sites, kinds=(*FAULTS,), days=days)
    nights = max(1, trials // len(FAULTS))
    done += await turned(folder / "night", nights, seed, sites=max(1, sites // 2), days=days)
    return done, lag.stop()


def main() -> int:
    """The long form."""
    options = parser(__doc__, trials=240)
    options.add_argument("--sites", type=int, default=12)
    options.add_argument("--traces", type=Path, help="folder of measured days; else the shipped day")
    options.add_argument("--real-time", action="store_true", help="on an idle machine: its own delays count")
    chosen = options.parse_args()
    files = traces_in(chosen.traces)
    days = [day for day in map(load_trace, files) if _sunny(day)]
    Random(chosen.seed).shuffle(days)
    with tempfile.TemporaryDirectory() as folder, silent_log():
        done, lag_s = (asyncio.run if chosen.real_time else virtual_time.run)(
            _main(Path(folder), chosen.trials, chosen.seed, chosen.sites, days)
        )
    on_days = f"{min(len(days), chosen.sites)} of {len(files)} measured days" if files else "the shipped day"
    about = f"{on_days}, {chosen.sites} sites, event loop at most {lag_s * 1000:.0f} ms late"
    print(heading(chosen.seed) + f", {about}")
    print(table(done))
    return 0 if held(done) else 1


if __name__ == "__main__":
    sys.exit(main())
