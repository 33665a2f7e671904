"""The air: who hears a frame, how many broadcasts fit, how chance behaves."""

from itertools import pairwise
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.airtime import Bucket, choose_send
from core.decision import Send, Source
from core.site import Airtime
from core.snapshot import OnAirState as OnAir
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.channel import BurstLoss, CommandDelay, IndependentLoss, unicast_delay
from plant.radio.medium import COORDINATOR, EVERYBODY, RECEIVER_ON, ROUTERS, ApsFrame, Delivery, RadioMedium

HOUR_S = 3600


class RadioListener:
    """A node that only listens."""

    def __init__(self, address: int) -> None:
        self.address, self.ieee = address, address.to_bytes(8, "little")
        self.online = self.router = self.receiver_on = True
        self.groups: set[int] = set()
        self.network_key: bytes | None = None
        self.join_key, self.permit_until_s = b"", 0.0
        self.heard: list[ApsFrame] = []

    def receive(self, frame: ApsFrame) -> None:
        self.heard.append(frame)

    def announce(self) -> None: ...


def frame(destination: int, delivery: Delivery = Delivery.BROADCAST, group: int = 0) -> ApsFrame:
    return ApsFrame(0x0104, 0xFC57, 1, 1, b"x", COORDINATOR, destination, delivery, group)


def air_of(*nodes: RadioListener, loss: float = 0.0, clock_s: float = 0.0) -> RadioMedium:
    air = RadioMedium(loss=IndependentLoss(Random(3), loss), clock=lambda: clock_s)
    for node in nodes:
        air.add(node)
    return air


@pytest.mark.parametrize("model", [LimiterModel.EMBER, LimiterModel.SPEC])
def test_one_broadcast_a_second_is_too_many(model: LimiterModel) -> None:
    limiter = BroadcastLimiter(size=9 if model is LimiterModel.SPEC else 15, model=model)
    offered = 3600 if model is LimiterModel.EMBER else 7200
    accepted = sum(limiter.allow(i * HOUR_S / offered) for i in range(offered))
    assert limiter.refused == offered - accepted > 0
    rate = accepted / HOUR_S
    assert rate == pytest.approx(0.75 if model is LimiterModel.EMBER else 1.0, rel=0.02)


def test_a_burst_is_bounded_and_capacity_comes_back() -> None:
    limiter = BroadcastLimiter()
    assert [limiter.allow(0.0) for _ in range(10)] == [True] * 9 + [False]
    assert [limiter.allow(5.0) for _ in range(7)] == [True] * 6 + [False]
    assert not limiter.allow(19.9)
    assert limiter.allow(20.0)


@given(st.floats(0.0, 30.0), st.integers(0, 10**6))
@settings(max_examples=20)
def test_the_cadence_of_the_product_is_never_refused(start_s: float, seed: int) -> None:
    """An hour of seconds in which the setpoints jump, rest or stay, with the product's own rule."""
    rng = Random(seed)
    limiter, bucket, airtime = BroadcastLimiter(), Bucket(at_s=start_s), Airtime()
    action_w, sent_w, sent_at_s, sent = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), start_s, 0
    source = Source.POLICY
    for second in range(HOUR_S):
        at_s = start_s + second
        if rng.random() < 0.7:
            action_w = (rng.choice((0.0, 500.0, 2000.0)), 0.0, 0.0)
        if rng.random() < 0.1:
            source = rng.choice((Source.POLICY, Source.POLICY, Source.REST))
        if source is Source.REST:
            action_w = (0.0, 0.0, 0.0)
        send, bucket = choose_send(
            action_w, source, OnAir(sent_w, (), at_s - sent_at_s), at_s, bucket, airtime
        )
        if send is not Send.NOTHING:
            assert limiter.allow(at_s)
            sent_w, sent_at_s, sent = action_w, at_s, sent + 1
    assert sent > HOUR_S / 4
    assert limiter.refused == 0


