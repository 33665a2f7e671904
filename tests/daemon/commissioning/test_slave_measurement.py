"""`sunkeep commission` before a whole far end: real Modbus, real EZSP, real frames, in real seconds."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.limits import Limits
from core.site import Site, Slave
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.commissioning.slave_measurement import SwitchingProgress, measure_slaves, switched_w
from daemon.config.settings import Settings, load_settings, read_site_key
from daemon.identification.record import SlaveMeasurement
from daemon.runtime.state_directory import open_counter
from daemon.system.clock import boottime_s
from plant.simulated_site import SimulatedSite, slaves_of, start_far_end
from plant.site.trace import load_trace

EVENING_S = 19.0 * 3600
SHORT_S = (70.0,)
LIMIT_S = 150.0


@asynccontextmanager
async def commissioned_site(folder: Path) -> AsyncIterator[tuple[Path, SimulatedSite]]:
    """Three slaves on three phases, of which the daemon is not running."""
    far = await start_far_end(
        load_trace(),
        slaves_of(3),
        site_key(folder),
        clock=boottime_s,
        seed=1,
        start_s=EVENING_S,
        radio_port=None,
    )
    try:
        yield write_site(folder, slaves_of(3), far.meter_port, far.radio_path, status_port=0), far
    finally:
        await far.stop()


async def _measured(config: Path, settings: Settings, place: int) -> list[SlaveMeasurement]:
    found: list[SlaveMeasurement] = []
    shown: list[SwitchingProgress] = []
    await measure_slaves(
        settings,
        read_site_key(settings, config),
        open_counter(settings.state.directory),
        [settings.core_site().slaves[place]],
        found.append,
        shown.append,
        SHORT_S,
    )
    assert shown[-1].switchings >= 2
    return found


async def test_a_slave_is_measured_through_gate_radio_and_meter(tmp_path: Path) -> None:
    async with asyncio.timeout(LIMIT_S), commissioned_site(tmp_path) as (config, far):
        settings = load_settings(config)
        slaves = tuple(
            section.model_copy(update={"phases": "c"}) if section.slot == 1 else section
            for section in settings.slaves
        )
        wrong = settings.model_copy(update={"slaves": slaves})
        (found,) = await _measured(config, wrong, 1)
        now_s = boottime_s()
        assert all(firmware.setpoint_w(now_s) == 0.0 for firmware in far.radio.firmwares.values())
        assert found.phase == "b"
        assert 0.7 <= found.gain.value <= 1.3
        assert found.dead_time_s.low <= 5.0
        if found.outcome == "measured":
            assert found.contradictions == ("heating rod 2 is on phase b, the file says c.",)


async def test_an_interrupt_lets_everybody_rest(tmp_path: Path) -> None:
    async with asyncio.timeout(LIMIT_S), commissioned_site(tmp_path) as (config, far):
        settings = load_settings(config)
        task = asyncio.create_task(_measured(config, settings, 0))
        while not any(firmware.setpoint_w(boottime_s()) > 0.0 for firmware in far.radio.firmwares.values()):
            assert not task.done()
            await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(2.0)
        assert all(firmware.setpoint_w(boottime_s()) == 0.0 for firmware in far.radio.firmwares.values())


async def test_the_command_says_its_plan_and_does_nothing_unasked(tmp_path: Path) -> None:
    async with asyncio.timeout(LIMIT_S), commissioned_site(tmp_path) as (config, _):
        command = (sys.executable, "-m", "daemon", "commission", "boiler 1", "--config", str(config))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        _, err = await process.communicate(b"")
        assert process.returncode == 2
        assert "0 and 1700 W in turn" in err.decode()
        assert "give --yes" in err.decode()
        assert b"Traceback" not in err


BOILER = Slave(0, "boiler", 0, 3000)


@pytest.mark.parametrize(
    ("slave", "watts"),
    [
        (BOILER, 1990),
        (replace(BOILER, max_w=800), 800),
        (replace(BOILER, levels_w=(1000, 3000)), 1000),
        (replace(BOILER, min_w=2500), 0),
        (replace(BOILER, min_w=500, min_on_s=60.0), 0),
    ],
)
def test_a_slave_is_switched_to_what_the_gate_lets_go_in_one_step(slave: Slave, watts: int) -> None:
    assert switched_w(slave, Site((slave,))) == watts


def test_tighter_limits_of_the_site_hold() -> None:
    site = Site((BOILER,), limits=Limits(phase_max_w=1500.0, step_max_w_per_s=400.0))
    assert switched_w(BOILER, site) == 790
