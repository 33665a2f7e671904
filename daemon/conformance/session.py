"""A conformance test from beginning to end: everybody rests, one slave is asked, everybody rests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from core.site import Site, Slave
from daemon.config.settings import Settings
from daemon.conformance.bench import LOOK_EVERY_S, SlaveBench
from daemon.conformance.checks import RuleCheck, checks, judge
from daemon.conformance.verdicts import CheckVerdict, ConformanceResult
from daemon.runtime.devices import zigbee_settings
from daemon.system.clock import boottime_s
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.temporary_coordinator import temporary_coordinator

FIRST_WORD_TRIES = 4
"""A broadcast is lost now and then."""
FIRST_WORD_S = 2.5

Progress = Callable[[int, int, CheckVerdict], None]
"""Called with the number of checks that are done, their total, and the last verdict."""


async def ask_slave(
    settings: Settings,
    slave: Slave,
    key: bytes,
    counter: FrameCounter,
    watts: int,
    progress: Progress,
    rules: frozenset[str] | None = None,
) -> ConformanceResult:
    """Ask one slave everything.

    Args:
        slave: of this site.
        key: the site key.
        counter: of the site; it goes on strictly increasing.
        watts: the most that the slave is told.
        rules: only the checks of these; None for all.

    Raises:
        ConfigError: no coordinator, or a slave that never answers; the message says what to do.
        Transient: the radio was lost, or safety did not clear a frame.
    """
    site = settings.core_site()
    began_s = boottime_s()
    at_utc = datetime.now(UTC).isoformat(timespec="seconds")
    chosen = [check for check in checks(slave.slot, slave.max_w) if rules is None or check.rule in rules]
    async with temporary_coordinator(zigbee_settings(settings)) as app:
        bench = SlaveBench(app, replace(site, slaves=(slave,)), key, counter, watts, boottime_s)
        try:
            await _first_word(bench, site)
            verdicts = [verdict async for verdict in _ask(bench, chosen, progress)]
        finally:
            await bench.rest_everybody(site)
    return ConformanceResult(
        slot=slave.slot,
        name=slave.name,
        watts=watts,
        at_utc=at_utc,
        seconds=round(boottime_s() - began_s, 1),
        last_counter=counter.last,
        verdicts=tuple(verdicts),
    )


async def _first_word(bench: SlaveBench, site: Site) -> None:
    """Let everybody rest, until the slave was heard: its report carries its address."""
    for _ in range(FIRST_WORD_TRIES):
        await bench.rest_everybody(site)
        waited_until_s = boottime_s() + bench.slot_delay_s[1] + FIRST_WORD_S
        while boottime_s() < waited_until_s:
            if bench.address is not None:
                return
            await asyncio.sleep(LOOK_EVERY_S)
    slave, unsound = bench.slave, [heard.problem for heard in bench.heard if heard.report is None]
    if unsound:
        raise ConfigError(
            f"slot {slave.slot} ({slave.name}) was not heard, but {len(unsound)} reports came that nobody "
            f"can believe: {unsound[-1]}. Has it this site key, and does its tag cover what rule R1 says?"
        )
    raise ConfigError(
        f"slot {slave.slot} ({slave.name}) does not answer a safe release that asks for a report. Has it "
        "joined (`sunkeep zigbee devices`), is it powered, and was it given this slot and this site key?"
    )


async def _ask(
    bench: SlaveBench, chosen: Sequence[RuleCheck], progress: Progress
) -> AsyncIterator[CheckVerdict]:
    for number, check in enumerate(chosen):
        verdict = await judge(check, bench)
        progress(number + 1, len(chosen), verdict)
        yield verdict
