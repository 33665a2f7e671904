"""A whole daemon with slaves of the broadcast and Zigbee relays and dimmers on one coordinator."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from core.site import Slave
from daemon.commissioning.dead_man_proof import prove_dead_man
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.commissioning.slave_measurement import attended, opened_slaves
from daemon.config.settings import load_settings, read_site_key
from daemon.identification.record import CommissioningRecord, DeadManProof, save_record
from daemon.runtime.state_directory import open_counter
from daemon.system.clock import boottime_s
from drivers.devices.device_wire import DeviceWire
from drivers.errors import Transient
from plant.devices.zigbee_output import OutputMake
from plant.radio.slave_node import ieee_of
from plant.simulated_site import start_far_end
from plant.site.trace import load_trace
from tests.support.full_daemon import until, whole
from tests.support.virtual_time import run

LIMIT_S = 120.0
NIGHT_S = 2.0 * 3600
BOILER = Slave(0, "boiler", 1, 1700)
DIMMER = Slave(20, "dimmer", 0, 3000, min_w=12, driver="zigbee-level")
PLUG = Slave(21, "plug", 2, 1500, levels_w=(1500,), driver="zigbee-switch")


async def _dead(*_: object) -> None:
    raise Transient("dead")


def test_they_follow_rest_without_the_meter_and_outlive_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        async with whole(tmp_path, period_s=1.0, slaves=(BOILER, DIMMER, PLUG), radio_port=0) as pair:
            dimmer, plug = (pair.far_end.outputs[slot] for slot in (20, 21))

            def draws_w() -> tuple[float, float]:
                return dimmer.acting_w(boottime_s()), plug.acting_w(boottime_s())

            await until(lambda: min(draws_w()) > 300.0, LIMIT_S)
            pair.far_end.meter.faults.mute = True
            await until(lambda: draws_w() == (0.0, 0.0), 5.0)
            pair.far_end.meter.faults.mute = False
            await until(lambda: min(draws_w()) > 300.0, LIMIT_S)
            with patch.object(DeviceWire, "send", _dead):
                await asyncio.sleep(0.5)  # what was on its way arrives
                began_s, told = boottime_s(), len(dimmer.told) + len(plug.told)
                await until(lambda: draws_w() == (0.0, 0.0), 22.0)
                assert boottime_s() - began_s >= 15.0
                assert len(dimmer.told) + len(plug.told) == told, "nobody told them"
            await pair.stop()
        heard = [tick.snapshot.slaves[1] for tick in pair.ticks()]
        assert max(state.power_w or 0.0 for state in heard) > 300.0, "what it draws is a report"
        assert {one.deviation for tick in pair.ticks() for one in tick.decision.not_following} == set()

    run(body(), settle_s=0.0)


async def proof_of(folder: Path, make: OutputMake, slave: Slave) -> tuple[DeadManProof | str, float]:
    """What the proof found, or why there was none; and what the device draws at the end."""
    site = (BOILER, slave)
    far = await start_far_end(
        load_trace(),
        site,
        site_key(folder),
        clock=boottime_s,
        seed=1,
        start_s=NIGHT_S,
        radio_port=0,
        makes={slave.slot: make},
    )
    config = write_site(folder, site, far.meter_port, far.radio_path, status_port=0)
    settings = load_settings(config)
    known = attended(settings.core_site())
    counter = open_counter(settings.state.directory)
    found: DeadManProof | str
    try:
        async with opened_slaves(settings, known, read_site_key(settings, config), counter) as wires:
            found = await prove_dead_man(wires, known.slaves[1], slave.max_w, settings.slaves[1].device)
    except Transient as error:
        found = str(error)
    try:
        await asyncio.sleep(1.0)
        return found, far.outputs[slave.slot].acting_w(boottime_s())
    finally:
        await far.stop()


def test_a_sound_plug_proves_that_it_lets_go(tmp_path: Path) -> None:
    async def body() -> None:
        proof, left_w = await proof_of(tmp_path, OutputMake(), PLUG)
        assert isinstance(proof, DeadManProof)
        assert (proof.outcome, left_w) == ("let go", 0.0)
        assert 18.0 <= proof.fell_after_s <= 26.0

    run(body(), settle_s=0.0)


@pytest.mark.parametrize(
    ("lie", "slave"),
    [("toggles", PLUG), ("ignores", Slave(20, "dimmer", 0, 1900, min_w=8, driver="zigbee-level"))],
)
def test_a_liar_that_counts_well_is_refused_by_the_grid_meter(tmp_path: Path, lie: str, slave: Slave) -> None:
    async def body() -> None:
        make = OutputMake(lie="ignores" if lie == "ignores" else "toggles")
        proof, left_w = await proof_of(tmp_path, make, slave)
        assert isinstance(proof, DeadManProof)
        assert (proof.outcome, left_w) == ("went on", 0.0)

    run(body(), settle_s=0.0)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1"])
def test_a_proof_holds_for_the_firmware_that_gave_it(tmp_path: Path, version: str) -> None:
    async def body() -> None:
        proof = DeadManProof(
            name="plug",
            slot=21,
            device=f"Zigbee device {ieee_of(21)[::-1].hex(':')}, endpoint 1",
            version="1.0.0",
            at_utc=datetime.now(UTC),
            told_w=1500,
            dead_man_s=20.0,
            outcome="let go",
            fell_after_s=20.4,
        )
        save_record(CommissioningRecord().with_dead_man(proof), tmp_path)
        async with whole(
            tmp_path,
            period_s=1.0,
            slaves=(BOILER, PLUG),
            radio_port=0,
            adapt=lambda text, _: text.replace('"accepted"', '"refused"'),
            makes={21: OutputMake(version=version)},
        ) as pair:
            plug = pair.far_end.outputs[21]
            await until(lambda: sum(pair.reference_w().values()) > 500.0, LIMIT_S)
            await asyncio.sleep(20.0)
            assert (plug.acting_w(boottime_s()) > 0.0) == (version == "1.0.0")
            assert version == "1.0.0" or plug.told == [], "it is not spoken to"
            await pair.stop()

    run(body(), settle_s=0.0)
