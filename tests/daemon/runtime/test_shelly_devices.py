"""A whole daemon with slaves on Zigbee and a Shelly beside them, in virtual time."""

import asyncio
from pathlib import Path
from unittest.mock import patch

from core.site import Slave
from daemon.system.clock import boottime_s
from drivers.devices.device_wire import DeviceWire
from drivers.errors import Transient
from plant.devices.virtual_shelly import VirtualShelly
from tests.support.full_daemon import until, whole
from tests.support.virtual_time import run

LIMIT_S = 120.0
BOILER = (Slave(0, "boiler", 1, 1700),)
"""Few others: the sun of the day has power for all."""
DIMMER = """
[[slaves]]
name = "dimmer"
slot = 20
driver = "shelly"
phases = "a"
max_w = 3000
min_w = 30
unproven_dead_man = "{trust}"
[slaves.shelly]
host = "127.0.0.1:{port}"
component = "light"
"""


async def _dead(*_: object) -> None:
    raise Transient("dead")


def test_a_shelly_follows_rests_without_the_meter_and_outlives_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        shelly = VirtualShelly(boottime_s, "light", 3000.0)
        more = DIMMER.format(port=await shelly.start(), trust="accepted")
        async with whole(tmp_path, period_s=1.0, slaves=BOILER, more=more) as pair:
            await until(lambda: shelly.power_w() > 500.0, LIMIT_S)
            pair.far_end.meter.faults.mute = True
            await until(lambda: shelly.power_w() == 0.0, 5.0)
            pair.far_end.meter.faults.mute = False
            await until(lambda: shelly.power_w() > 500.0, LIMIT_S)
            with patch.object(DeviceWire, "send", _dead):
                began_s = boottime_s()
                await until(lambda: shelly.power_w() == 0.0, 32.0)
                assert boottime_s() - began_s >= 10.0, "nobody told it"
            await pair.stop()
            assert shelly.power_w() == 0.0
        await shelly.stop()
        heard = [tick.snapshot.slaves[-1] for tick in pair.ticks()]
        assert max(state.power_w or 0.0 for state in heard) > 500.0, "what it draws is a report"

    run(body())


def test_a_shelly_whose_timer_nobody_has_proven_is_told_nothing_but_rest(tmp_path: Path) -> None:
    async def body() -> None:
        shelly = VirtualShelly(boottime_s, "light", 3000.0)
        more = DIMMER.format(port=await shelly.start(), trust="refused")
        async with whole(tmp_path, period_s=1.0, slaves=BOILER, more=more) as pair:
            await until(lambda: sum(pair.reference_w().values()) > 500.0, LIMIT_S)
            await asyncio.sleep(20.0)
            assert shelly.power_w() == 0.0
            await pair.stop()
        await shelly.stop()

    run(body())
