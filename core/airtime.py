"""Whether a frame is sent in this tick: deadband, keep-alive, and a token bucket for the radio's airtime.

Zigbee sustains well under one broadcast per second.
"""

from dataclasses import dataclass

from core.decision import Send, Source
from core.site import Airtime, Phases
from core.snapshot import OnAirState

WINDOW_S = 9.0
"""How long a router remembers a broadcast (Zigbee specification, nwkNetworkBroadcastDeliveryTime)."""
URGENT_FRAMES = 4
"""First frames of a rest, sent tick by tick: at a loss of 10 % a slave misses all of them once in 10,000."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens left, as of `at_s`, and how many safe frames the rest that is under way has had."""

    tokens: float = 3.0
    at_s: float = 0.0
    safe_frames: int = 0


def choose_send(
    action_w: Phases | None,
    source: Source,
    on_air: OnAirState,
    at_s: float,
    bucket: Bucket,
    airtime: Airtime,
    period_s: float = 1.0,
    withheld: tuple[int, ...] = (),
    is_switching: bool = False,
) -> tuple[Send, Bucket]:
    """Decide whether this tick's setpoints are transmitted.

    A change beyond the deadband or silence of `keep_alive_s` wants a frame; the token bucket allows it
    or not. The way to rest goes first: its first frames may overdraw the bucket by what the air holds
    beyond it. A token is spent even if the radio then refuses the frame: it is stale by the next tick and
    never repeated in a loop.

    Args:
        action_w: per-phase totals of the setpoints that would be sent; None when nothing may be sent.
        on_air: what was last transmitted.
        at_s: monotonic instant of the tick.
        period_s: of the ticks; a keep-alive goes out on the tick nearest to its due time.
        withheld: delivery groups that would not be told.
        is_switching: whether a staged slave is switched, which the totals need not show.
    """
    elapsed_s = max(0.0, at_s - bucket.at_s)
    tokens = min(airtime.burst_frames, bucket.tokens + airtime.frames_per_s * elapsed_s)
    send = _wanted(action_w, source, on_air, airtime, period_s, withheld)
    if is_switching and send in (Send.NOTHING, Send.KEEP_ALIVE):
        send = Send.CHANGE
    safe_frames = bucket.safe_frames if source is Source.REST else 0
    is_urgent = send is Send.SAFE and safe_frames < URGENT_FRAMES and tokens > _debt(airtime)
    if send is Send.NOTHING or not (is_urgent or tokens >= 1.0):
        return Send.NOTHING, Bucket(tokens, at_s, safe_frames)
    return send, Bucket(tokens - 1.0, at_s, min(safe_frames + (send is Send.SAFE), URGENT_FRAMES))


def _debt(airtime: Airtime) -> float:
    """With more tokens than this, one vector more fits into any `WINDOW_S`, whatever came before."""
    return min(0.0, airtime.burst_frames + airtime.frames_per_s * WINDOW_S - airtime.window_frames)


def _wanted(
    action_w: Phases | None,
    source: Source,
    on_air: OnAirState,
    airtime: Airtime,
    period_s: float,
    withheld: tuple[int, ...],
) -> Send:
    if action_w is None:
        return Send.NOTHING
    if source is Source.REST:
        return Send.SAFE
    told = [group for number, group in enumerate(on_air.groups) if number not in withheld]
    # the same again, until it is known to be on air; that may move the slaves
    if on_air.doubts or any(group.unconfirmed for group in told):
        return Send.NOTHING if source is Source.HOLD else Send.KEEP_ALIVE
    moved = any(
        abs(new - old) > airtime.deadband_w for new, old in zip(action_w, on_air.action_w, strict=True)
    )
    if moved and source is not Source.HOLD:
        return Send.CHANGE
    silent_s = max((group.age_s for group in told), default=on_air.age_s)
    return Send.KEEP_ALIVE if silent_s >= airtime.keep_alive_s - 0.5 * period_s else Send.NOTHING
