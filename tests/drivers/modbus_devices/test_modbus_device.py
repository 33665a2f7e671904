"""The real driver against the virtual devices, over real Modbus TCP in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.modbus_devices.modbus_device import ModbusDevice
from drivers.modbus_devices.profile import device_profile_names, load_device_profile
from drivers.modbus_devices.register_line import RegisterLine
from plant.devices.modbus_models import MODELS
from plant.devices.modbus_server import VirtualModbusDevice
from tests.support.virtual_time import run

STEPPED_W = {"ego-smart-heater": 1500, "askoheat-plus": 1750}


@asynccontextmanager
async def connected(
    name: str, max_w: int = 3500, opened: bool = True, dead_man_s: float | None = None
) -> AsyncIterator[tuple[ModbusDevice, VirtualModbusDevice]]:
    """The driver and the device; what it draws follows what it lets through at once."""
    profile, clock = load_device_profile(name), asyncio.get_running_loop().time
    model = MODELS[name](max_w)
    far = VirtualModbusDevice(
        model, clock=clock, measured_w=lambda: model.acting_w(clock()), temperature_c=lambda: 51.5
    )
    port = await far.start()
    line = RegisterLine("127.0.0.1", port, profile.device_id, 0.5)
    device = ModbusDevice(profile, line, 1, dead_man_s or profile.dead_man.default_s)
    try:
        if opened:
            await device.open()
        yield device, far
    finally:
        await device.close()
        await far.stop()


def test_every_profile_has_a_far_end_of_its_own() -> None:
    assert set(device_profile_names()) == set(MODELS)
    for name in device_profile_names():
        profile = load_device_profile(name)
        assert "not tried on a device" in profile.verified
        assert profile.source


@pytest.mark.parametrize("name", device_profile_names())
def test_it_draws_what_it_is_told_says_so_and_lets_go_by_itself(name: str) -> None:
    async def body() -> None:
        async with connected(name) as (device, far):
            told_w = STEPPED_W.get(name, 2000)
            now_s = asyncio.get_running_loop().time
            await device.write(told_w)
            assert far.acting_w(now_s()) == pytest.approx(told_w, abs=1.0)
            heard = await device.read()
            assert heard.power_w == pytest.approx(told_w, abs=1.0)
            if load_device_profile(name).temperature_c is not None:
                assert heard.temperature_c == pytest.approx(51.5, abs=0.6)
            dead_man_s = load_device_profile(name).dead_man.default_s
            await asyncio.sleep(dead_man_s - 1.0)
            assert far.acting_w(now_s()) > 0.0
            await device.write(told_w)
            await asyncio.sleep(dead_man_s - 1.0)
            assert far.acting_w(now_s()) > 0.0, "the second message did not renew its time"
            await asyncio.sleep(1.5)
            assert far.acting_w(now_s()) == 0.0
            await device.write(told_w)  # it comes back when it is told again
            assert far.acting_w(now_s()) == pytest.approx(told_w, abs=1.0)
            await device.write(0)
            assert far.acting_w(now_s()) == 0.0

    run(body())


def test_a_charger_is_told_amperes_and_never_less_than_it_takes() -> None:
    profile = load_device_profile("keba-p30")
    assert profile.least_w(1) == 1380
    assert profile.least_w(3) == 4140
    assert profile.raw_of(1380, 1) == 6000
    assert profile.raw_of(1379, 1) == 0
    assert profile.raw_of(11040, 3) == 16000


def test_a_time_out_that_cannot_be_written_is_believed_as_it_is_read() -> None:
    async def body() -> None:
        async with connected("my-pv-ac-elwa-2", opened=False) as (device, far):
            far.model.takes_timeout = False
            await device.open()  # its own 10 s are within 30 s
            await device.write(1000)
        async with connected("my-pv-ac-elwa-2", opened=False, dead_man_s=9.0) as (device, far):
            far.model.takes_timeout = False
            with pytest.raises(ConfigError, match="its time-out says 10 s"):
                await device.open()

    run(body())


def test_a_station_that_goes_on_charging_in_its_failsafe_is_told_not_to() -> None:
    async def body() -> None:
        async with connected("keba-p30") as (device, far):
            await device.write(2000)
            await asyncio.sleep(31.0)
            assert far.acting_w(asyncio.get_running_loop().time()) == 0.0  # not its factory's 6 A

    run(body())


def test_another_device_is_not_spoken_to() -> None:
    async def body() -> None:
        async with connected("ego-smart-heater", opened=False) as (device, far):
            true_read = far.model.read

            def another(address: int, at_s: float) -> int:
                return 7 if address == 8192 else true_read(address, at_s)

            far.model.read = another  # type: ignore[method-assign]
            with pytest.raises(ConfigError, match=r"this is no E\.G\.O"):
                await device.open()

    run(body())


def test_what_was_refused_and_what_is_unknown_are_told_apart() -> None:
    async def body() -> None:
        async with connected("my-pv-ac-elwa-2") as (device, far):
            far.faults.exception = 4
            with pytest.raises(Transient) as refused:
                await device.write(1000)
            assert not isinstance(refused.value, Unconfirmed)
            far.faults.exception = None
            far.faults.hangs = True
            with pytest.raises(Unconfirmed):
                await device.write(1500)
            assert far.model.told[-1][1] == 1500  # nobody said so, and it was told

    run(body())


def test_a_message_that_was_taken_in_part_may_act() -> None:
    async def body() -> None:
        async with connected("keba-p30") as (device, far):
            true_write = far.model.write

            def half(address: int, value: int, at_s: float) -> None:
                true_write(5051 if address == 5014 else address, value, at_s)

            far.model.write = half  # type: ignore[method-assign]
            with pytest.raises(Unconfirmed, match="only a part"):
                await device.write(2000)

    run(body())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "setpoint: Field required"),
        ('[setpoint]\naddress = 1\nvolatile = "yes"\n', "setpoint.volatile"),
        (
            '[setpoint]\naddress = 1\nvolatile = "never stored, page 7"\nleast = 5\n',
            "needs a switch beside it",
        ),
        ('[setpoint]\naddress = 1\nvolatile = "never stored, page 7"\n', "must be read back"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_with_its_reason(
    text: str, told: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("profile") / "mine.toml"
    head = 'title = "mine"\nsource = "me"\nverified = "no"\n'
    dead_man = "[dead_man]\ndefault_s = 20.0\n" + ("" if "least" in text else "address = 7\n")
    file.write_text(head + text + dead_man)
    with pytest.raises(ConfigError, match=told):
        load_device_profile(file)
