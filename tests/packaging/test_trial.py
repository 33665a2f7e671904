"""A new version is judged by its first good minute, and the one before is put back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Script = Callable[[str], Any]


@pytest.fixture
def trial(script: Script) -> Any:
    return script("deb/trial")


def seen(trial: Any, at_s: float, state: str | None = "fallback", **more: Any) -> Any:
    told = {"active": "active", "process": 7, "is_fresh": True} | more
    return trial.Look(at_s=at_s, state=state, **told)


def test_a_minute_in_control_is_good(trial: Any) -> None:
    minute = trial.FirstMinute()
    found = [minute.see(seen(trial, at_s, "hold" if at_s == 30 else "rl_active")) for at_s in range(62)]
    assert found.index(True) == 60


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"state": "safe_stop"}, "its state is safe_stop"),
        ({"state": "init"}, "its state is init"),
        ({"state": None}, "its page does not answer"),
        ({"active": "activating"}, "the service is activating"),
        ({"is_fresh": False}, "it does not tick"),
    ],
)
def test_anything_else_begins_the_minute_again(bad: dict[str, Any], reason: str, trial: Any) -> None:
    minute = trial.FirstMinute()
    for at_s in range(59):
        assert not minute.see(seen(trial, at_s))
    assert not minute.see(seen(trial, 59.0, **bad))
    assert minute.why_not == reason
    found = [minute.see(seen(trial, at_s)) for at_s in range(60, 122)]
    assert found.index(True) == 60


def test_a_new_process_begins_the_minute_again(trial: Any) -> None:
    minute = trial.FirstMinute()
    assert not any(minute.see(seen(trial, at_s, process=7)) for at_s in range(60))
    assert not any(minute.see(seen(trial, at_s, process=8)) for at_s in range(60, 120))
    assert minute.see(seen(trial, 120.0, process=8))


def test_a_version_that_only_misses_samples_is_not_good(trial: Any) -> None:
    minute = trial.FirstMinute()
    assert not any(minute.see(seen(trial, at_s, "hold")) for at_s in range(200))


class TriedInstallation:
    """An installation and the calls of systemctl, with a clock that runs while it sleeps."""

    def __init__(self, trial: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trial, self.base, self.now_s = trial, folder / "opt", 0.0
        self.told: list[tuple[str, ...]] = []
        self.state: Callable[[float], dict[str, Any]] = lambda at_s: {}
        units = self.base / "previous" / "units"
        units.mkdir(parents=True)
        (self.base / "installed").mkdir()
        (self.base / ".venv").symlink_to("installed")
        (self.base / "previous" / "release").write_text("1\n")
        (self.base / "trial-pending").write_text("2\n")
        (units / "sunkeep.service").write_text("old unit\n")
        self.unit, self.override = folder / "unit", folder / "override"
        self.unit.write_text("old unit\n")
        for name, value in {"BASE": self.base, "UNIT": self.unit, "OVERRIDE": self.override}.items():
            monkeypatch.setattr(trial, name, value)
        monkeypatch.setattr(trial, "_systemctl", lambda *words: self.told.append(words))
        monkeypatch.setattr(trial, "look", lambda at_s: seen(trial, at_s, **self.state(at_s)))
        monkeypatch.setattr(trial.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(trial.time, "sleep", self._sleep)
        monkeypatch.setattr(trial.shutil, "which", lambda name: None)
        monkeypatch.setattr(trial.sys, "argv", ["trial"])

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def machine(trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TriedInstallation:
    return TriedInstallation(trial, tmp_path, monkeypatch)


def test_a_good_version_stays(machine: TriedInstallation, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.trial.main() == 0
    assert machine.now_s == machine.trial.GOOD_S
    assert (machine.base / ".venv").readlink() == Path("installed")
    assert not (machine.base / "trial-pending").exists()
    assert machine.told == []
    assert "2 has had its first good minute." in capsys.readouterr().out


def test_a_bad_version_is_put_back_and_says_so(
    machine: TriedInstallation, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.state = lambda at_s: {"active": "activating", "state": None}
    machine.unit.write_text("new unit\n")
    assert machine.trial.main() == 1
    assert machine.now_s >= machine.trial.LIMIT_S
    assert (machine.base / ".venv").readlink() == Path("previous")
    assert machine.override.read_text().endswith("old unit\n")
    verbs = [words[0] for words in machine.told]
    assert verbs == ["stop", "daemon-reload", "start", "try-restart"]
    said = "2 did not come to its first good minute (the service is activating). Put back 1 on "
    assert said in capsys.readouterr().out
    assert (machine.base / "rolled-back").read_text().startswith(said)
    assert not (machine.base / "trial-pending").exists()


def test_an_unchanged_unit_is_not_overridden(machine: TriedInstallation) -> None:
    machine.state = lambda at_s: {"state": "safe_stop"}
    assert machine.trial.main() == 1
    assert not machine.override.exists()


def test_what_an_operator_has_stopped_is_not_judged(machine: TriedInstallation) -> None:
    machine.state = lambda at_s: {"active": "inactive", "state": None} if at_s > 10 else {}
    assert machine.trial.main() == 0
    assert (machine.base / ".venv").readlink() == Path("installed")
    assert machine.told == []
