"""A sweep by its command: in words, and all of it on Ray, here and by an address."""

import json
import logging
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from training.artifacts.checkpoint import BEST_FILE
from training.sweep.__main__ import main
from training.sweep.surroundings import AddressError, in_a_sentence, require_cluster

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is an extra of its own: make setup-sweep"
)


def words_of(traces: Path, out: Path, *more: object) -> list[str]:
    words = ("--learner", "replay", "--traces", traces, "--out", out, "--short", "--processors", 2, *more)
    return [str(word) for word in words]


def test_bad_input_is_refused_in_words(traces: Path, transitions: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, reason in (
        (words_of(traces, tmp_path / "1", "--range", "speed=1:2"), "no setting 'speed'"),
        (words_of(traces, tmp_path / "2", "--data", transitions), "replay learns on --traces alone"),
        (words_of(traces, tmp_path / "2", "--grace", 3), "--grace 3: a trial has no more than 2 judgements"),
        (words_of(traces, tmp_path / "3", "--address", "ray://head:10001"), "without a scheme"),
        (words_of(traces, tmp_path / "3", "--address", f"127.0.0.1:{free_port()}"), "no Ray cluster answers"),
        (words_of(traces, tmp_path / "3", "--address", "head"), "give HOST:PORT"),
        (words_of(tmp_path / "empty", tmp_path / "4"), "SUMMARY.json"),
        (["--learner", "bc", "--traces", str(traces), "--out", str(tmp_path / "5")], "needs --data"),
    ):
        refused = CliRunner().invoke(main, words)
        assert refused.exit_code == 2, refused.output
        assert reason in " ".join(refused.output.split())


def test_without_ray_it_says_what_to_install(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "training.sweep.cluster", raising=False)
    refused = CliRunner().invoke(main, words_of(traces, tmp_path / "out"))
    assert refused.exit_code == 1
    assert "pip install -e '.[train,sweep]'" in refused.output


def swept(*words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "training.sweep", *words, "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 600
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(address: str) -> bool:
    try:
        require_cluster(address)
    except AddressError:
        return False
    return True


RANGE = ("--range", "learning_rate=1e-5,0.01")


def test_what_ray_logs_of_its_copies_is_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    noisy = logging.getLogger("a copy")
    noisy.addFilter(in_a_sentence)
    for error in (FileNotFoundError("a file just replaced"), PermissionError("the disk is closed")):
        try:
            raise error
        except OSError:
            noisy.error("Saving failed with exception: ", exc_info=True)
    noisy.error("plain")
    noisy.removeFilter(in_a_sentence)
    assert caplog.messages == ["Saving failed with exception: the disk is closed", "plain"]
    assert "Traceback" not in caplog.text


@needs_ray
@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_ends_the_worse_trials_early(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = words_of(traces, out, "--trials", 4, "--seed", 2, *RANGE)
    begun = subprocess.Popen(
        [sys.executable, "-m", "training.sweep", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: bool(list(out.glob("ray/trial-*/checkpoint_*"))) or begun.poll() is not None)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    kept = list(out.glob("ray/trial-*/checkpoint_*"))
    assert kept, "no trial had reached a judgement when the sweep ended"
    trials = swept(*words)
    assert trials == json.loads((out / "sweep.json").read_text())
    assert sorted(trial["number"] for trial in trials) == [0, 1, 2, 3]
    assert not any(trial["error"] for trial in trials)
    assert [trial["j_w"] for trial in trials] == sorted(trial["j_w"] for trial in trials)
    assert any(trial["is_whole"] for trial in trials)
    assert trials[0]["settings"]["learning_rate"] == 0.01
    assert Path(trials[0]["weights"]).is_file()
    assert Path(trials[0]["weights"]).name == BEST_FILE
    refused = CliRunner().invoke(main, words_of(traces, out, "--trials", 5, *RANGE))
    assert "holds a sweep of other data or settings" in " ".join(refused.output.split())


@needs_ray
@pytest.mark.slow
def test_a_cluster_by_its_address_finds_what_this_machine_finds(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--trials", 2, "--seed", 2, "--grace", 2, *RANGE)
    here = swept(*words_of(traces, tmp_path / "here", *words))
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    start = ["start", "--head", "--block", "--num-cpus", "2", "--include-dashboard", "false"]
    start += ["--node-ip-address", "127.0.0.1", "--port", address.partition(":")[2]]
    command = [sys.executable, "-m", "ray.scripts.scripts", *start]
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(address))
        there = swept(*words_of(traces, tmp_path / "there", "--address", address, *words))
    finally:
        head.terminate()
        head.wait()
    assert [(t["number"], t["j_w"]) for t in there] == [(t["number"], t["j_w"]) for t in here]
