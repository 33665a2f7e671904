"""A storm: which fault begins when, and for how long. The seed alone decides."""

import asyncio
from dataclasses import dataclass
from math import exp, log
from random import Random

import bellows.types as t

from daemon.system.clock import boottime_s
from plant.radio.channel import IndependentLoss
from tests.campaigns.pairs import Pair
from tests.faults.injections import Injection, air, coordinator, do, meter

GAP_S = 150.0
"""Mean time between two faults of one lane."""
LASTING_S = (0.5, 60.0)
"""Shortest and longest, evenly spread by magnitude."""
RADIO_LASTING_S = 24.0
"""Longest of the radio's: a daemon without its radio for 40 s ends, for a new one to be started, and a
coordinator that is back needs up to 15 s."""
CALM_EVERY_S, CALM_S = 1800.0, 300.0
"""The last five minutes of every half hour have no fault: what then stays open stays open for good."""

METER = (
    meter.faults("no answer", mute=True),
    meter.faults("answers lost", right=0, drop=1),
    meter.faults("answers 0.2 s late", right=0.0, late_s=0.2),
    meter.faults("answers 5 s late", right=0.0, late_s=5.0),
    meter.closed(),
    meter.faults("device failure", right=None, exception=4),
    meter.faults("device busy", right=None, exception=6),
    meter.faults("not available", absent=True),
    meter.faults("infinite", right=None, told=float("inf")),
    meter.faults("zero", zeroed=True),
    meter.faults("frozen", frozen=True),
    meter.faults("tenfold", right=1.0, scale=10.0),
    meter.faults("words exchanged", swapped_words=True),
    meter.faults("two registers missing", right=0, short_by=2),
    meter.faults("each answer one request late", one_behind=True),
)
RADIO = (
    coordinator.crash(),
    coordinator.crash(t.NcpResetCode.RESET_ASSERT),
    coordinator.link_failed(),
    coordinator.silent(),
    coordinator.silent(unplugged=True),
    coordinator.hung_commands(),
    coordinator.unplug(),
    coordinator.table_full(),
    coordinator.table_full(2),
    coordinator.sending_refused(t.sl_Status.ZIGBEE_MAX_MESSAGE_LIMIT_REACHED),
    air.changed("accepted and never transmitted", right=False, silent=True),
    air.changed("every frame twice", right=1, copies=2),
)
SLAVES = (
    air.lossy("every slave misses 30 %", lambda rng: IndependentLoss(rng, 0.3)),
    air.bursts(),
    air.deaf_slave(1),
    air.reordered(),
    air.replayed(),
    air.slave_offline(2),
    air.slave_restarts(3),
    air.slave("stuck", "stuck_w", lambda pair, slot: pair.whole.reference_w()[slot], None),
    air.slave("three times too strong", "scale", lambda *_: 3.0, 1.0),
    air.slave("its time to live ends early", "ttl_share", lambda *_: 0.1, 1.0),
)
LANES = {"meter": METER, "radio": RADIO, "slaves": SLAVES}
"""One after the other within a lane, side by side between lanes."""


@dataclass(frozen=True)
class Spell:
    """One fault of the plan."""

    at_s: float
    lasts_s: float
    injection: Injection


def plan(name: str, rng: Random, seconds: float) -> list[Spell]:
    """What happens in the lane of this name. No spell reaches into a calm."""
    lane = LANES[name]
    at_s, spells, bag = 0.0, list[Spell](), list[Injection]()
    shortest, longest = map(log, LASTING_S if name != "radio" else (LASTING_S[0], RADIO_LASTING_S))
    while True:
        at_s += rng.expovariate(1.0 / GAP_S)
        lasts_s = exp(rng.uniform(shortest, longest))
        calm_s = CALM_EVERY_S - CALM_S
        if at_s % CALM_EVERY_S + lasts_s > calm_s:
            at_s = (at_s // CALM_EVERY_S + 1.0) * CALM_EVERY_S
            continue
        if at_s + lasts_s > seconds - CALM_S:
            return spells
        if not bag:  # every fault equally often
            bag = rng.sample(lane, len(lane))
        spells.append(Spell(at_s, lasts_s, bag.pop()))
        at_s += lasts_s


async def blow(pair: Pair, spells: list[Spell], rng: Random) -> None:
    """Live the plan of one lane, from now on."""
    began_s = boottime_s()
    for spell in spells:
        await asyncio.sleep(max(0.0, began_s + spell.at_s - boottime_s()))
        await do(spell.injection.begin, pair, rng)
        await asyncio.sleep(spell.lasts_s)
        await do(spell.injection.end, pair, rng)
