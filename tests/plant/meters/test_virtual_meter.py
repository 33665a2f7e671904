"""The virtual meter as any Modbus client sees it."""

import asyncio
import struct
from collections.abc import AsyncIterator

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient

from plant.meters.layouts import LAYOUTS, MeterState
from plant.meters.virtual_meter import VirtualMeter

STATE = MeterState((1000.0, -2000.0, 300.0), (230.0, 231.0, 229.0))


class PollTimer:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> PollTimer:
    return PollTimer()


@pytest.fixture
async def meter(clock: PollTimer) -> AsyncIterator[VirtualMeter]:
    meter = VirtualMeter(lambda: STATE, clock=clock, rng=np.random.default_rng(3), refresh_s=1.0)
    yield meter
    await meter.stop()


@pytest.fixture
async def client(meter: VirtualMeter) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=await meter.start(), timeout=0.5, retries=0)
    assert await client.connect()
    yield client
    client.close()
    await asyncio.sleep(0)


async def floats(client: AsyncModbusTcpClient, address: int, count: int) -> tuple[float, ...]:
    answer = await client.read_input_registers(address, count=2 * count)
    return struct.unpack(f">{count}f", struct.pack(f">{2 * count}H", *answer.registers))


async def test_registers_follow_the_site_with_noise(client: AsyncModbusTcpClient, clock: PollTimer) -> None:
    samples = []
    for _ in range(200):
        clock.now_s += 1.0
        samples.append(await floats(client, 0x0C, 3))
    mean, deviation = np.mean(samples, axis=0), np.std(samples, axis=0)
    assert mean == pytest.approx(STATE.power_w, abs=4 * 8.0 / 200**0.5)
    assert all(6.5 < d < 9.5 for d in deviation)


async def test_registers_change_only_when_the_meter_measures_anew(
    client: AsyncModbusTcpClient, clock: PollTimer
) -> None:
    first = await floats(client, 0x0C, 3)
    clock.now_s = 0.99
    assert await floats(client, 0x0C, 3) == first
    clock.now_s = 1.0
    assert await floats(client, 0x0C, 3) != first


async def test_power_current_and_power_factor_agree(client: AsyncModbusTcpClient) -> None:
    voltage, current = await floats(client, 0, 3), await floats(client, 6, 3)
    power, factor = await floats(client, 12, 3), await floats(client, 30, 3)
    for v, i, p, f in zip(voltage, current, power, factor, strict=True):
        assert v * i * f == pytest.approx(p, rel=1e-4)
    (total,) = await floats(client, 0x34, 1)
    assert total == pytest.approx(sum(power), abs=0.01)


async def test_refuses_what_a_real_meter_refuses(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_input_registers(90, count=2)).exception_code == 2
    assert (await client.read_input_registers(0, count=81)).exception_code == 2
    assert (await client.write_register(0, 1)).exception_code == 1


async def test_a_taken_port_is_told(meter: VirtualMeter, client: AsyncModbusTcpClient) -> None:
    port = client.comm_params.port
    other = VirtualMeter(lambda: STATE, clock=lambda: 0.0, rng=np.random.default_rng(0))
    with pytest.raises(OSError, match=str(port)):
        await other.start(port)


async def test_stops_and_starts_on_the_same_port(meter: VirtualMeter, clock: PollTimer) -> None:
    port = await meter.start()
    for _ in range(3):
        await meter.stop()
        assert await meter.start(port) == port


PER_PHASE = ("power_w", "voltage_v", "current_a", "power_factor", "reactive_var")


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_entries_lie_where_registers_exist_and_do_not_overlap(name: str) -> None:
    layout = LAYOUTS[name]
    exist = {a for start, count in layout.ranges for a in range(start, start + count)}
    taken = set(layout.constants)
    for entry in layout.entries:
        values = 3 if entry.quantity in PER_PHASE else 1
        here = {*range(entry.address, entry.address + values * len(entry.encoding.absent))}
        assert not here & taken
        taken |= here
    assert taken <= exist


def test_a_dead_phase_has_no_current() -> None:
    state = MeterState((0.0, 0.0, 0.0), voltage_v=(0.0, 230.0, 230.0), reactive_var=(0.0, 0.0, 0.0))
    assert state.current_a == (0.0, 0.0, 0.0)
    assert state.power_factor == (1.0, 1.0, 1.0)
