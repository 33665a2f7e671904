"""When a frame goes on air. Zigbee sustains well under one broadcast per second; this is the allowance."""

from dataclasses import dataclass

from core.decision import Send, Source
from core.site import Airtime, Phases
from core.snapshot import Air


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens left, as of `at_s`. Safe frames may overdraw it once."""

    tokens: float = 3.0
    at_s: float = 0.0


def choose_send(
    action_w: Phases | None,
    source: Source,
    on_air: Air,
    at_s: float,
    bucket: Bucket,
    airtime: Airtime,
    period_s: float = 1.0,
) -> tuple[Send, Bucket]:
    """Decide whether this tick's setpoints are transmitted.

    A change beyond the deadband or silence of `keep_alive_s` wants a frame; the token bucket allows it
    or not. The way to rest goes first and may overdraw the bucket by one frame. A token is spent even
    if the radio then refuses the frame: it is stale by the next tick and never repeated in a loop.

    Args:
        action_w: per-phase totals of the setpoints that would be sent; None when nothing may be sent.
        on_air: what was last transmitted.
        at_s: monotonic instant of the tick.
        period_s: of the ticks; a keep-alive goes out on the tick nearest to its due time.
    """
    elapsed_s = max(0.0, at_s - bucket.at_s)
    tokens = min(airtime.burst_frames, bucket.tokens + airtime.frames_per_s * elapsed_s)
    send = _wanted(action_w, source, on_air, airtime, period_s)
    if send is Send.SAFE:
        first = any(on_air.action_w)
        send = Send.SAFE if tokens >= (0.0 if first else 1.0) else Send.NOTHING
    elif tokens < 1.0:
        send = Send.NOTHING
    spent = 0.0 if send is Send.NOTHING else 1.0
    return send, Bucket(tokens - spent, at_s)


def _wanted(action_w: Phases | None, source: Source, on_air: Air, airtime: Airtime, period_s: float) -> Send:
    if action_w is None:
        return Send.NOTHING
    if source is Source.REST:
        return Send.SAFE
    if on_air.doubts:  # the same again, until it is known to be on air; that may move the slaves
        return Send.NOTHING if source is Source.HOLD else Send.KEEP_ALIVE
    moved = any(
        abs(new - old) > airtime.deadband_w for new, old in zip(action_w, on_air.action_w, strict=True)
    )
    if moved and source is not Source.HOLD:
        return Send.CHANGE
    return Send.KEEP_ALIVE if on_air.age_s >= airtime.keep_alive_s - 0.5 * period_s else Send.NOTHING
