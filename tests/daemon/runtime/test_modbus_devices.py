"""A whole daemon with slaves on Zigbee and on Modbus, joined by real protocols, in virtual time."""

import asyncio
from pathlib import Path
from unittest.mock import patch

import pytest
from pymodbus.client import AsyncModbusTcpClient

from core.site import Slave
from daemon.system.clock import boottime_s
from drivers.devices.device_wire import DeviceWire
from drivers.errors import Transient
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast
from plant.devices.modbus_models import MODELS, ModbusModel
from plant.devices.modbus_server import VirtualModbusDevice
from tests.support.full_daemon import Whole, until, whole
from tests.support.virtual_time import run

LIMIT_S = 120.0
SITE = (
    Slave(0, "boiler", 0, 1700),
    Slave(1, "heater", 1, 1700),
    Slave(2, "rod", 2, 3000, driver="modbus"),
    Slave(3, "wallbox", 0, 3680, min_w=1380, min_on_s=10.0, min_off_s=10.0, driver="modbus"),
)
MODBUS = {2: "my-pv-ac-elwa-2", 3: "keba-p30"}


def told_w(pair: Whole) -> dict[int, float]:
    """What every slave lets its electricity draw now."""
    now_s = boottime_s()
    devices = {slot: device.acting_w(now_s) for slot, device in pair.far_end.devices.items()}
    return pair.reference_w() | devices


async def _dead(*_: object) -> None:
    """A daemon that is no more says nothing, and nobody hears that it does not."""
    raise Transient("dead")


def model(pair: Whole, slot: int) -> ModbusModel:
    return pair.far_end.devices[slot].model


def test_meter_lost_brings_every_slave_of_every_driver_to_rest(tmp_path: Path) -> None:
    async def body() -> None:
        async with whole(tmp_path, period_s=1.0, slaves=SITE, modbus=MODBUS) as pair:
            await until(lambda: min(told_w(pair).values()) > 0.0, LIMIT_S)
            pair.far_end.meter.faults.mute = True
            lost_at_s = boottime_s()
            await until(lambda: set(told_w(pair).values()) == {0.0}, 5.0)
            for slot in MODBUS:
                at_s, watts = model(pair, slot).told[-1]
                assert watts == 0
                assert at_s - lost_at_s <= 5.0
            pair.far_end.meter.faults.mute = False
            await until(lambda: told_w(pair)[2] > 0.0, LIMIT_S)
            await pair.stop()
            assert set(told_w(pair).values()) == {0.0}, "its end tells everybody to rest"
        ticks = pair.ticks()
        assert any(len(tick.frames_hex) == 3 for tick in ticks), "every group has a message of its own"
        heard = [tick.snapshot.slaves[2] for tick in ticks]
        assert max(state.power_w or 0.0 for state in heard) > 500.0, "what the rod draws is a report"

    run(body())


def test_a_killed_daemon_leaves_each_device_to_its_own_dead_man(tmp_path: Path) -> None:
    async def body() -> None:
        async with whole(tmp_path, period_s=1.0, slaves=SITE, modbus=MODBUS) as pair:
            await until(lambda: min(told_w(pair).values()) > 0.0, LIMIT_S)
            with patch.object(DeviceWire, "send", _dead), patch.object(SetpointBroadcast, "send", _dead):
                began_s = boottime_s()
                await until(lambda: set(told_w(pair).values()) == {0.0}, 32.0)
                assert boottime_s() - began_s >= 10.0, "nobody told them"

    run(body())


def test_a_hanging_device_delays_no_other(tmp_path: Path) -> None:
    async def body() -> None:
        async with whole(tmp_path, period_s=1.0, slaves=SITE, modbus=MODBUS) as pair:
            await until(lambda: min(told_w(pair).values()) > 0.0, LIMIT_S)
            before = len(pair.ticks())
            pair.far_end.devices[2].faults.hangs = True
            changes = len(model(pair, 3).told)
            await asyncio.sleep(60.0)
            assert len(model(pair, 3).told) > changes, "the wallbox is told as ever"
            assert model(pair, 2).acting_w(boottime_s()) == 0.0, "it has let go by itself"
            pair.far_end.devices[2].faults.hangs = False
            await until(lambda: told_w(pair)[2] > 0.0, LIMIT_S)
            await pair.stop()
        late = [tick for tick in pair.ticks()[before:] if "late_tick" in tick.snapshot.alarms]
        assert late == []
        gone = [tick for tick in pair.ticks() if not tick.snapshot.slaves[2].available]
        assert gone, "it was counted as missing"

    run(body())


def test_a_device_whose_dead_man_is_not_proven_is_told_nothing_but_rest(tmp_path: Path) -> None:
    def strict(text: str, _far_end: object) -> str:
        return text.replace('unproven_dead_man = "accepted"', 'unproven_dead_man = "refused"')

    async def body() -> None:
        async with whole(tmp_path, period_s=1.0, slaves=SITE, modbus=MODBUS, adapt=strict) as pair:
            await until(lambda: told_w(pair)[0] > 0.0 and told_w(pair)[1] > 0.0, LIMIT_S)
            await asyncio.sleep(30.0)
            await pair.stop()
            for slot in MODBUS:
                assert {watts for _, watts in model(pair, slot).told} == {0}
        assert {tick.decision.setpoints_w[2:] for tick in pair.ticks()} == {(0, 0)}

    run(body())


@pytest.mark.parametrize("name", ["my-pv-ac-elwa-2", "keba-p30"])
def test_any_modbus_client_drives_the_virtual_device_by_its_document(name: str) -> None:
    """pymodbus alone, with the registers as my-PV and KEBA print them."""

    async def body() -> None:
        clock = asyncio.get_running_loop().time
        device = MODELS[name](3680)
        far = VirtualModbusDevice(device, clock=clock, measured_w=lambda: device.acting_w(clock()))
        client = AsyncModbusTcpClient("127.0.0.1", port=await far.start())
        assert await client.connect()
        unit = 255 if name == "keba-p30" else 1
        try:
            if name == "keba-p30":
                refused = await client.write_register(5004, 5000, device_id=unit)
                assert refused.isError()
                for register, value in ((5016, 0), (5018, 20), (5004, 10_000), (5014, 1)):
                    assert not (await client.write_register(register, value, device_id=unit)).isError()
                power_mw = (await client.read_holding_registers(1020, count=2, device_id=unit)).registers
                assert power_mw[0] << 16 | power_mw[1] == 2_300_000
                timeout_s = (await client.read_holding_registers(1602, count=2, device_id=unit)).registers
                assert timeout_s == [0, 20]
            else:
                assert not (await client.write_registers(1004, [20], device_id=unit)).isError()
                assert not (await client.write_registers(1000, [2300], device_id=unit)).isError()
                told = (await client.read_holding_registers(1000, count=5, device_id=unit)).registers
                assert (told[0], told[1], told[4]) == (2300, 450, 20)
                assert (await client.write_registers(1001, [1], device_id=unit)).isError()
            await asyncio.sleep(19.0)
            assert device.acting_w(clock()) == 2300.0
            await asyncio.sleep(1.5)
            assert device.acting_w(clock()) == 0.0
        finally:
            client.close()
            await far.stop()

    run(body())
