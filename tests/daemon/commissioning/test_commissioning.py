"""A new site: key and counter are made once, and together they let a daemon begin."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon.__main__ import main
from daemon.commands.installing.zigbee import key
from daemon.commissioning.embedded_site import site_key
from daemon.commissioning.keys import begin_state, make_key
from daemon.runtime.state_directory import COUNTER_FILE, hold_state
from daemon.runtime.supervisor_state import SupervisorStateFile
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter
from safety.timers import PersistentFaults

EXAMPLE = Path(__file__).parents[3] / "docs" / "sunkeep.example.toml"


def test_the_command_makes_a_private_key_and_a_counter_once(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    text = EXAMPLE.read_text().replace("/var/lib/sunkeep", str(tmp_path / "state"))
    config.write_text(text)
    made = CliRunner().invoke(key, ["--config", str(config)])
    assert made.exit_code == 0, made.output
    file = tmp_path / "site.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(file.read_text().strip())) == 32
    before = file.read_text()
    assert CliRunner().invoke(key, ["--config", str(config)]).exit_code == 2
    assert file.read_text() == before


def test_no_key_is_left_where_the_state_folder_cannot_be_made(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(EXAMPLE.read_text().replace("/var/lib/sunkeep", str(tmp_path / "file" / "state")))
    (tmp_path / "file").write_text("")
    refused = CliRunner().invoke(key, ["--config", str(config)])
    assert refused.exit_code == 2
    assert "state cannot be written: Not a directory" in refused.output
    assert not (tmp_path / "site.key").exists()
    (tmp_path / "file").unlink()
    assert CliRunner().invoke(key, ["--config", str(config)]).exit_code == 0


def test_beginning_again_keeps_the_counter(tmp_path: Path) -> None:
    begin_state(tmp_path)
    used = FrameCounter.open(tmp_path / COUNTER_FILE).take()
    begin_state(tmp_path)
    assert FrameCounter.open(tmp_path / COUNTER_FILE).take() > used


def test_a_commissioned_site_has_nothing_standing_and_a_lost_record_costs_an_hour(tmp_path: Path) -> None:
    begin_state(tmp_path)
    assert SupervisorStateFile(tmp_path).restore().left_s == ()
    for copy in tmp_path.glob("standing.*"):
        copy.unlink()
    standing = SupervisorStateFile(tmp_path).restore()
    assert dict(standing.left_s) == {"state_lost": 3600.0}
    assert standing != PersistentFaults()


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    make_key(tmp_path / "site.key")
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "site.key")


def test_a_second_embedded_site_leaves_the_running_one_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "sunkeep" / "embedded"
    with hold_state(folder):
        (folder / "totals.json").write_text("{}")
        assert main(["run", "--plain", "--status-port", "0"]) == 78
        assert {path.name for path in folder.iterdir()} == {"lock", "totals.json"}
    assert "another sunkeep holds" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "no key", "00" * 15, "00" * 40])
def test_a_damaged_key_of_a_simulated_site_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "site.key").write_text(content)
    with pytest.raises(ConfigError, match=r"site\.key does not hold a key"):
        site_key(tmp_path)
