"""The meter that was set up is remembered whole, and what cannot be understood is not taken for nothing."""

import os
from pathlib import Path

import pytest

from daemon.runtime.meter_identity import IdentityFile
from drivers.errors import ConfigError


def test_the_first_meter_that_has_something_to_say_is_remembered(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path / "meter-identity")
    assert file.load() is None
    file.keep(None)
    file.keep(())
    assert file.load() is None
    file.keep((291, 17767))
    file.keep((1, 2))
    assert file.load() == (291, 17767)
    assert [path.name for path in tmp_path.iterdir()] == ["meter-identity"]
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    ["", "[291, 177", "[]", "{}", "null", "5", "NaN", "[1.5]", '["291"]', "[true]", "\x00", "[" * 10**5],
)
def test_a_damaged_record_is_refused_and_kept_until_somebody_has_looked(tmp_path: Path, content: str) -> None:
    file = IdentityFile(tmp_path / "meter-identity")
    file.path.write_text(content)
    with pytest.raises(ConfigError, match=r"meter-identity is damaged.*remove the file"):
        file.load()
    file.keep((291, 17767))
    assert file.path.read_text() == content


def test_a_disk_that_refuses_costs_the_memory_alone(tmp_path: Path) -> None:
    IdentityFile(tmp_path / "none" / "meter-identity").keep((1,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_remembers_the_user_of_the_state_folder_can_read(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    file = IdentityFile(tmp_path / "meter-identity")
    file.keep((291, 17767))
    assert (file.path.stat().st_uid, file.path.stat().st_gid) == (65534, 65534)
