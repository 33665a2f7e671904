"""What outlives the process lies in the state directory, and comes back as it was saved."""

from pathlib import Path

import pytest

from daemon.runtime.supervisor_state import SupervisorStateFile
from daemon.system.clock import boottime_s
from safety.timers import PersistentFaults, start


def test_it_lies_in_the_state_directory_and_nowhere_else(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    SupervisorStateFile(directory).begin()
    SupervisorStateFile(directory).save(PersistentFaults())
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "state/standing.a",
        "state/standing.b",
    }


def test_a_fallback_comes_back_and_a_lost_record_costs_an_hour(tmp_path: Path) -> None:
    now_s = boottime_s()
    SupervisorStateFile(tmp_path).save(start(PersistentFaults(at_s=now_s), "anomaly"))
    back = SupervisorStateFile(tmp_path).restore()
    assert back.at_s is not None
    assert dict(back.left_s)["anomaly"] + back.at_s == pytest.approx(now_s + 86400.0, abs=1e-6)
    for copy in tmp_path.iterdir():
        copy.write_bytes(b"")
    assert dict(SupervisorStateFile(tmp_path).restore().left_s) == {"state_lost": 3600.0}


def test_to_begin_does_not_forgive_what_stands(tmp_path: Path) -> None:
    SupervisorStateFile(tmp_path).save(start(PersistentFaults(at_s=boottime_s()), "violation"))
    SupervisorStateFile(tmp_path).begin()
    assert "violation" in dict(SupervisorStateFile(tmp_path).restore().left_s)


def test_a_refusing_disk_does_not_stop_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", refuse)
    SupervisorStateFile(tmp_path).save(PersistentFaults())
    assert dict(SupervisorStateFile(tmp_path).restore().left_s) == {"state_lost": 3600.0}
