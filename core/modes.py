"""From mode and time to who should act. Pure: the wall clock is an argument."""

import hmac
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from core.decision import Authority

BLOCK_S = 900
"""Sticky blocks of 15 minutes: long against the seconds of delay, short against the weather."""
DAY_S = 86400.0
DAY_SHIFT_S = 14.0 * 3600.0
"""Local midnights lie from 14 h before those of UTC to 10 h after: shifted so, each is in its own day."""
MINUTES_PER_DAY = 1440


class Mode(Enum):
    """Who should act, by configuration."""

    SHADOW = "shadow"
    AB = "ab"
    ROLLOUT = "rollout"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Window:
    """Hours in which the policy acts: weekdays (0 = Monday) and minutes of the local day.

    A window whose end is not after its start runs over midnight and belongs to the day it starts on.
    """

    weekdays: frozenset[int]
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class ModePlan:
    """The configured mode. `schedule` switches `ab` to fixed hours, whose results are confounded.

    `block_s` is how long the lot's blocks are; a day of 86400 s is the site's own, from midnight to midnight.
    """

    mode: Mode = Mode.SHADOW
    rollout_percent: float = 0.0
    schedule: tuple[Window, ...] = ()
    site_seed: bytes = b""
    block_s: float = BLOCK_S


@dataclass(frozen=True, slots=True)
class WallClock:
    """The wall clock as far as it is known.

    `unix_s` is None until the clock is synchronised; `weekday` and `minute` are local to the site.
    """

    unix_s: float | None
    weekday: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who should act in this block, and how likely the policy was to be chosen."""

    authority: Authority
    propensity: float
    block: int
    confounded: bool = False


def assign(plan: ModePlan, moment: WallClock) -> Assignment:
    """Who should act at this moment.

    Blocks are assigned by HMAC over the site's seed and the block's index: stateless, the same after a
    restart, and open to an audit. Without a synchronised clock no block is known and the fallback acts.
    """
    if plan.mode is Mode.SHADOW:
        return Assignment(Authority.FALLBACK, 0.0, _block(plan, moment))
    if plan.mode is Mode.PRODUCTION:
        return Assignment(Authority.POLICY, 1.0, _block(plan, moment))
    if moment.unix_s is None:
        return Assignment(Authority.FALLBACK, 0.0, -1)
    block = _block(plan, moment)
    if plan.mode is Mode.ROLLOUT:
        share = min(max(0.0, plan.rollout_percent), 100.0) / 100.0
        chosen = _fraction(plan.site_seed, b"rollout", block) < share
        return Assignment(_policy_if(chosen), share, block)
    if plan.schedule:
        inside = any(_inside(window, moment) for window in plan.schedule)
        return Assignment(_policy_if(inside), float(inside), block, confounded=True)
    policy_first = _fraction(plan.site_seed, b"pair", block // 2) < 0.5
    return Assignment(_policy_if(policy_first == (block % 2 == 0)), 0.5, block)


def _policy_if(chosen: bool) -> Authority:
    return Authority.POLICY if chosen else Authority.FALLBACK


def _block(plan: ModePlan, moment: WallClock) -> int:
    if moment.unix_s is None:
        return -1
    if plan.block_s < DAY_S:
        return int(moment.unix_s // plan.block_s)
    midnight_s = moment.unix_s - 60.0 * moment.minute
    return int((midnight_s + DAY_SHIFT_S) // DAY_S)


def _fraction(seed: bytes, purpose: bytes, index: int) -> float:
    """A number in [0, 1) that belongs to the index."""
    message = purpose + index.to_bytes(8, "big", signed=True)
    digest = hmac.new(seed, message, sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def _inside(window: Window, moment: WallClock) -> bool:
    start, end = window.start_minute, window.end_minute
    if start < end:
        return moment.weekday in window.weekdays and start <= moment.minute < end
    yesterday = (moment.weekday - 1) % 7
    evening = moment.weekday in window.weekdays and moment.minute >= start
    return evening or (yesterday in window.weekdays and moment.minute < end)
