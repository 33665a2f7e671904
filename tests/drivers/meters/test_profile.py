"""Profiles: what ships is sound, and what is not is refused with file, key and reason."""

from pathlib import Path

import pytest

from drivers.errors import ConfigError
from drivers.meters.profile import load_profile, profile_names

GOOD = """
title = "a meter"
source = "its manual"
verified = "not verified on hardware"
function = 4
max_registers = 50
blocks = [{ address = 0, count = 18 }, { address = 70, count = 6 }]
[quantities]
power_w = { addresses = [12, 14, 16], type = "f32" }
frequency_hz = { addresses = [70], type = "f32" }
"""


def test_the_profiles_that_ship_are_sound_and_honest() -> None:
    assert {"sdm630", "sdm72d-m-v2", "em24", "em340", "b23", "umg", "iem3155", "dtsu666"} <= {
        *profile_names()
    }
    for name in profile_names():
        profile = load_profile(name)
        assert profile.source
        assert "not verified on hardware" in profile.verified
        assert profile.power_block not in profile.slow_blocks


def test_an_own_profile_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert load_profile(file).power_block.count == 18


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'sdm360'; known: b23, .*sdm630"):
        load_profile("sdm360")


@pytest.mark.parametrize("name", ["../sdm630", "", "profiles/sdm630", "sdm630.toml"])
def test_a_name_is_no_way_around(name: str) -> None:
    with pytest.raises(ConfigError):
        load_profile(name)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("function = 4", "function = 5", "function"),
        ("function = 4", "fuction = 4", "fuction: Extra inputs are not permitted"),
        ('type = "f32" }\nfreq', 'type = "f64" }\nfreq', r"quantities.power_w.type"),
        ("count = 18", "count = 60", "longer than max_registers = 50"),
        ("count = 18", "count = 6", "a count of its own"),
        ("count = 18", "count = 126", "blocks.0.count"),
        ("count = 18", "count = 17", "power_w: registers .* do not lie in one block"),
        ("count = 18", 'count = "18"', "blocks.0.count"),
        ("[12, 14, 16]", "[12, 14]", "power_w: 3 addresses needed, got 2"),
        ("[70]", "[70, 72]", "frequency_hz: 1 addresses needed"),
        ("[70]", "[-1]", "frequency_hz.addresses.0"),
        ("frequency_hz", "total_power_w", "total_power_w must lie in the same block as power_w"),
        ('addresses = [70], type = "f32"', 'addresses = [70], type = "f32", scale = nan', "scale"),
        ('addresses = [70], type = "f32"', 'addresses = [70], type = "f32", scale = 0.0', "scale"),
        ("max_registers = 50", "max_registers = ", "not valid TOML"),
        ("[quantities]", "", "quantities"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    file = tmp_path / "mine.toml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=reason) as caught:
        load_profile(file)
    assert str(file) in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot read"):
        load_profile(tmp_path / "gone.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        load_profile(tmp_path / "binary.toml")
