"""What `sunkeep check --wires` says of slaves behind the radio and of other devices, in virtual time."""

from pathlib import Path

from core.site import Slave
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.commissioning.preflight import Item
from daemon.commissioning.wire_check import walk_wires
from daemon.config.settings import load_settings
from daemon.system.clock import boottime_s
from plant.simulated_site import start_far_end
from plant.site.trace import load_trace
from tests.support.virtual_time import run

MIXED = (Slave(0, "boiler", 0, 1700), Slave(2, "rod", 2, 3000, driver="modbus"))
ROD = {2: "my-pv-ac-elwa-2"}


async def rows(
    folder: Path, slaves: tuple[Slave, ...] = MIXED, *, is_deaf: bool = False, more: str = "[radio]"
) -> dict[str, Item]:
    """By name, what is said of a site whose far end runs."""
    far = await start_far_end(
        load_trace(), slaves, site_key(folder), clock=boottime_s, radio_port=None, modbus=ROD
    )
    try:
        ports = {slot: (name, far.devices[slot].port) for slot, name in ROD.items()}
        config = write_site(folder, slaves, far.meter_port, far.radio_path, status_port=0, modbus=ports)
        config.write_text(config.read_text().replace("[radio]", more))
        if is_deaf:
            await far.devices[2].stop()
        return {item.name: item async for item in walk_wires(load_settings(config, key=False), config, 10.0)}
    finally:
        await far.stop()


def test_a_device_of_its_own_is_opened_and_no_slot_of_the_radio(tmp_path: Path) -> None:
    told = run(rows(tmp_path))
    assert [item.ok for item in told.values()] == [True] * 4, told
    assert list(told) == ["meter", "radio", "slaves", "rod"]
    assert told["slaves"].detail == "all answer"
    assert told["rod"].detail.startswith("my-pv-ac-elwa-2 at 127.0.0.1:")


def test_a_device_that_does_not_answer_fails_alone(tmp_path: Path) -> None:
    told = run(rows(tmp_path, is_deaf=True))
    assert [name for name, item in told.items() if not item.ok] == ["rod"]
    assert told["rod"].detail.endswith("Check its address, its network and its power.")


def test_a_site_of_devices_alone_asks_no_slave_of_the_radio(tmp_path: Path) -> None:
    told = run(rows(tmp_path, MIXED[1:]))
    assert list(told) == ["meter", "radio", "rod"]
    assert all(item.ok for item in told.values()), told


def test_another_channel_than_the_networks_fails_and_says_what_to_write(tmp_path: Path) -> None:
    told = run(rows(tmp_path, more="[radio]\nchannel = 25"))
    assert [name for name, item in told.items() if not item.ok] == ["radio"]
    assert "on channel 15, the configuration says 25" in told["radio"].detail
