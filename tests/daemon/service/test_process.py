"""The daemon as a process: kills, signals at any moment, and what is seen of them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from daemon.service.restarts import STORM

STARTED = re.compile(r'"status": ?"(http://[^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running far end."""
    folder = tmp_path_factory.mktemp("plant")
    arguments = [
        "--meter-port",
        "0",
        "--radio-port",
        "0",
        "--status-port",
        "0",
        "--write-config",
        str(folder),
    ]
    command = [sys.executable, "-m", "daemon", "plant", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("day"):
                break
        yield folder / "site.toml"
        process.terminate()


class Daemon:
    """One process of `sunkeep run`."""

    def __init__(self, site: Path, log: Path) -> None:
        self._log = log
        self._stream = log.open("wb")
        command = [sys.executable, "-m", "daemon", "run", "--plain", "--config", str(site)]
        self.process = subprocess.Popen(command, stderr=self._stream)

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_started(self) -> str:
        """Address of the status page."""
        ends_s = time.monotonic() + 60.0
        while (found := STARTED.search(self.text())) is None:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < ends_s, self.text()
            time.sleep(0.05)
        return found[1]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._stream.close()
        return code


def test_kills_one_after_the_other_are_a_restart_storm_and_ordered_restarts_are_not(
    site: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for _ in range(STORM):
        daemon = Daemon(site, log)
        daemon.wait_started()
        assert "restart_storm" not in daemon.text()
        daemon.end(signal.SIGKILL)
    for _ in range(2):  # an orderly restart neither adds to it nor ends it
        daemon = Daemon(site, log)
        address = daemon.wait_started()
        assert '"restart_storm"' in daemon.text()
        causes: list[str] = []
        ends_s = time.monotonic() + 30.0
        while not causes and time.monotonic() < ends_s:
            causes = json.load(urlopen(f"{address}status.json"))["acting"]["causes"]
            time.sleep(0.1)
        assert "restart_storm" in causes
        assert daemon.end(signal.SIGTERM) == 0


def test_what_the_daemon_writes_is_its_users_alone(site: Path, tmp_path: Path) -> None:
    """Also where nobody but the daemon says so: under the usual umask of a shell."""
    state = tmp_path / "state"
    config = tmp_path / "site.toml"
    config.write_text(re.sub(r'(?m)^(directory = )".*"$', rf'\1"{tmp_path / "journal"}"', site.read_text()))
    text = config.read_text()
    shutil.copytree(
        site.parent, state, ignore=shutil.ignore_patterns("*.toml", "journal", "*.sock", "control")
    )
    text = re.sub(r'(?m)^\[state\]\ndirectory = ".*"$', f'[state]\ndirectory = "{state}"', text)
    config.write_text(text.replace('key_file = "', f'key_file = "{site.parent}/'))
    state.chmod(0o700)
    before = os.umask(0o022)
    try:
        daemon = Daemon(config, tmp_path / "log")
        daemon.wait_started()
        time.sleep(2.0)
        assert daemon.end(signal.SIGTERM) == 0
    finally:
        os.umask(before)
    modes = {
        str(path): path.lstat().st_mode for top in (state, tmp_path / "journal") for path in top.rglob("*")
    }
    modes |= {str(top): top.stat().st_mode for top in (state, tmp_path / "journal")}
    assert {"totals.json"} <= {Path(name).name for name in modes}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_a_hangup_at_any_moment_of_the_start_ends_nothing(site: Path, tmp_path: Path) -> None:
    daemon = Daemon(site, tmp_path / "log")
    while STARTED.search(daemon.text()) is None and daemon.process.poll() is None:
        if _handles(daemon.process.pid, signal.SIGHUP):
            daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    assert daemon.process.poll() is None, daemon.text()
    assert daemon.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0])
def test_an_interrupt_at_any_moment_of_the_start_leaves_no_traceback(
    site: Path, tmp_path: Path, after_s: float
) -> None:
    daemon = Daemon(site, tmp_path / "log")
    while not _handles(daemon.process.pid, signal.SIGHUP):
        time.sleep(0.001)
    time.sleep(after_s)
    code = daemon.end(signal.SIGINT)
    assert code in (0, 130, -signal.SIGINT)
    assert "Traceback" not in daemon.text()
    assert "KeyboardInterrupt" not in daemon.text()


def _handles(pid: int, number: int) -> bool:
    """Whether a process catches or ignores a signal by now: before Python runs our code, nobody can."""
    masks = dict(re.findall(r"(SigIgn|SigCgt):\s+(\w+)", Path(f"/proc/{pid}/status").read_text()))
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks.values())
