"""The service manager hears what it should, on both kinds of socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.system import sd_notify


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@sunkeep-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        listener.settimeout(2.0)
        yield listener


def test_messages(manager: socket.socket) -> None:
    assert sd_notify.ready("policy 3\nWATCHDOG=1")
    assert manager.recv(200) == b"READY=1\nSTATUS=policy 3 WATCHDOG=1"
    assert sd_notify.alive()
    assert manager.recv(200) == b"WATCHDOG=1"
    assert sd_notify.status("x" * 1000)
    assert manager.recv(2000) == b"STATUS=" + b"x" * sd_notify.STATUS_CHARS
    assert sd_notify.stopping()
    assert manager.recv(200) == b"STOPPING=1\nSTATUS=resting"


def test_a_manager_that_does_not_read_does_not_block(manager: socket.socket) -> None:
    answers = {sd_notify.alive() for _ in range(5000)}
    assert answers == {True, False}


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:1:2", "@" + "x" * 500, "/tmp\0/x"])
def test_nobody_listening_is_no_error(address: str) -> None:
    assert sd_notify.notify("READY=1", {"NOTIFY_SOCKET": address}) is False


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("10000000", None, 5.0),
        pytest.param("10000000", str(os.getpid()), 5.0, id="mine"),
        ("10000000", "1", None),
        ("0", None, None),
        ("x", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(usec: str | None, pid: str | None, expected: float | None) -> None:
    given = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    environment = {name: value for name, value in given.items() if value is not None}
    assert sd_notify.watchdog_interval_s(environment) == expected
