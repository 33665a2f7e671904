"""The proof that a device lets go by itself, before a whole far end, in virtual time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.site import Slave
from daemon.commissioning.dead_man_proof import prove_dead_man
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.commissioning.slave_measurement import attended, opened_slaves
from daemon.config.settings import load_settings, read_site_key
from daemon.identification.record import DeadManProof, load_record, save_record
from daemon.runtime.state_directory import open_counter
from daemon.service.measured_slaves import measured_numbers, proven_dead_men
from daemon.system.clock import boottime_s
from plant.simulated_site import start_far_end
from plant.site.trace import load_trace
from tests.support.virtual_time import run

NIGHT_S = 2.0 * 3600
SITE = (Slave(0, "boiler", 0, 1700), Slave(2, "rod", 2, 3000, driver="modbus"))
KIND = "my-pv-ac-elwa-2"


async def proof_of(folder: Path, *, keeps_time: bool, gain: float = 1.0) -> tuple[Path, DeadManProof]:
    far = await start_far_end(
        load_trace(),
        SITE,
        site_key(folder),
        clock=boottime_s,
        seed=1,
        start_s=NIGHT_S,
        radio_port=None,
        modbus={2: KIND},
    )
    far.devices[2].model.keeps_time = keeps_time
    if gain == 0.0:
        far.site.reference_w = lambda *_: 0.0
    ports = {2: (KIND, far.devices[2].port)}
    config = write_site(folder, SITE, far.meter_port, far.radio_path, status_port=0, modbus=ports)
    config.write_text(config.read_text().replace('"accepted"', '"refused"'))
    settings = load_settings(config)
    site = attended(settings.core_site())
    counter = open_counter(settings.state.directory)
    try:
        async with opened_slaves(settings, site, read_site_key(settings, config), counter) as wires:
            proof = await prove_dead_man(wires, site.slaves[1], 1500, settings.slaves[1].device)
        await asyncio.sleep(0.5)
        assert far.devices[2].model.told[-1][1] == 0, "it is left resting"
        return config, proof
    finally:
        await far.stop()


def test_a_device_that_lets_go_may_draw_from_then_on(tmp_path: Path) -> None:
    async def body() -> None:
        config, proof = await proof_of(tmp_path, keeps_time=True)
        assert proof.outcome == "let go"
        assert 25.0 <= proof.fell_after_s <= 36.0
        settings = load_settings(config)
        assert not settings.core_site().slaves[1].may_draw
        record, _ = load_record(settings.state.directory)
        save_record(record.with_dead_man(proof), settings.state.directory)
        numbers = measured_numbers(settings)
        assert numbers == {"rod": {"dead_man_s": proof.fell_after_s}}
        assert settings.with_measured(numbers).core_site().slaves[1].may_draw
        record, _ = load_record(settings.state.directory)
        for old in (timedelta(days=400), timedelta(days=-3)):
            assert proven_dead_men(record, settings, datetime.now(UTC) + old) == {}
        other = config.read_text().replace("[slaves.modbus]", "[slaves.modbus]\ndead_man_s = 60.0")
        config.write_text(other)
        assert measured_numbers(load_settings(config)) == {}, "proven with another time-out"

    run(body())


@pytest.mark.parametrize(
    ("keeps_time", "gain", "told"), [(False, 1.0, "went on"), (True, 0.0, "draws nothing")]
)
def test_a_liar_and_one_that_draws_nothing_prove_nothing(
    tmp_path: Path, keeps_time: bool, gain: float, told: str
) -> None:
    async def body() -> None:
        config, proof = await proof_of(tmp_path, keeps_time=keeps_time, gain=gain)
        assert proof.outcome == told
        settings = load_settings(config)
        save_record(load_record(settings.state.directory)[0].with_dead_man(proof), settings.state.directory)
        assert measured_numbers(settings) == {}

    run(body())
