"""A DSMR meter, over a pseudo-terminal."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.meters.dsmr import DSMR_BAUDRATE, Dsmr, crc16
from drivers.meters.telegram_meter import PushMeter
from drivers.meters.telegram_parser import Splitter, UnsupportedMeterError
from tests.support.meter_wire import SkippingClock, open_files

BODY = (
    "/XMX5LGBBFG1009394887\r\n\r\n"
    "1-3:0.2.8(50)\r\n"
    "0-0:1.0.0({time})\r\n"
    "0-0:96.1.1({serial})\r\n"
    "1-0:1.8.1(000671.578*kWh)\r\n"
    "1-0:1.8.2(000842.472*kWh)\r\n"
    "1-0:2.8.1(000012.000*kWh)\r\n"
    "1-0:2.8.2(000003.500*kWh)\r\n"
    "1-0:1.7.0(00.000*kW)\r\n"
    "1-0:2.7.0(01.102*kW)\r\n"
    "1-0:32.7.0(229.0*V)\r\n"
    "1-0:52.7.0(226.0*V)\r\n"
    "1-0:72.7.0(231.0*V)\r\n"
    "1-0:31.7.0(001*A)\r\n"
    "1-0:21.7.0({a:06.3f}*kW)\r\n"
    "1-0:41.7.0(00.032*kW)\r\n"
    "1-0:61.7.0(00.000*kW)\r\n"
    "1-0:22.7.0(00.000*kW)\r\n"
    "1-0:42.7.0(00.000*kW)\r\n"
    "1-0:62.7.0(01.204*kW)\r\n"
    "0-1:24.2.1(101209112500W)(12785.123*m3)\r\n!"
)


def telegram(a_kw: float = 0.07, second: int = 0, serial: str = "4530303331", body: str = BODY) -> bytes:
    data = body.format(a=a_kw, time=f"26112012{second // 60:02d}{second % 60:02d}W", serial=serial).encode()
    return data + f"{crc16(data):04X}\r\n".encode()


def test_the_checksum_is_the_published_one() -> None:
    assert crc16(b"123456789") == 0xBB3D  # check value of CRC-16/ARC


def test_a_telegram_says() -> None:
    told = Dsmr().parse(telegram())
    assert told is not None
    assert told.power_w == (70.0, 32.0, -1204.0)
    assert told.total_power_w == -1102.0
    assert told.voltage_v == (229.0, 226.0, 231.0)
    assert told.import_wh == pytest.approx(1_514_050.0)
    assert told.export_wh == pytest.approx(15_500.0)
    assert told.identity == b"/XMX5LGBBFG1009394887 4530303331"


def test_a_single_phase_meter_is_recognised() -> None:
    lines = [line for line in BODY.split("\r\n") if ":41.7.0" not in line]
    with pytest.raises(UnsupportedMeterError):
        Dsmr().parse(telegram(body="\r\n".join(lines)))


@given(at=st.integers(0, len(telegram()) - 7), flip=st.integers(1, 255))
def test_any_damaged_byte_is_noticed(at: int, flip: int) -> None:
    good = telegram()
    assert Dsmr().parse(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]) is None


@given(data=st.binary(max_size=300))
def test_noise_says_nothing(data: bytes) -> None:
    assert Dsmr().parse(data) is None


@given(
    cuts=st.lists(st.integers(0, 3000), max_size=20), lost=st.integers(0, 500), noise=st.binary(max_size=50)
)
def test_telegrams_are_found_however_the_bytes_arrive(cuts: list[int], lost: int, noise: bytes) -> None:
    stream = telegram(0.1)[lost + 1 :] + telegram(0.2) + noise.replace(b"!", b"?") + telegram(0.3)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = Splitter(Dsmr.start, Dsmr.end)
    found = [t for i, j in pairwise(edges) for t in splitter.feed(stream[i:j])]
    told = [t for t in map(Dsmr().parse, found) if t is not None]
    assert [t.power_w[0] for t in told] == [200.0, 300.0]


@dataclass
class Cable:
    """The meter's end of a P1 cable."""

    master: int
    path: str

    def push(self, data: bytes) -> None:
        os.write(self.master, data)


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    master, slave = os.openpty()
    tty.setraw(slave)
    cable = Cable(master, os.ttyname(slave))
    yield cable
    for fd in {cable.master, slave} - {-1}:
        os.close(fd)


def meter_at(path: str, clock: SkippingClock, **options: Any) -> PushMeter:
    return PushMeter(path, Dsmr(), DSMR_BAUDRATE, clock=clock, **options)


async def started(cable: Cable, clock: SkippingClock, **options: Any) -> PushMeter:
    meter = meter_at(cable.path, clock, read_limit_s=0.15, **options)
    starting = asyncio.create_task(meter.start())
    for second in range(2):
        await asyncio.sleep(0.03)
        cable.push(telegram(second=second))
    try:
        await starting
    except BaseException:
        await meter.stop()
        raise
    return meter


