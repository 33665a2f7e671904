"""When a frame goes on air."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.airtime import URGENT_FRAMES, WINDOW_S, Bucket, choose_send
from core.decision import Send, Source
from core.site import ZERO, Airtime, Phases
from core.snapshot import OnAirState

AIRTIME = Airtime()
FULL = Bucket(3.0, 100.0)
NEW: Phases = (100.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("action_w", "source", "age_s", "send"),
    [
        ((50.0, 0.0, 0.0), Source.POLICY, 1.0, Send.NOTHING),
        ((50.1, 0.0, 0.0), Source.POLICY, 1.0, Send.CHANGE),
        ((0.0, 0.0, 51.0), Source.FALLBACK, 1.0, Send.CHANGE),
        (ZERO, Source.FALLBACK, 2.4, Send.NOTHING),
        (ZERO, Source.FALLBACK, 2.5, Send.KEEP_ALIVE),
        (NEW, Source.HOLD, 1.0, Send.NOTHING),
        (NEW, Source.HOLD, 3.0, Send.KEEP_ALIVE),
        (ZERO, Source.REST, 0.1, Send.SAFE),
    ],
)
def test_what_is_sent(action_w: Phases, source: Source, age_s: float, send: Send) -> None:
    assert choose_send(action_w, source, OnAirState(ZERO, (), age_s), 100.0, FULL, AIRTIME)[0] is send


def test_the_deadband_counts_both_ways() -> None:
    assert (
        choose_send(ZERO, Source.POLICY, OnAirState((51.0, 0.0, 0.0), (), 1.0), 100.0, FULL, AIRTIME)[0]
        is Send.CHANGE
    )


def test_what_is_on_air_already_is_not_sent_again() -> None:
    air = OnAirState((900.0, 900.0, 900.0), (), 1.0)
    assert choose_send((930.0, 900.0, 870.0), Source.POLICY, air, 100.0, FULL, AIRTIME)[0] is Send.NOTHING


def test_while_it_is_unknown_what_is_on_air_the_same_is_said_again_unless_it_may_not_move() -> None:
    unsure = OnAirState(NEW, (), 0.0, (OnAirState(ZERO, (), 1.0),))
    sends = [choose_send(NEW, source, unsure, 100.0, FULL, AIRTIME)[0] for source in Source]
    assert dict(zip(Source, sends, strict=True)) == {
        Source.POLICY: Send.KEEP_ALIVE,
        Source.FALLBACK: Send.KEEP_ALIVE,
        Source.HOLD: Send.NOTHING,
        Source.REST: Send.SAFE,
    }
    assert choose_send(NEW, Source.POLICY, unsure, 100.0, Bucket(0.9, 100.0), AIRTIME)[0] is Send.NOTHING


def test_what_may_not_be_sent_is_not() -> None:
    for source in Source:
        assert choose_send(None, source, OnAirState(), 100.0, FULL, AIRTIME) == (Send.NOTHING, FULL)


def test_a_bucket_is_full_at_first() -> None:
    assert Bucket() == Bucket(3.0, 0.0, 0)


def test_a_slow_tick_sends_its_keep_alive_on_the_nearest_tick() -> None:
    air = OnAirState(ZERO, (), 1.0)
    assert choose_send(ZERO, Source.POLICY, air, 100.0, FULL, AIRTIME, 4.0)[0] is Send.KEEP_ALIVE
    assert choose_send(ZERO, Source.POLICY, air, 100.0, FULL, AIRTIME, 3.9)[0] is Send.NOTHING


def test_a_frame_costs_a_token_and_tokens_come_back_slowly() -> None:
    air = OnAirState(ZERO, (), 1.0)
    bucket, sent = FULL, []
    for tick in range(12):
        send, bucket = choose_send(NEW, Source.POLICY, air, 100.0 + tick, bucket, AIRTIME)
        sent.append(send is Send.CHANGE)
    # three at once from the burst, one more from what came back meanwhile, then every other second
    assert sent == [True, True, True, True, True, False, True, False, True, False, True, False]


def test_silence_costs_nothing() -> None:
    send, bucket = choose_send(
        ZERO, Source.POLICY, OnAirState(ZERO, (), 1.0), 102.0, Bucket(1.0, 100.0), AIRTIME
    )
    assert (send, bucket) == (Send.NOTHING, Bucket(2.0, 102.0))


def test_the_first_safe_frames_go_out_tick_by_tick_as_far_as_the_air_holds_them() -> None:
    air, bucket, sent = OnAirState(NEW, (), 1.0), Bucket(1.25, 100.0), []
    for tick in range(14):
        send, bucket = choose_send(ZERO, Source.REST, air, 100.0 + tick, bucket, AIRTIME)
        sent.append(send is Send.SAFE)
        air = OnAirState(ZERO, (), 1.0)
    assert sent == [True] * 4 + [False] * 4 + [True, False] * 3
    assert bucket == Bucket(0.75, 113.0, URGENT_FRAMES)


def test_urgent_frames_may_overdraw_the_bucket_and_others_may_not() -> None:
    def send(tokens: float, safe_frames: int) -> Send:
        return choose_send(
            ZERO, Source.REST, OnAirState(), 100.0, Bucket(tokens, 100.0, safe_frames), AIRTIME
        )[0]

    for safe_frames in range(URGENT_FRAMES):
        assert send(-0.49, safe_frames) is Send.SAFE
        assert send(-0.5, safe_frames) is Send.NOTHING
    assert send(1.0, URGENT_FRAMES) is Send.SAFE
    assert send(0.99, URGENT_FRAMES) is Send.NOTHING
    empty = Bucket(-0.49, 100.0)
    assert choose_send(ZERO, Source.REST, OnAirState(), 100.0, empty, AIRTIME)[1] == Bucket(-1.49, 100.0, 1)
    assert (
        choose_send(NEW, Source.POLICY, OnAirState(), 100.0, Bucket(0.99, 100.0), AIRTIME)[0] is Send.NOTHING
    )


def test_a_rest_that_ends_is_forgotten_and_one_that_waits_is_not() -> None:
    spent = Bucket(0.0, 100.0, 3)
    assert choose_send(NEW, Source.POLICY, OnAirState(), 100.0, spent, AIRTIME)[1] == Bucket(0.0, 100.0, 0)
    assert choose_send(ZERO, Source.REST, OnAirState(), 100.0, Bucket(-1.0, 100.0, 3), AIRTIME) == (
        Send.NOTHING,
        Bucket(-1.0, 100.0, 3),
    )


@pytest.mark.parametrize(
    ("airtime", "least"),
    [
        (Airtime(), -0.5),
        (Airtime(burst_frames=1.0, frames_per_s=0.1), -6.1),
        (Airtime(burst_frames=1.6, frames_per_s=0.25, window_frames=4), -0.15),
        (Airtime(burst_frames=1.1, frames_per_s=0.16, window_frames=2), 0.0),
    ],
)
def test_who_takes_more_of_the_air_anyway_may_overdraw_less(airtime: Airtime, least: float) -> None:
    for tokens, send in ((least + 1e-6, Send.SAFE), (least - 1e-6, Send.NOTHING)):
        assert choose_send(ZERO, Source.REST, OnAirState(), 100.0, Bucket(tokens, 100.0), airtime)[0] is send


def test_time_running_backwards_gives_no_tokens() -> None:
    _, bucket = choose_send(ZERO, Source.POLICY, OnAirState(ZERO, (), 1.0), 50.0, Bucket(1.0, 100.0), AIRTIME)
    assert bucket.tokens == 1.0


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.sampled_from(Source), st.booleans()), max_size=80),
    st.sampled_from([Airtime(), Airtime(burst_frames=2.0, frames_per_s=0.6), Airtime(frames_per_s=0.2)]),
)
def test_never_more_frames_than_the_air_allows(
    ticks: list[tuple[float, Source, bool]], airtime: Airtime
) -> None:
    bucket, now_s, air, sent_at_s = FULL, 100.0, OnAirState(), list[float]()
    for step_s, source, moves in ticks:
        now_s += step_s
        action_w = NEW if moves and source is not Source.REST else ZERO
        send, bucket = choose_send(action_w, source, air, now_s, bucket, airtime)
        if send is not Send.NOTHING:
            sent_at_s.append(now_s)
            air = OnAirState(action_w, (), 0.0)
            assert sum(now_s - at_s <= WINDOW_S for at_s in sent_at_s) <= airtime.window_frames
            if send is not Send.SAFE:  # a debt is paid back first
                for count, start_s in enumerate(reversed(sent_at_s), 1):
                    allowed = airtime.burst_frames + airtime.frames_per_s * (now_s - start_s)
                    assert count <= allowed + 1e-6


def test_toggled_rest_keeps_to_the_air_too() -> None:
    """Rest and control by turns, an hour: each rest begins with urgent frames."""
    for on, off in product(range(1, 5), range(1, 5)):
        bucket, sent_at_s = FULL, list[float]()
        for tick in range(3600):
            source = Source.POLICY if tick % (on + off) < on else Source.REST
            air = OnAirState(NEW if source is Source.REST else ZERO, (), 1.0)
            send, bucket = choose_send(
                ZERO if source is Source.REST else NEW, source, air, 100.0 + tick, bucket, AIRTIME
            )
            sent_at_s += [float(tick)] * (send is not Send.NOTHING)
        assert all(b - a > WINDOW_S for a, b in zip(sent_at_s, sent_at_s[8:], strict=False))
