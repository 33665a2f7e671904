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
