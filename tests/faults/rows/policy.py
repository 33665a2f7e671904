"""Rows P2 to P17 of the fault table that come about in a running daemon: another bundle is configured.

What is wrong with a bundle at the start is in `tests.faults.starts`. P9 is M8 (a meter that tells no number),
P11 the soak, P12 the replay at the end of `starts`; P13 and P16 are in `tests.faults.unrun`.
"""

import asyncio
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from daemon.policy.policy_swap import policy_name
from models.bundle import builtin_bundle, load_bundle
from tests.campaigns.pairs import Pair
from tests.faults.injections import Injection, bundles
from tests.faults.observation import Observation
from tests.faults.row import Row
from tests.support.signed_bundles import TRUSTED

BUILTIN = '\n[policy]\nbundle = "builtin"\n'
TRUSTING = f'{BUILTIN}trusted_keys = ["{TRUSTED[0]}"]\n'
CANDIDATE = "candidate"
SEEN_S = 6.0
"""The configuration is looked at every second, the policy too, and loading waits for the end of a tick."""
SWAP_EVERY_S = 2.0


def _name(pair: Pair, bundle: str) -> None:
    config = pair.whole.folder / "site.toml"
    lines = config.read_text().splitlines()
    lines = [f'bundle = "{bundle}"' if line.startswith("bundle = ") else line for line in lines]
    fresh = config.with_suffix(".new")
    fresh.write_text("\n".join(lines) + "\n")
    fresh.replace(config)


async def _back(pair: Pair, _rng: Random) -> None:
    """The policy that ships, in force again."""
    _name(pair, "builtin")
    figures, wanted = pair.whole.service.figures, builtin_bundle_name()
    assert figures is not None
    async with asyncio.timeout(20.0):
        while figures.about.policy_name != wanted:
            await asyncio.sleep(0.2)


@cache
def builtin_bundle_name() -> str:
    """As the daemon tells it."""
    return policy_name(load_bundle(builtin_bundle()))


def candidate(name: str, make: Callable[[Path], None]) -> Injection:
    """The configuration names this bundle; at the end it names the one that ships again."""

    def begin(pair: Pair, _rng: Random) -> None:
        folder = pair.whole.folder / CANDIDATE
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        _name(pair, f"./{CANDIDATE}")

    return Injection(name, begin, _back)


def swaps() -> Injection:
    """Two good policies in turn, every two seconds."""
    state = {"on": False}

    def turn(pair: Pair, bundle: str) -> None:
        if state["on"]:
            _name(pair, bundle)
            following = "builtin" if bundle == "clone" else "clone"
            pair.whole.far_end.radio.air.later(SWAP_EVERY_S, turn, pair, following)

    def begin(pair: Pair, _rng: Random) -> None:
        state["on"] = True
        turn(pair, "clone")

    async def end(pair: Pair, rng: Random) -> None:
        state["on"] = False
        await _back(pair, rng)

    return Injection("two policies in turn, every 2 s", begin, end)


def _refused(seen: Observation) -> bool:
    return seen.policy_refusals > 0


def _kept(seen: Observation) -> bool:
    """The policy before is in force, and no tick was missed."""
    return seen.policy_name == seen.policy_before and _ticked(seen)


def _ticked(seen: Observation) -> bool:
    return seen.ticks >= int(seen.now_s - seen.began_s) - 1


ROWS = (
    *(
        Row(
            number,
            candidate(f"hot swap to a bundle: {name}", make),
            ("none",),
            _refused,
            SEEN_S,
            kept=_kept,
            more=TRUSTING if number == "P4" else BUILTIN,
        )
        for name, (number, make) in bundles.REFUSED.items()
    ),
    Row(
        "P8",
        candidate("hot swap to a policy that answers NaN in the sun", bundles.nan_in_the_sun),
        ("fallback",),
        lambda seen: "policy_fault" in seen.causes,
        SEEN_S + 1.0,
        lasts_s=12.0,
        recovered_s=3.0,
        needs_policy=True,
        kept=_ticked,
        more=BUILTIN,
    ),
    Row(
        "P10",
        candidate("hot swap to a policy that takes 100 ms and more", bundles.slow),
        ("fallback",),
        lambda seen: "policy_late" in seen.causes,
        SEEN_S + 5.0,
        lasts_s=15.0,
        recovered_s=3.0,
        needs_policy=True,
        more=BUILTIN,
        measures_inference=True,
    ),
    Row(
        "P14",
        candidate("hot swap to a policy that always says the same", bundles.constant),
        ("none", "fallback"),
        lambda seen: "policy_stuck" in seen.causes or seen.event("policy_stuck"),
        660.0,
        lasts_s=700.0,
        more=BUILTIN,
        is_long=True,
    ),
    Row(
        "P17",
        swaps(),
        ("none", "fallback"),
        lambda seen: seen.policy_swaps > 0,
        SEEN_S,
        lasts_s=40.0,
        recovered_s=3.0,
        kept=lambda seen: _ticked(seen) and seen.policy_swaps >= 10,
        more=BUILTIN,
    ),
)
