"""A drill of the radio: nothing but 0 W goes on air, counters go on, the silent are named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from core.airtime import WINDOW_S
from core.decision import State
from core.site import Airtime
from core.tick import decide
from daemon.commissioning import radio_test
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.commissioning.radio_test import run_radio_test
from daemon.commissioning.radio_test_record import DrillResult, keep, last_drill
from daemon.config.settings import Settings, load_settings
from daemon.runtime.state_directory import COUNTER_FILE
from drivers.errors import Transient
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.link_quality import GRACE_S
from plant.radio.medium import ApsFrame
from plant.radio.network import RadioSite
from plant.radio.slave_firmware import CLUSTER, HEAD, SAFE_RELEASE
from plant.simulated_site import slaves_of
from tests.support import zigbee_network
from tests.support.zigbee_network import serve

ZCL_HEADER_BYTES = 5
SECONDS = 6.5
"""Two requests to report: one at once, one after five seconds."""


class FrameLog:
    """Every setpoint frame that left the coordinator, read off the air."""

    def __init__(self, site: RadioSite) -> None:
        self.frames: list[tuple[int, int, bytes]] = []
        self.at_s: list[float] = []
        site.air.taps.append(self._heard)

    def _heard(self, frame: ApsFrame, at_s: float) -> None:
        if frame.cluster == CLUSTER:
            payload = frame.payload[ZCL_HEADER_BYTES:]
            flags, counter, _, _, points = HEAD.unpack_from(payload)
            self.frames.append((flags, counter, payload[HEAD.size : HEAD.size + 2 * points]))
            self.at_s.append(at_s)

    def assert_only_rest(self) -> None:
        assert self.frames
        for flags, _, setpoints in self.frames:
            assert flags & SAFE_RELEASE
            assert not any(setpoints)

    @property
    def counters(self) -> list[int]:
        return [counter for _, counter, _ in self.frames]


@asynccontextmanager
async def commissioned(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> AsyncIterator[tuple[Settings, RadioSite, bytes]]:
    """Three slaves in the network, and the configuration that goes with them."""
    key = site_key(folder)
    monkeypatch.setattr(zigbee_network, "KEY", key)
    site = await serve(Random(1), **more)
    try:
        config = write_site(folder, slaves_of(3), 1502, site.path)
        yield load_settings(config), site, key
    finally:
        await site.stop()


async def rehearsed(settings: Settings, key: bytes) -> DrillResult:
    counter = FrameCounter.open(settings.state.directory / COUNTER_FILE)
    over_s: list[float] = []
    result = await run_radio_test(settings, key, counter, SECONDS, over_s.append)
    assert over_s == sorted(over_s)
    assert over_s[-1] <= SECONDS + 1.0
    return result


async def test_only_rest_goes_on_air_and_the_counter_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with commissioned(tmp_path, monkeypatch) as (settings, site, key):
        on_air = FrameLog(site)
        first = await rehearsed(settings, key)
        second = await rehearsed(settings, key)
        on_air.assert_only_rest()
        assert on_air.counters == sorted(set(on_air.counters))
        assert first.last_counter < second.first_counter
        assert (on_air.counters[0], on_air.counters[-1]) == (first.first_counter, second.last_counter)
        for result in (first, second):
            assert not result.silent
            assert result.frames_refused == 0
            for slot in result.slots:
                assert slot.asked == slot.answered == 3
                assert slot.delay_p50_s is not None
                assert slot.delay_max_s is not None
                assert 0.0 <= slot.delay_p50_s <= slot.delay_max_s < 0.5
                assert slot.address == 0x1000 + slot.slot
        assert first.frames + second.frames == len(on_air.frames)
        # the air's limit, also over two drills in a row
        window_frames = Airtime().window_frames
        assert all(
            late - early > WINDOW_S
            for early, late in zip(on_air.at_s, on_air.at_s[window_frames:], strict=False)
        )
        # and the daemon's next frame is obeyed
        assert FrameCounter.open(tmp_path / COUNTER_FILE).take() > second.last_counter
        assert {firmware.counter for firmware in site.firmwares.values()} == {second.last_counter}


async def test_slaves_that_never_answer_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is without power, one has another site key. The wait for their answers ends."""
    async with commissioned(tmp_path, monkeypatch) as (settings, site, key):
        on_air = FrameLog(site)
        site.nodes[1].online = False
        site.nodes[2].firmware._key = bytes(32)
        began_s = site.air.clock()
        result = await rehearsed(settings, key)
        assert site.air.clock() - began_s < SECONDS + GRACE_S + 4.0
        assert [slot.slot for slot in result.silent] == [1, 2]
        for silent in result.slots[1:]:
            assert (silent.asked, silent.answered, silent.delay_p50_s, silent.address) == (3, 0, None, None)
        assert result.slots[0].answered == 3
        on_air.assert_only_rest()
        keep(result, tmp_path)
        assert last_drill(tmp_path) == result


async def test_a_slave_that_misses_every_second_frame_has_missed_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = 0

    def loss(address: int, at_s: float) -> bool:
        nonlocal heard
        heard += address == 0x1001
        return address == 0x1001 and heard == 1  # the first frame, which asks

    async with commissioned(tmp_path, monkeypatch, loss=loss) as (settings, _, key):
        result = await rehearsed(settings, key)
        # what it missed is answered by the report that its own change of state brings
        assert result.slots[0].answered == result.slots[0].asked == 3
        assert 2 <= result.slots[1].answered <= 3
        assert not result.silent


async def test_a_decision_that_does_not_rest_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot happen with the authority of rest; if it did, the drill would end before the gate."""

    async with commissioned(tmp_path, monkeypatch) as (settings, site, key):
        on_air = FrameLog(site)
        for state, setpoints_w in ((State.FALLBACK, (0, 0, 0)), (State.SAFE_STOP, (0, 1, 0))):

            def planted(*arguments: Any, state: State = state, w: tuple[int, ...] = setpoints_w) -> Any:
                decision, memory = decide(*arguments)
                verdict = replace(decision.verdict, state=state)
                return replace(decision, verdict=verdict, setpoints_w=w), memory

            monkeypatch.setattr(radio_test, "decide", planted)
            with pytest.raises(Transient, match="not to rest"):
                await rehearsed(settings, key)
        assert on_air.frames == []
