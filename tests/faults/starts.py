"""Faults that a daemon meets when it starts: a wrong device, no network, a bundle that must not be used."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from click.testing import CliRunner

from daemon.commands.engineering.replay import replay
from daemon.errors import StartError
from daemon.system.clock import boottime_s
from plant.radio.channel import no_loss
from plant.radio.coordinator.nvram import Nvram
from plant.simulated_site import SimulatedSite
from tests.campaigns.pairs import silent_log
from tests.faults.injections import bundles
from tests.faults.observation import ACTING
from tests.faults.rig import SLAVES
from tests.faults.rows.policy import BUILTIN, CANDIDATE, TRUSTING
from tests.support import virtual_time
from tests.support.full_daemon import Whole, whole

WITHIN_S = 40.0
"""From the start until it acts without what is wrong, or ends with a sentence."""


@dataclass(frozen=True)
class StartTrial:
    """One start and what became of it."""

    number: str
    fault: str
    wanted: str
    found: str
    took_s: float
    holds: bool

    @property
    def line(self) -> str:
        """As in the table of all rows."""
        verdict = "yes" if self.holds else f"**no**: {self.found}"
        cells = (self.number, self.fault, "1", self.found, f"{self.took_s:.2f}", f"{self.took_s:.2f}")
        return f"| {' | '.join(cells)} | {self.wanted} | - | - | {WITHIN_S:g}, -, - | {verdict} |"


@dataclass(frozen=True)
class StartFault:
    """What is wrong before the start. `wanted`: "refused" (a sentence, nothing on air) or "fallback"."""

    number: str
    fault: str
    wanted: str
    begun: Callable[[SimulatedSite], Awaitable[None]] | None = None
    adapt: Callable[[str, SimulatedSite], str] = lambda text, _: text
    more: str = BUILTIN
    bundle: Callable[[Path], None] | None = None


async def _other_network(far_end: SimulatedSite) -> None:
    _memory(far_end, Nvram.formed(Random(99)))


async def _no_network(far_end: SimulatedSite) -> None:
    _memory(far_end, Nvram())


def _memory(far_end: SimulatedSite, nvram: Nvram) -> None:
    coordinator = far_end.radio.coordinator
    coordinator.nvram = coordinator.stack.nvram = nvram


def _other_unit(text: str, _far_end: SimulatedSite) -> str:
    return text.replace('type = "tcp"', 'type = "tcp"\ndevice_id = 2')


CASES = (
    StartFault("M24", "start with a wrong unit id", "refused", adapt=_other_unit),
    StartFault("Z19", "start with another network on the coordinator", "refused", begun=_other_network),
    StartFault("Z20", "start with a coordinator without a network", "refused", begun=_no_network),
    *(
        StartFault(
            number,
            f"start with a bundle: {name}",
            "fallback",
            more=(TRUSTING if number == "P4" else BUILTIN).replace("builtin", f"./{CANDIDATE}"),
            bundle=make,
        )
        for name, (number, make) in bundles.REFUSED.items()
    ),
)


async def _start(case: StartFault, folder: Path) -> StartTrial:
    """One start; what was on air before it was refused counts."""
    folder.mkdir(parents=True)
    if case.number == "Z19":  # the site knew its network before
        async with whole(folder, period_s=1.0, slaves=SLAVES, radio_port=0) as before:
            await _acting(before)
    if case.bundle is not None:
        case.bundle(folder / CANDIDATE)
    began_s = boottime_s()
    async with whole(
        folder,
        period_s=1.0,
        slaves=SLAVES,
        radio_port=0,
        more=case.more,
        begun=case.begun,
        adapt=case.adapt,
    ) as pair:
        pair.far_end.radio.air.loss = no_loss
        said = await _acting(pair)
        took_s, frames = boottime_s() - began_s, pair.far_end.radio.air.statistics.broadcasts_offered
    holds = said.startswith(case.wanted) and (case.wanted != "refused" or frames == 0)
    return StartTrial(case.number, case.fault, case.wanted, said, took_s, holds)


async def _acting(pair: Whole) -> str:
    """Until a controller acts (who, and why no policy), or the daemon has ended (with which sentence)."""
    began_s = boottime_s()
    while boottime_s() - began_s < WITHIN_S:
        await asyncio.sleep(0.1)
        if pair.task.done():
            error = pair.task.exception()
            kind = "refused" if isinstance(error, StartError) else "ended"
            return f"{kind}: {error}".split(str(pair.folder))[0][:90]
        figures = pair.service.figures
        if figures is not None and figures.decision is not None:
            verdict = figures.decision.verdict
            if verdict.source in ACTING:
                problem = figures.about.policy_problem
                who = "fallback" if problem and figures.decision.policy_action_w is None else "policy"
                return f"{who}: {problem.replace(str(pair.folder), '')}"[:90]
    return "nothing"


async def _replays(folder: Path) -> StartTrial:
    """P12: what was decided is decided again, bit for bit."""
    began_s = boottime_s()
    async with whole(folder, period_s=1.0, slaves=SLAVES, radio_port=0) as pair:
        await asyncio.sleep(300.0)
        await pair.stop()
    told = CliRunner().invoke(replay, [str(folder / "journal"), "--json"])
    outcome = json.loads(told.output)
    found = f"{outcome['ticks']} ticks decided again, {outcome['different']} different"
    holds = outcome["different"] == 0 and outcome["ticks"] >= 200
    return StartTrial(
        "P12", "nondeterminism: a journal replayed", "none", found, boottime_s() - began_s, holds
    )


def starts(folder: Path, names: Iterable[str] = (), *, short: bool = False) -> list[StartTrial]:
    """Every start once, in virtual time. The short form has one of each kind."""
    wanted, done = set(names), list[StartTrial]()
    folder.mkdir(parents=True, exist_ok=True)
    short_form = {"M24", "Z20", "P1", "P3"}
    with silent_log():
        for case in CASES:
            if (not wanted or case.number in wanted) and (not short or case.number in short_form):
                done.append(virtual_time.run(_start(case, folder / f"{len(done)}"), settle_s=0.0))
        if not wanted or "P12" in wanted:
            done.append(virtual_time.run(_replays(folder / "replay"), settle_s=0.0))
    return done