async def test_reads_the_newest_telegram_once(cable: Cable) -> None:
    meter = await started(cable, SkippingClock())
    cable.push(telegram(0.5) + telegram(0.6))
    await asyncio.sleep(0.02)
    reading = await meter.read()
    assert reading.grid_power_w == (600.0, 32.0, -1204.0)
    assert reading.total_power_w == -1102.0
    assert meter.energy.export_wh == pytest.approx(15_500.0)
    with pytest.raises(Transient) as caught:
        await meter.read()
    assert caught.value.kind == "timeout"
    waiting = asyncio.create_task(meter.read())
    await asyncio.sleep(0.02)
    cable.push(telegram(0.7))
    assert (await waiting).grid_power_w[0] == 700.0
    await meter.stop()


async def test_the_same_power_has_other_words_each_second(cable: Cable) -> None:
    meter = await started(cable, SkippingClock())
    raws = set()
    for second in range(3):
        cable.push(telegram(second=10 + second))
        raws.add((await meter.read()).raw)
    assert len(raws) == 3
    await meter.stop()


async def test_a_telegram_nobody_asked_for_in_time_is_old(cable: Cable) -> None:
    clock = SkippingClock()
    meter = await started(cable, clock)
    cable.push(telegram(0.5))
    await asyncio.sleep(0.02)
    clock.skipped_s += 3.0
    with pytest.raises(Transient):
        await meter.read()
    await meter.stop()


async def test_a_damaged_telegram_costs_one_sample(cable: Cable) -> None:
    meter = await started(cable, SkippingClock())
    cable.push(telegram(0.5).replace(b"00.500", b"00.501"))
    with pytest.raises(Transient) as caught:
        await meter.read()
    assert caught.value.kind == "checksum"
    cable.push(telegram(0.6))
    assert (await meter.read()).grid_power_w[0] == 600.0
    await meter.stop()


async def test_another_meter_is_noticed(cable: Cable) -> None:
    meter = await started(cable, SkippingClock())
    cable.push(telegram(serial="4530303332"))
    with pytest.raises(DeviceFault) as caught:
        await meter.read()
    assert caught.value.cause == "meter_identity"
    await meter.stop()


async def begun(cable: Cable, clock: SkippingClock, *gaps_s: float, **options: Any) -> PushMeter:
    """A meter at its start, after telegrams with these gaps between them."""
    meter = meter_at(cable.path, clock, **options)
    starting = asyncio.create_task(meter.start())
    await asyncio.sleep(0.03)
    cable.push(telegram())
    for second, gap_s in enumerate(gaps_s, 1):
        await asyncio.sleep(0.03)
        clock.skipped_s += gap_s
        cable.push(telegram(second=second))
    try:
        await starting
    finally:
        await meter.stop()
    return meter


async def test_a_meter_that_sends_too_rarely_is_refused(cable: Cable) -> None:
    with pytest.raises(ConfigError, match="sends every 10 s; control needs"):
        await begun(cable, SkippingClock(), 10.0, 10.0)


async def test_no_control_period_makes_up_for_a_meter_of_two_seconds(cable: Cable) -> None:
    with pytest.raises(ConfigError, match=r"sends every 2 s; control needs a telegram at least every 1\.7 s"):
        await begun(cable, SkippingClock(), 2.0, 2.0, period_s=2.0)


async def test_a_meter_slower_than_the_control_period_is_told_the_right_period(cable: Cable) -> None:
    with pytest.raises(ConfigError, match=r"every 1\.[56] s, .* Write period_s = 1\.6 in \[site\]"):
        await begun(cable, SkippingClock(), 1.5, 1.5)
    await begun(cable, SkippingClock(), 1.5, period_s=1.6)


async def test_one_lost_telegram_at_the_start_is_forgiven(cable: Cable) -> None:
    await begun(cable, SkippingClock(), 2.0, 0.95)


async def test_a_single_phase_meter_is_refused(cable: Cable) -> None:
    meter = meter_at(cable.path, SkippingClock())
    starting = asyncio.create_task(meter.start())
    await asyncio.sleep(0.03)
    cable.push(telegram(body=BODY.replace("1-0:61.7.0", "1-0:99.7.0")))
    with pytest.raises(ConfigError, match="three phases"):
        await starting
    await meter.stop()


async def test_a_pulled_cable_is_noticed_and_leaks_nothing(cable: Cable) -> None:
    clock = SkippingClock()
    meter = await started(cable, clock)
    os.close(cable.master)
    cable.master = -1
    with pytest.raises(Transient) as caught:
        await meter.read()
    assert caught.value.kind == "disconnected"
    files, tasks = open_files(), asyncio.all_tasks()
    for _ in range(20):
        clock.skipped_s += 1.0
        with pytest.raises(Transient):
            await meter.read()
    await meter.stop()
    assert open_files() <= files
    assert asyncio.all_tasks() == tasks


async def test_a_port_that_is_none() -> None:
    meter = meter_at("/nowhere/ttyUSB0", SkippingClock())
    with pytest.raises(Transient, match="cannot open /nowhere/ttyUSB0"):
        await meter.start()
    await meter.stop()


def test_only_one_file_knows_the_stream_library() -> None:
    root = Path(__file__).parents[3]
    users = {
        file.name
        for room in ("core", "safety", "models", "drivers", "plant", "daemon", "training")
        for file in (root / room).rglob("*.py")
        if "import serial_asyncio" in file.read_text()
    }
    assert users == {"telegram_meter.py"}
