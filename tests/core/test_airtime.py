"""When a frame goes on air."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.airtime import Bucket, choose_send
from core.decision import Send, Source
from core.site import ZERO, Airtime, Phases
from core.snapshot import Air

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
    assert choose_send(action_w, source, Air(ZERO, (), age_s), 100.0, FULL, AIRTIME)[0] is send


def test_the_deadband_counts_both_ways() -> None:
    assert (
        choose_send(ZERO, Source.POLICY, Air((51.0, 0.0, 0.0), (), 1.0), 100.0, FULL, AIRTIME)[0]
        is Send.CHANGE
    )


def test_what_is_on_air_already_is_not_sent_again() -> None:
    air = Air((900.0, 900.0, 900.0), (), 1.0)
    assert choose_send((930.0, 900.0, 870.0), Source.POLICY, air, 100.0, FULL, AIRTIME)[0] is Send.NOTHING


def test_while_it_is_unknown_what_is_on_air_the_same_is_said_again_unless_it_may_not_move() -> None:
    unsure = Air(NEW, (), 0.0, (Air(ZERO, (), 1.0),))
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
        assert choose_send(None, source, Air(), 100.0, FULL, AIRTIME) == (Send.NOTHING, FULL)


def test_a_bucket_is_full_at_first() -> None:
    assert Bucket() == Bucket(3.0, 0.0)


def test_a_slow_tick_sends_its_keep_alive_on_the_nearest_tick() -> None:
    air = Air(ZERO, (), 1.0)
    assert choose_send(ZERO, Source.POLICY, air, 100.0, FULL, AIRTIME, 4.0)[0] is Send.KEEP_ALIVE
    assert choose_send(ZERO, Source.POLICY, air, 100.0, FULL, AIRTIME, 3.9)[0] is Send.NOTHING


def test_a_frame_costs_a_token_and_tokens_come_back_slowly() -> None:
    air = Air(ZERO, (), 1.0)
    bucket, sent = FULL, []
    for tick in range(12):
        send, bucket = choose_send(NEW, Source.POLICY, air, 100.0 + tick, bucket, AIRTIME)
        sent.append(send is Send.CHANGE)
    # three at once from the burst, one more from what came back meanwhile, then every other second
    assert sent == [True, True, True, True, True, False, True, False, True, False, True, False]


def test_silence_costs_nothing() -> None:
    send, bucket = choose_send(ZERO, Source.POLICY, Air(ZERO, (), 1.0), 102.0, Bucket(1.0, 100.0), AIRTIME)
    assert (send, bucket) == (Send.NOTHING, Bucket(2.0, 102.0))


def test_the_first_safe_frame_may_overdraw_the_bucket() -> None:
    empty = Bucket(0.0, 100.0)
    standing, resting = Air(NEW, (), 1.0), Air(ZERO, (), 1.0)
    assert choose_send(ZERO, Source.REST, standing, 100.0, empty, AIRTIME) == (Send.SAFE, Bucket(-1.0, 100.0))
    assert choose_send(ZERO, Source.REST, resting, 100.0, empty, AIRTIME)[0] is Send.NOTHING
    assert choose_send(ZERO, Source.REST, resting, 100.0, Bucket(0.99, 100.0), AIRTIME)[0] is Send.NOTHING
    assert choose_send(ZERO, Source.REST, resting, 100.0, Bucket(1.0, 100.0), AIRTIME)[0] is Send.SAFE
    in_debt = Bucket(-0.1, 100.0)
    assert choose_send(ZERO, Source.REST, standing, 100.0, in_debt, AIRTIME)[0] is Send.NOTHING


def test_time_running_backwards_gives_no_tokens() -> None:
    _, bucket = choose_send(ZERO, Source.POLICY, Air(ZERO, (), 1.0), 50.0, Bucket(1.0, 100.0), AIRTIME)
    assert bucket.tokens == 1.0


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from(Source), st.booleans()), max_size=60))
def test_never_more_frames_than_the_air_allows(ticks: list[tuple[float, Source, bool]]) -> None:
    bucket, now_s, air, sent_at_s = FULL, 100.0, Air(), list[float]()
    for step_s, source, moves in ticks:
        now_s += step_s
        action_w = NEW if moves and source is not Source.REST else ZERO
        send, bucket = choose_send(action_w, source, air, now_s, bucket, AIRTIME)
        if send is not Send.NOTHING:
            sent_at_s.append(now_s)
            air = Air(action_w, (), 0.0)
    for first, start_s in enumerate(sent_at_s):
        for count, end_s in enumerate(sent_at_s[first:], 1):
            assert count <= AIRTIME.burst_frames + 1.0 + AIRTIME.frames_per_s * (end_s - start_s) + 1e-6