@pytest.mark.parametrize("phase_s", [0.0, 1.3, 2.5, 4.99])
def test_emptying_the_bucket_again_and_again_is_never_refused(phase_s: float) -> None:
    limiter, tokens, last_s = BroadcastLimiter(), 3.0, 0.0
    for tick in range(10 * HOUR_S):
        at_s = phase_s + tick / 10
        tokens, last_s = min(3.0, tokens + 0.5 * (at_s - last_s)), at_s
        quiet = int(at_s) % 60 < 6  # refill to a full burst
        while tokens >= 1.0 and not quiet:
            assert limiter.allow(at_s)
            tokens -= 1.0


def test_broadcasts_go_to_whom_they_are_for() -> None:
    router, sleeper, off, member = (RadioListener(address) for address in (1, 2, 3, 4))
    sleeper.router = sleeper.receiver_on = False
    off.online = False
    member.groups.add(7)
    air = air_of(router, sleeper, off, member)
    counts = {}
    for destination in (ROUTERS, RECEIVER_ON, EVERYBODY):
        air.broadcast(frame(destination))
        counts[destination] = [len(node.heard) for node in (router, sleeper, off, member)]
    air.broadcast(frame(RECEIVER_ON, Delivery.GROUP, 7))
    assert counts[ROUTERS] == [1, 0, 0, 1]
    assert counts[RECEIVER_ON] == [2, 0, 0, 2]
    assert counts[EVERYBODY] == [3, 1, 0, 3]
    assert [len(node.heard) for node in (router, sleeper, off, member)] == [3, 1, 0, 4]


def test_taps_see_what_is_transmitted_and_nothing_refused() -> None:
    air, seen = air_of(RadioListener(1), clock_s=12.5), []
    air.taps.append(lambda frame, at_s: seen.append((frame.destination, at_s)))
    accepted = [air.broadcast(frame(RECEIVER_ON)) for _ in range(12)]
    assert air.unicast(frame(1, Delivery.UNICAST)) == 0.0
    assert air.unicast(frame(2, Delivery.UNICAST)) is None
    assert seen == [(RECEIVER_ON, 12.5)] * accepted.count(True) + [(1, 12.5), (2, 12.5)]
    statistics = air.statistics
    assert statistics.broadcasts_refused == accepted.count(False) == 3
    assert statistics.broadcasts_heard == 9
    assert (statistics.unicasts_offered, statistics.unicasts_heard) == (2, 1)


def test_an_address_is_taken_once() -> None:
    air, node = air_of(RadioListener(1)), RadioListener(1)
    with pytest.raises(ValueError, match="0x0001 is taken"):
        air.add(node)
    air.remove(node)
    air.add(node)


def test_loss_strikes_broadcasts_and_spares_repeated_unicasts() -> None:
    node = RadioListener(1)
    air = air_of(node, loss=0.3)
    air.limiter = BroadcastLimiter(model=LimiterModel.OFF)
    for _ in range(2000):
        air.broadcast(frame(RECEIVER_ON))
    assert air.statistics.broadcasts_lost == pytest.approx(600, rel=0.15)
    assert air.statistics.broadcasts_heard + air.statistics.broadcasts_lost == 2000
    heard = sum(air.unicast(frame(1, Delivery.UNICAST)) is not None for _ in range(2000))
    assert heard == pytest.approx(2000 * (1 - 0.3**4), rel=0.01)


def test_bursts_are_rare_short_and_total() -> None:
    loss = BurstLoss(Random(5), good_loss=0.0)
    lost = [loss(1, at_s) for at_s in range(400_000)]
    starts = sum(now and not before for before, now in pairwise(lost))
    assert fmean(lost) == pytest.approx(3.0 / 1203.0, rel=0.25)
    assert 400_000 / starts == pytest.approx(1200.0, rel=0.3)


def test_commands_take_one_to_five_seconds() -> None:
    delay = CommandDelay(Random(5))
    frames = [delay(6) for _ in range(4000)]
    assert {d for frame_s in frames for d in frame_s} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert fmean(frame_s[0] for frame_s in frames) == pytest.approx(1.0 + 0.6 + 0.3 + 0.04, abs=0.05)
    assert all(max(frame_s) - min(frame_s) <= 2.0 for frame_s in frames)
    assert 0.0 < max(unicast_delay(Random(1))(100)) < 0.05
