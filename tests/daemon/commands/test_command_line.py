"""The command line from outside: exit codes, one sentence per failure, no traceback, quick help."""

import errno
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from daemon import __main__ as command_line
from daemon.cli import command_line as all_commands
from daemon.cli.errors import explain
from daemon.commands.status import summary
from daemon.commissioning import preflight
from daemon.config.settings import SettingsError, load_settings, read_site_key
from drivers.errors import ConfigError
from models.bundle import BundleError, builtin_bundle
from tests.support.configuration import CONFIGURATION, write_configuration

HEAVY = ("zigpy", "bellows", "onnxruntime", "numpy", "pymodbus", "pydantic", "structlog", "asyncio", "torch")


def sunkeep(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"STATE_DIRECTORY": str(folder)} if folder else {})
    return subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_whatever_is_imported_before_the_first_command_may_be_interrupted() -> None:
    """Python's own handler would raise inside an import, and print a traceback."""
    program = (
        "import signal, sys; import daemon.cli.interrupts\n"
        "unguarded = []\n"
        "class Watch:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL: unguarded.append(name)\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import daemon.__main__\n"
        "print(unguarded, signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "['daemon.__main__'] True\n"


def test_help_and_version_are_quick() -> None:
    program = (
        "import sys; from daemon.__main__ import main\n"
        "codes = main(['--help']), main(['--version'])\n"
        f"print(codes, [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "(0, 0) []"
    assert re.search(r"^sunkeep, version \d+\.\d+\.\d+$", done.stdout, re.MULTILINE)
    for name in all_commands.COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", all_commands.COMMANDS)
def test_every_command_of_the_help_exists(name: str) -> None:
    with click.Context(all_commands.sunkeep) as context:
        command = all_commands.sunkeep.get_command(context, name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_unknown_commands_and_options_exit_2() -> None:
    for arguments in (["nonsense"], ["check", "--nonsense"], ["status", "--port", "x"]):
        assert command_line.main(arguments) == 2


def test_check_walks_the_list(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, CONFIGURATION + f"[status]\nport = {free_port()}\n")
    done = sunkeep("check", "--config", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.startswith("OK") for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) == 12


def test_check_names_every_item_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = CONFIGURATION.replace("sdm630", "sdm999").replace("socket://127.0.0.1:6638", "/dev/none")
        text += f'[status]\nport = {port}\n[policy]\nbundle = "no-such-bundle"\n'
        path = write_configuration(tmp_path, text)
        (tmp_path / "site.key").chmod(0o644)
        (tmp_path / "state").write_text("not a folder")
        assert command_line.main(["check", "--json", "--config", str(path)]) == 78
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    failed = {item["name"]: item["detail"] for item in answer["items"] if not item["ok"]}
    assert set(failed) == {
        "site key",
        "meter profile",
        "radio port",
        "policy bundle",
        "state folder",
        "status port",
    }
    assert "chmod 600" in failed["site key"]
    assert "sdm630" in failed["meter profile"]
    assert str(tmp_path / "no-such-bundle") in failed["policy bundle"]
    assert all(len(detail) > 20 for detail in failed.values())


def test_a_refused_configuration_exits_78_with_its_lines(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, CONFIGURATION.replace("max_w = 3000", "max_w = 9000"))
    done = sunkeep("meter", "read", "--config", str(path))
    assert done.returncode == 78
    assert done.stderr.startswith(f"{path}:22: slaves.0.max_w: 9000 W is more than one phase carries")
    assert "Traceback" not in done.stderr


def test_a_broken_bundle_exits_78(tmp_path: Path) -> None:
    for file in builtin_bundle().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    policy = tmp_path / "policy.onnx"
    policy.write_bytes(policy.read_bytes()[:-1] + b"\x00")
    done = sunkeep("model", "verify", str(tmp_path))
    assert done.returncode == 78
    assert "policy.onnx" in done.stderr
    assert "Traceback" not in done.stderr
    assert command_line.main(["model", "verify"]) == 0
    for name in ("builtin", "clone"):
        assert command_line.main(["model", "verify", name]) == 0


def test_a_key_that_only_wants_its_owner_is_not_to_be_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_configuration(tmp_path)
    settings = load_settings(path)
    foreign = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(foreign))
    with pytest.raises(SettingsError, match="Permission denied") as caught:
        read_site_key(settings, path)
    assert "zigbee key" not in str(caught.value)
    assert "chown" in str(caught.value)


def test_an_item_that_cannot_be_looked_at_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_configuration(tmp_path)
    foreign = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/var/lib/sunkeep")
    monkeypatch.setattr(preflight, "_counter", lambda _: (_ for _ in ()).throw(foreign))
    items = {item.name: item for item in preflight.walk(path)}
    assert len(items) == 12
    assert not items["frame counter"].ok
    assert items["frame counter"].detail.startswith("/var/lib/sunkeep: Permission denied")


def test_status_and_report_find_what_the_daemon_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    path = write_configuration(tmp_path, CONFIGURATION + f"[status]\nport = {port}\n")
    assert command_line.main(["status", "--config", str(path)]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "daemon.commands.report.JournalSection", lambda: SimpleNamespace(directory=tmp_path / "none")
    )
    assert command_line.main(["report"]) == 2
    assert f"No journal in {tmp_path / 'none'} or {tmp_path / 'sunkeep/embedded/journal'}" in (
        " ".join(capsys.readouterr().err.split())
    )
    (tmp_path / "sunkeep/embedded/journal").mkdir(parents=True)
    assert command_line.main(["report"]) == 2
    assert "no *.journal file in this directory" in " ".join(capsys.readouterr().err.split())


def test_meters_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["meter", "profiles", "--json"]) == 0
    assert "SDM630" in json.loads(capsys.readouterr().out)["sdm630"]


def test_status_without_a_daemon_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["status", "--port", str(free_port())]) == 2
    assert "sunkeep run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError([]), 78, ""),
        (ConfigError("no such profile"), 78, "no such profile"),
        (BundleError("Bad.", "Copy it again."), 78, "Bad. Copy it again."),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (OSError(98, "Address already in use"), 2, "The port is in use"),
        (click.ClickException("no"), 1, "Error: no"),
    ],
)
def test_failures_become_exit_codes(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(all_commands.sunkeep, "main", fail)
    assert command_line.main([]) == code
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown


def test_a_fault_of_the_program_leaves_a_report_without_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "c0ffee11" * 8

    def fail(**_: object) -> None:
        raise ZeroDivisionError(f"with {secret}")

    monkeypatch.setattr(all_commands.sunkeep, "main", fail)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert command_line.main([]) == 70
    shown = capsys.readouterr().err
    assert "because of a fault of its own" in shown
    (report,) = tmp_path.iterdir()
    assert str(report) in shown
    assert len(shown.splitlines()) == 1
    assert report.stat().st_mode & 0o077 == 0
    content = report.read_text()
    assert "Traceback" in content
    assert secret not in content + shown


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ANSWER: dict[str, Any] = {
    "site": {"name": "Home"},
    "headline": {"text": "All solar power stays here"},
    "acting": {"who": "The policy", "why": "because it may", "source": "policy", "state": "rl_active"},
    "phases": [{"name": "a", "grid_w": -12.5, "placed_w": None, "on_air_w": 300}],
    "energy": {"today": {"exported_wh": 3.0, "without_exported_wh": 1234.5}},
    "details": {"judge_failed": False, "judged": {"hours": 0}, "judged_in_shadow": {"hours": 0}},
    "chart": [[0, 1], [1, 2], [2, 3], [3, 4]],
}


BETTER = {"excess": -0.31, "low": -0.46, "high": -0.12}
UNSETTLED = {"excess": 0.04, "low": -0.2, "high": None}
UNKNOWN = {"excess": None, "low": -1.0, "high": None}
NOTHING = {"hours": 0, "export": UNKNOWN, "j": UNKNOWN}


@pytest.mark.parametrize(
    ("live", "shadow", "failed", "words"),
    [
        (NOTHING, NOTHING, False, ""),
        (
            {"hours": 34, "export": BETTER, "j": UNSETTLED},
            NOTHING,
            False,
            "34 h against the fallback: export -31% (-46% to -12%), J +4% (not settled)",
        ),
        (
            NOTHING,
            {"hours": 2, "export": UNSETTLED, "j": UNKNOWN},
            False,
            "2 h against the fallback, in the shadow: export +4% (not settled), J -",
        ),
        (NOTHING, NOTHING, True, "no longer: the judge failed, see the log"),
    ],
)
def test_status_tells_what_was_judged(live: object, shadow: object, failed: bool, words: str) -> None:
    details = {"judge_failed": failed, "judged": live, "judged_in_shadow": shadow}
    told = [line for line in summary(ANSWER | {"details": details}) if line.startswith("judged")]
    assert told == ([f"judged   {words}"] if words else [])


@pytest.mark.parametrize(
    ("options", "body", "code", "words"),
    [
        ([], ANSWER, 0, ["Home: All solar power stays here", "The policy acts because it may", "1234.5 Wh"]),
        (
            [],
            ANSWER | {"acting": ANSWER["acting"] | {"who": "All slaves rest", "source": "rest"}},
            0,
            ["All slaves rest, because it may (rl_active)"],
        ),
        (["--all"], ANSWER, 0, ["acting.state ", "(4 entries)", "phases.0.placed_w "]),
        (["--json"], ANSWER, 0, ['"site": {"name": "Home"}']),
        ([], {"other": 1}, 2, ["another version"]),
        ([], "not json", 2, ["is not Sunkeep"]),
        (["--json"], [], 2, ["is not Sunkeep"]),
    ],
)
def test_status_shows_what_the_daemon_answers(
    options: list[str], body: object, code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>" if body == "not json" else json.dumps(body).encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert command_line.main(["status", "--port", str(server.server_port), *options]) == code
        thread.join()
    shown = capsys.readouterr()
    for word in words:
        assert word in shown.out + shown.err


@pytest.mark.parametrize(
    ("number", "filename", "words"),
    [
        (errno.ENOENT, "/proc/x", "/proc/x cannot be used (No such file or directory)"),
        (errno.EACCES, "/proc/y", "/proc/y cannot be used (Permission denied)"),
        (errno.ENOSPC, None, "The disk cannot be written (No space left on device)"),
        (errno.EDQUOT, "/x", "/x cannot be written"),
    ],
)
def test_a_path_that_cannot_be_used_is_no_fault_of_the_program(
    number: int, filename: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(OSError(number, os.strerror(number), filename)) == 2
    assert words in capsys.readouterr().err


def used_up(state: Path, reserved: int) -> None:
    """A frame counter that has come so far."""
    record = b"SKcount1" + struct.pack("<Q", reserved)
    record += struct.pack("<I", zlib.crc32(record))
    (state / "frame-counter").write_bytes(record.ljust(4096, b"\0") + record)


@pytest.mark.parametrize(("left", "code", "said"), [(0, 78, "0 of 4294967295"), (9, 78, "9 of 4294967295")])
def test_counters_at_their_end_are_an_item_of_the_checklist(
    tmp_path: Path, left: int, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_configuration(tmp_path, CONFIGURATION + f"[status]\nport = {free_port()}\n")
    (tmp_path / "state").mkdir(exist_ok=True)
    used_up(tmp_path / "state", 2**32 - 1 - left)
    assert command_line.main(["check", "--config", str(path)]) == code
    told = capsys.readouterr().out
    assert said in told
    assert "sunkeep zigbee key" in told


def test_a_start_without_counters_is_a_sentence_and_no_fault_of_the_program(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, CONFIGURATION + f"[status]\nport = {free_port()}\n")
    (tmp_path / "state").mkdir(exist_ok=True)
    used_up(tmp_path / "state", 2**32 - 1)
    done = sunkeep("run", "--config", str(path))
    assert done.returncode == 78
    assert "commission a new site key" in done.stderr
    assert "Traceback" not in done.stderr
