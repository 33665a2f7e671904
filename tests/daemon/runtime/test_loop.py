"""The ends of a life that did not go well: the slaves are told to rest all the same."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from core.authorization import AuthorizedFrame
from core.causes import Cause
from core.decision import Authority, Source, State
from core.modes import Assignment
from core.parts import initial_memory
from core.site import Site
from core.snapshot import SlaveState, Snapshot
from daemon.runtime import loop as life
from daemon.runtime.assembly import assemble
from daemon.runtime.loop import Loop, TickResult, TooManyFailures
from drivers.zigbee.setpoint_frame import SetpointFrame, decode
from plant.simulated_site import slaves_of
from safety.pi import PiFallback
from safety.supervisor import ModeSupervisor
from tests.daemon.runtime.test_transmitter import KEY, NETWORK, FakeRadio, transmitter
from tests.support import virtual_time

SITE = Site(slaves=slaves_of(3))


class Boom(Exception):
    """What nobody foresaw."""


class InstantPace:
    """Ticks as fast as they come."""

    async def wait(self) -> float:
        await asyncio.sleep(0)
        return 0.0


@dataclass
class FakeLife:
    """A loop over a radio, with a surplus on every phase; `breaks` is called in every tick."""

    folder: Path
    radio: FakeRadio = field(default_factory=FakeRadio)
    told: list[TickResult] = field(default_factory=list)
    sense: Callable[[int], None] = lambda _: None
    tell: Callable[[int], None] = lambda _: None
    at_s: float = 1000.0

    async def snapshot(self, tick: int, *_: Any) -> Snapshot:
        self.at_s += 1.0
        self.sense(len(self.told))
        on_air = self.transmitter.on_air(self.at_s)
        slaves = (SlaveState(report_age_s=0.0),) * 3
        return Snapshot(tick, self.at_s, (-3000.0,) * 3, 0.0, slaves, on_air, alarms=_[1], acknowledged=_[2])

    def take(self, lived: TickResult) -> None:
        self.told.append(lived)
        self.tell(len(self.told))

    def begin(self) -> Loop:
        self.transmitter = transmitter(SITE, self.radio, self.folder)
        parts = assemble(SITE, PiFallback(SITE), None).parts
        self.rest_due_at_s = float("inf")
        return Loop(
            parts=parts,
            memory=replace(initial_memory(parts), watch=ModeSupervisor().warm),
            snapshot_source=cast(Any, self),
            transmitter=self.transmitter,
            pace=cast(Any, InstantPace()),
            clock=lambda: self.at_s,
            assignment=lambda: Assignment(Authority.FALLBACK, 0.0, 0),
            policy_latency=lambda: 0.0,
            tell=self.take,
            pat=lambda: None,
        )

    def frames(self) -> list[SetpointFrame]:
        return [decode(payload, KEY, NETWORK) for payload in self.radio.sent]


def after(ticks: int) -> Callable[[int], None]:
    """Works for so many ticks and then never again."""

    def step(number: int) -> None:
        if number >= ticks:
            raise Boom

    return step


def fails_if(it_does: bool) -> None:
    if it_does:
        raise Boom


def fails_in(*ticks: int) -> Callable[[int], None]:
    """Fails in these ticks only."""
    return lambda number: fails_if(number in ticks)


async def lives_to_its_third_failure(living: FakeLife) -> None:
    """The judge finds a reason to roll back in the third tick."""
    loop = living.begin()
    loop.judge = lambda _lived: (Cause.ROLLBACK,) if len(living.told) == 2 else ()
    with pytest.raises(TooManyFailures):
        await loop.run()


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "REPEAT_FAREWELL_S", 0.05)


async def test_a_daemon_that_cannot_see_any_more_says_rest_at_its_end(tmp_path: Path) -> None:
    living = FakeLife(tmp_path, sense=after(4))
    with pytest.raises(TooManyFailures):
        await living.begin().run()
    assert living.told[-1].decision.verdict.state is State.FALLBACK
    assert any(living.told[-1].decision.setpoints_w)
    *_, before, first, second = living.frames()
    assert not before.safe_release
    for frame in (first, second):
        assert (frame.safe_release, set(frame.setpoints_w)) == (True, {0})
    assert second.counter > first.counter
    assert not any(living.transmitter.on_air(living.at_s).setpoints_w)


async def test_a_daemon_that_cannot_tell_any_more_rests_at_once_and_keeps_to_the_air(tmp_path: Path) -> None:
    living = FakeLife(tmp_path, tell=after(5))
    with pytest.raises(TooManyFailures):
        await living.begin().run()
    assert [lived.decision.verdict.source for lived in living.told[-3:]] == [
        Source.FALLBACK,
        Source.REST,
        Source.REST,
    ]
    frames = living.frames()
    assert frames[-1].safe_release
    assert len(frames) <= 8


async def test_what_the_judge_found_is_not_lost_with_a_tick_that_fails(tmp_path: Path) -> None:
    living = FakeLife(tmp_path, tell=fails_in(3, 6, 7))
    await lives_to_its_third_failure(living)
    assert set(living.told[3].snapshot.alarms) == {Cause.ROLLBACK, "tick_error"}
    assert Cause.ROLLBACK in living.told[4].decision.verdict.causes
    assert living.told[4].snapshot.alarms == ()


async def test_an_acknowledgement_waits_for_a_tick_that_hears_it(tmp_path: Path) -> None:
    blind = iter((True, False, True, True))
    living = FakeLife(tmp_path, sense=lambda told: fails_if(told in (3, 6) and next(blind)))
    loop = living.begin()
    living.tell = lambda told: loop.acknowledged.append("meter_sign") if told == 3 else None
    with pytest.raises(TooManyFailures):
        await loop.run()
    assert [lived.snapshot.acknowledged for lived in living.told[2:5]] == [(), ("meter_sign",), ()]


async def test_an_alarm_waits_for_a_tick_that_hears_it(tmp_path: Path) -> None:
    blind = iter((True, False, True, True))
    living = FakeLife(tmp_path, sense=lambda told: fails_if(told in (3, 6) and next(blind)))
    await lives_to_its_third_failure(living)
    assert set(living.told[3].snapshot.alarms) == {Cause.ROLLBACK, "tick_error"}
    assert living.told[4].snapshot.alarms == ()


async def test_an_end_that_goes_wrong_says_rest_too(tmp_path: Path) -> None:
    living = FakeLife(tmp_path)
    loop = living.begin()

    def stop_at_four(ticks: int) -> None:
        if ticks == 4:
            loop.stopping.set()
        if ticks > 4:
            raise Boom

    living.tell = stop_at_four
    with pytest.raises(Boom):
        await loop.run()
    assert living.frames()[-1].safe_release


async def test_who_never_lived_a_tick_has_nothing_to_take_back(tmp_path: Path) -> None:
    living = FakeLife(tmp_path, sense=after(0))
    with pytest.raises(TooManyFailures):
        await living.begin().run()
    assert living.radio.sent == []


@pytest.mark.parametrize("hangs", [True, False])
def test_a_radio_that_hangs_or_fails_does_not_hold_up_the_end(tmp_path: Path, hangs: bool) -> None:
    """In virtual time: the bound speaks of the daemon, not of a busy machine."""
    virtual_time.run(_end_without_radio(tmp_path, hangs))


async def _end_without_radio(tmp_path: Path, hangs: bool) -> None:
    living = FakeLife(tmp_path)
    loop = living.begin()

    async def useless(frame: AuthorizedFrame) -> None:
        if hangs:
            await asyncio.sleep(3600.0)
        raise Boom

    def break_radio(ticks: int) -> None:
        if ticks == 4:
            living.radio.send = useless  # type: ignore[method-assign]
            raise Boom

    living.sense = break_radio
    with pytest.raises(TooManyFailures):
        async with asyncio.timeout(2.0):
            await loop.run()
