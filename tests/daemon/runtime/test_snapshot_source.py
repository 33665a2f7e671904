"""How old a sample is, and when what is on air may be held no longer."""

import asyncio
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.site import Site, Slave
from core.snapshot import METER_LOST_S, OnAirState, Snapshot
from daemon.runtime.snapshot_source import BEYOND_S, SnapshotSource
from drivers.errors import Transient
from drivers.meters.plausibility import Plausibility
from drivers.ports import Reading, SlaveStatus


class Script:
    """A meter that answers, refuses or stays silent, on a clock that only it moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.takes_s = 0.01
        self.answers = True
        self.reads = 0

    async def read(self) -> Reading:
        self.reads += 1
        self.now_s += self.takes_s
        if not self.answers:
            raise Transient("nobody there", "disconnected")
        power_w = -500.0 - self.reads
        return Reading((power_w,) * 3, 3 * power_w, (230.0,) * 3, (2.5,) * 3, 50.0, (self.reads,), None)


def snapshot_source(script: Script, period_s: float = 1.0) -> SnapshotSource:
    """Only the meter matters here."""
    quality = SimpleNamespace(extra_delay_s=lambda _: 0.0, link_loss_rate=lambda _: 0.0)
    radio = SimpleNamespace(up=True, reports=dict, quality=quality, causes=tuple)
    transmitter = SimpleNamespace(on_air=lambda _: OnAirState(), reports=dict)
    site = Site((Slave(0, "boiler", 0, 3000),), period_s=period_s)
    return SnapshotSource(
        site,
        cast(Any, script),
        cast(Any, radio),
        cast(Any, transmitter),
        Plausibility(),
        lambda: script.now_s,
    )


async def look(sensed: SnapshotSource) -> Snapshot:
    return await sensed.snapshot(0, 0.0, (), (), 0.0)


async def test_a_sample_is_as_old_as_its_request() -> None:
    script = Script()
    script.takes_s = 0.4
    assert (await look(snapshot_source(script))).meter_age_s == pytest.approx(0.4)


async def test_an_old_sample_is_not_fresh_however_close_two_ticks_are() -> None:
    script = Script()
    sensed = snapshot_source(script)
    await look(sensed)
    script.answers = False
    script.now_s += 0.5
    assert (await look(sensed)).meter_age_s == 1.0


async def test_after_a_missed_sample_the_end_of_holding_is_known_and_seen_once() -> None:
    script = Script()
    sensed = snapshot_source(script)
    assert sensed.rest_due_at_s == inf
    await look(sensed)
    assert sensed.rest_due_at_s == inf
    script.answers = False
    script.now_s = 1001.0
    await look(sensed)
    due_s = sensed.rest_due_at_s
    assert METER_LOST_S < due_s - 1000.0 < METER_LOST_S + 0.02
    script.now_s = due_s
    reads = script.reads
    assert (await look(sensed)).meter_age_s > METER_LOST_S
    assert script.reads == reads, "at the end of holding there is no time to ask once more"
    assert sensed.rest_due_at_s == inf
    script.now_s += 0.5
    script.answers = True
    assert (await look(sensed)).meter_age_s < 1.0


async def test_the_end_of_holding_is_seen_once_even_when_the_clock_is_a_hair_early() -> None:
    script = Script()
    script.takes_s = 0.0
    sensed = snapshot_source(script)
    await look(sensed)
    script.answers = False
    script.now_s = 1001.0
    await look(sensed)
    script.now_s = sensed.rest_due_at_s - 1e-9
    assert (await look(sensed)).meter_age_s > METER_LOST_S
    assert sensed.rest_due_at_s == inf


async def test_a_read_is_cut_where_holding_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    limits_s: list[float] = []
    timeout = asyncio.timeout

    def noted(limit_s: float) -> asyncio.Timeout:
        limits_s.append(limit_s)
        return timeout(limit_s)

    monkeypatch.setattr(asyncio, "timeout", noted)
    script = Script()
    sensed = snapshot_source(script)
    await look(sensed)
    script.answers = False
    for at_s in (1001.0, 1002.0, 1002.51, 1003.0):
        script.now_s = at_s
        await look(sensed)
    assert limits_s == pytest.approx([0.8, 0.8, METER_LOST_S + BEYOND_S - 2.0, 0.8])


async def test_a_slow_site_does_not_rest_between_two_good_samples() -> None:
    script = Script()
    sensed = snapshot_source(script, period_s=10.0)
    await look(sensed)
    assert sensed.rest_due_at_s == inf


async def test_who_was_silent_before_the_radio_was_lost_gets_no_first_chance_after_it() -> None:
    """Or a coordinator that is built anew because nobody answers would have everybody there again."""
    script, heard_at_s = Script(), {0: 1000.0, 1: 1000.0}
    sensed = snapshot_source(script)
    sensed.site = Site((Slave(0, "boiler", 0, 3000), Slave(1, "charger", 1, 3000)))
    radio = cast(Any, sensed.radio)
    transmitter = cast(Any, sensed.transmitter)
    transmitter.reports = lambda: {
        slot: SlaveStatus(slot, 1, 0, 0.0, False, at_s, told_w=0) for slot, at_s in heard_at_s.items()
    }

    async def there(at_s: float) -> list[bool]:
        script.now_s = at_s
        return [state.available for state in (await look(sensed)).slaves]

    assert await there(1000.0) == [True, True]
    heard_at_s[0] = 1030.0
    assert await there(1030.0) == [True, False]
    radio.up = False
    assert await there(1050.0) == [True, False], "who cannot be heard is not held for dead"
    radio.up = True
    assert await there(1051.0) == [True, False]
    heard_at_s[1] = 1052.0
    assert await there(1053.0) == [True, True]
    assert await there(1080.0) == [False, False]
