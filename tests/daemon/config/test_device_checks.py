"""A device that cannot work as it is configured is refused, with the line and what to do."""

from pathlib import Path

import pytest

from daemon.config.settings import Settings, SettingsError, parse_settings
from tests.support.configuration import CONFIGURATION

ROD = """
[[slaves]]
name = "rod"
slot = 9
driver = "modbus"
phases = "c"
max_w = 3500
[slaves.modbus]
profile = "my-pv-ac-elwa-2"
host = "192.168.1.30"
"""


def parsed(rod: str) -> Settings:
    return parse_settings(CONFIGURATION + rod, Path("site.toml"))


def test_a_device_may_draw_once_its_dead_man_is_proven_or_that_is_waived() -> None:
    assert [slave.may_draw for slave in parsed(ROD).core_site().slaves] == [True, True, False]
    proven = parsed(ROD).with_measured({"rod": {"dead_man_s": 12.0}})
    assert [slave.may_draw for slave in proven.core_site().slaves] == [True, True, True]
    waived = ROD.replace("phases", 'unproven_dead_man = "accepted"\nphases')
    assert parsed(waived).core_site().slaves[2].may_draw


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[slaves.modbus]\n", "[slaves.modbus]\nrgb = 1\n", "slaves.2.modbus.rgb"),
        (ROD[ROD.index("[slaves.modbus]") :], "", 'driver = "modbus" needs to know which device'),
        ("my-pv-ac-elwa-2", "my-pv-3000", "unknown device profile 'my-pv-3000'; known: askoheat-plus"),
        ("my-pv-ac-elwa-2", "keba-p30", "works from 1380 W on, on 1 phase. Write min_w = 1380"),
        ("my-pv-ac-elwa-2", "ego-smart-heater", "works in steps only. List the powers"),
        ('host = "192.168.1.30"', 'host = "h"\ndead_man_s = 300.0', "takes 5 to 120 s"),
        ('host = "192.168.1.30"', 'host = "h"\ndead_man_s = 6.0', "less than 3 keep-alives of 3 s"),
        ('driver = "modbus"\n', "", 'the driver is "sunkeep"'),
        ("slot = 9", "slot = 0", "slot 0 is taken"),
        ('driver = "modbus"\n', 'unproven_dead_man = "accepted"\n', "the time to live stands in every frame"),
    ],
)
def test_what_cannot_work_is_refused(old: str, new: str, told: str) -> None:
    assert old in ROD
    with pytest.raises(SettingsError) as refused:
        parsed(ROD.replace(old, new))
    assert told in str(refused.value)


def test_a_device_has_no_slot_within_a_frame() -> None:
    between = CONFIGURATION.replace("slot = 1", "slot = 20") + ROD
    with pytest.raises(
        SettingsError, match="slot 9 lies between slaves that are told in one frame"
    ) as refused:
        parse_settings(between, Path("site.toml"))
    assert "for example 21" in str(refused.value)


PLUG = """
[[slaves]]
name = "plug"
slot = 9
driver = "shelly"
phases = "c"
max_w = 2000
levels_w = [2000]
[slaves.shelly]
host = "192.168.1.31"
password_file = "plug.password"
"""


def test_a_shelly_is_a_device_of_its_own() -> None:
    settings = parsed(PLUG)
    section = settings.slaves[2].shelly
    assert section is not None
    assert (section.component, section.channel, section.dead_man_s) == ("switch", 0, 20.0)
    assert section.password_file == Path("plug.password")
    assert settings.slaves[2].device == "Shelly switch 0 at 192.168.1.31"
    assert not settings.core_site().slaves[2].may_draw


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (PLUG[PLUG.index("[slaves.shelly]") :], "", 'driver = "shelly" needs to know where the device is'),
        ('driver = "shelly"\n', "", 'belongs to driver = "shelly"'),
        ("levels_w = [2000]\n", "", "a relay, which knows on and off only. Write levels_w = [2000]"),
        ("levels_w = [2000]", "levels_w = [1000, 2000]", "on and off only"),
        ('phases = "c"', 'phases = "all"', "a Shelly switches one"),
        (
            "levels_w = [2000]\n[slaves.shelly]\n",
            '[slaves.shelly]\ncomponent = "light"\n',
            "Write min_w = 20",
        ),
        ('host = "192', 'dead_man_s = 6.0\nhost = "192', "less than 3 keep-alives of 3 s"),
        ('host = "192', 'component = "cover"\nhost = "192', "component"),
    ],
)
def test_a_shelly_that_cannot_work_is_refused(old: str, new: str, told: str) -> None:
    assert old in PLUG
    with pytest.raises(SettingsError) as refused:
        parsed(PLUG.replace(old, new))
    assert told in str(refused.value)


RELAY = """
[[slaves]]
name = "relay"
slot = 9
driver = "zigbee-switch"
phases = "all"
max_w = 2000
levels_w = [2000]
[slaves.zigbee]
ieee = "00124B001CA1B2C3"
"""


def test_a_zigbee_relay_is_a_device_of_its_own() -> None:
    settings = parsed(RELAY)
    section = settings.slaves[2].zigbee
    assert section is not None
    assert (section.ieee, section.endpoint, section.dead_man_s) == ("00:12:4b:00:1c:a1:b2:c3", 1, 20.0)
    assert settings.slaves[2].device == "Zigbee device 00:12:4b:00:1c:a1:b2:c3, endpoint 1"
    assert not settings.core_site().slaves[2].may_draw


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (RELAY[RELAY.index("[slaves.zigbee]") :], "", 'driver = "zigbee-switch" needs to know which device'),
        ('driver = "zigbee-switch"\n', "", 'belongs to driver = "zigbee-switch" or "zigbee-level"'),
        ("levels_w = [2000]\n", "", "a relay, which knows on and off only. Write levels_w = [2000]"),
        ('switch"\n', 'level"\nmin_w = 1\n', "levels_w"),
        (
            'switch"\nphases = "all"\nmax_w = 2000\nlevels_w = [2000]',
            'level"\nphases = "a"\nmax_w = 3000',
            "Write min_w = 12",
        ),
        ("B2C3", "B2C", "is no IEEE address"),
        ('ieee = "', 'dead_man_s = 6.0\nieee = "', "less than 3 keep-alives of 3 s"),
    ],
)
def test_a_zigbee_relay_that_cannot_work_is_refused(old: str, new: str, told: str) -> None:
    assert old in RELAY
    with pytest.raises(SettingsError) as refused:
        parsed(RELAY.replace(old, new))
    assert told in str(refused.value)


def test_relays_on_zigbee_fit_the_air_or_are_refused_with_the_arithmetic() -> None:
    def relays(count: int) -> str:
        return "".join(
            RELAY.replace("slot = 9", f"slot = {9 + number}")
            .replace('"relay"', f'"relay {number}"')
            .replace("B2C3", f"B2{number:02X}")
            for number in range(count)
        )

    assert len(parsed(relays(9)).slaves) == 11
    with pytest.raises(SettingsError, match=r"12 Zigbee devices are asked 6\.4 times a second"):
        parsed(relays(12))
    with pytest.raises(SettingsError, match="is the same output as that of relay"):
        parsed(RELAY + RELAY.replace("slot = 9", "slot = 10").replace('"relay"', '"twin"'))
