"""The log never waits, never floods, never tells a key, and stays one line per event."""

import asyncio
import json
import logging
import os
import pty
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon.system.log import REPEAT_EVERY_S, VALUE_CHARS, Output, start_log
from drivers.redaction import guard_logs
from tests.support.full_daemon import until, whole

KEY = "00112233445566778899aabbccddeeff"


Begin = Callable[..., Output]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`start_log`, without pytest's own handlers."""
    root = logging.getLogger()
    outputs: list[Output] = []

    def start(*arguments: Any, **options: Any) -> Output:
        for handler in list(root.handlers):  # pytest's own raises on malformed messages
            if type(handler).__module__.startswith("_pytest"):
                root.removeHandler(handler)
        outputs.append(start_log(*arguments, **options))
        return outputs[-1]

    yield start
    for output in outputs:
        output.close()


@pytest.fixture
def ends() -> Iterator[tuple[int, Callable[[], list[str]]]]:
    """The descriptor to write to, and what has arrived so far."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def arrived() -> list[str]:
        try:
            return os.read(reader, 1_000_000).decode().splitlines()
        except BlockingIOError:
            return []

    yield writer, arrived
    os.close(reader)
    os.close(writer)


def record(line: str) -> dict[str, Any]:
    priority, _, rest = line.partition(">")
    assert priority in {f"<{number}" for number in range(2, 8)}
    parsed: dict[str, Any] = json.loads(rest)
    return parsed


Ends = tuple[int, Callable[[], list[str]]]


def test_events_become_json_lines_with_a_priority(ends: Ends, begin: Begin) -> None:
    writer, arrived = ends
    begin(writer)
    log = structlog.get_logger()
    log.warning("meter_lost", age_s=2.6, phases_w=(1.0, 2.5, float("nan")), where=None, up=False)
    log.debug("not_shown")
    (line,) = arrived()
    assert line.startswith('<4>{"event":"meter_lost",')
    parsed = record(line)
    assert parsed.pop("at_utc").endswith("Z")
    assert parsed == {
        "event": "meter_lost",
        "level": "warning",
        "age_s": 2.6,
        "phases_w": [1.0, 2.5, "nan"],
        "where": None,
        "up": False,
    }


def test_values_are_escaped_capped_and_without_keys(ends: Ends, begin: Begin) -> None:
    writer, arrived = ends
    begin(writer)
    structlog.get_logger().info(
        "joined",
        name="a\nb\x1b[31m\x00\u2028",
        long="x" * 1000,
        network_key="anything at all",
        text=f"key is {KEY}, or {':'.join([KEY[i : i + 2] for i in range(0, 32, 2)])}",
        raw=bytes.fromhex(KEY),
        listed=list(bytes.fromhex(KEY)),
        nested={"key": KEY, "deep": {"link_key": "secret"}},
        address="00:0d:6f:00:0a:90:69:e7",
    )
    (line,) = arrived()
    parsed = record(line)
    assert line.isprintable()
    assert parsed["name"] == "a\\nb\\x1b[31m\\x00\\u2028"
    assert parsed["long"] == "x" * (VALUE_CHARS - 3) + "..."
    assert parsed["address"] == "00:0d:6f:00:0a:90:69:e7"
    for leak in (KEY, KEY[:8], "00:11:22", "anything", "secret", "0, 17, 34"):
        assert leak not in line


def test_a_repeated_event_passes_once_in_ten_seconds_and_counts(ends: Ends, begin: Begin) -> None:
    writer, arrived = ends
    now_s = 100.0
    begin(writer, clock=lambda: now_s)
    log = structlog.get_logger()
    for step in range(25):
        now_s = 100.0 + step
        log.warning("meter_lost")
        log.info("other")
    lines = [record(line) for line in arrived()]
    for event in ("meter_lost", "other"):
        counts = [line.get("suppressed", 0) for line in lines if line["event"] == event]
        assert counts == [0, REPEAT_EVERY_S - 1, REPEAT_EVERY_S - 1]


async def test_every_state_and_every_refusal_is_in_the_log_however_close(
    ends: Ends, begin: Begin, tmp_path: Path
) -> None:
    writer, arrived = ends
    begin(writer)
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 1000.0, 20.0)
        pair.far_end.meter.faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 5.0)
        pair.far_end.meter.faults.mute = False
        for wrong in ("nonsense", "mode = 3"):
            (tmp_path / "site.toml").write_text(wrong)
            await asyncio.sleep(2.5)
        await pair.stop()
    lines = arrived()
    told = [(line[:3], record(line)) for line in lines]
    verdicts = {tick.decision.verdict for tick in pair.ticks()}
    assert {"hold", "safe_stop"} < {verdict.state.value for verdict in verdicts}
    in_log = {(line["state"], line["causes"]) for _, line in told if line["event"] == "state"}
    assert in_log == {(verdict.state.value, ",".join(verdict.causes)) for verdict in verdicts}
    refused = [
        (priority, line["reason"]) for priority, line in told if line["event"] == "configuration_refused"
    ]
    assert [priority for priority, _ in refused] == ["<4>", "<4>"]
    assert len({reason for _, reason in refused}) == 2


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_stalls_costs_lines_never_time(kind: str) -> None:
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (end.detach() for end in socket.socketpair())
    output = Output(writer)
    try:
        line = b"x" * 999 + b"\n"
        for _ in range(2000):
            output.write(line)
        assert output.dropped_lines > 500
        assert os.get_blocking(writer)  # others may share the descriptor
        received = os.read(reader, 10_000_000)
        before = output.dropped_lines
        output.write(b"after\n")
        output.write(b"and on\n")
        assert output.dropped_lines == before
        received += os.read(reader, 10_000_000)
        lines = received.split(b"\n")
        assert set(lines) <= {b"x" * 999, b"after", b"and on", b""}  # none was torn
        assert lines[-3:] == [b"after", b"and on", b""]
    finally:
        output.close()
        os.close(reader)
        os.close(writer)


def test_a_reader_that_left_is_no_error() -> None:
    reader, writer = os.pipe()
    output = Output(writer)
    os.close(reader)
    output.write(b"line\n")
    assert output.dropped_lines == 1
    output.close()
    os.close(writer)


@pytest.mark.parametrize("guarded", [False, True])
def test_libraries_speak_through_the_same_lines_from_warning_on(
    ends: Ends, begin: Begin, guarded: bool
) -> None:
    """Also behind the filter that the radio puts before them."""
    writer, arrived = ends
    if guarded:
        logging.getLogger("zigpy.application")
        guard_logs()
    begin(writer)
    begin(writer)  # a second call does not double them
    library = logging.getLogger("zigpy.application")
    library.info("chatter")
    library.warning("joined with network_key=%s", [1] * 16)
    library.error("malformed %d", "text")
    try:
        raise ValueError(f"bad {KEY}")
    except ValueError:
        library.exception("failed")
    lines = arrived()
    assert [record(line)["message"] for line in lines][1:] == ["malformed %d", "failed"]
    assert record(lines[0])["logger"] == "zigpy.application"
    assert record(lines[2])["error"].startswith("ValueError: bad ")
    assert "1, 1, 1" not in lines[0]
    assert KEY not in lines[2]


def test_an_exception_is_one_line_without_a_traceback(ends: Ends, begin: Begin) -> None:
    writer, arrived = ends
    begin(writer)
    try:
        raise OSError("no\nway")
    except OSError:
        structlog.get_logger().exception("write_failed")
    (line,) = arrived()
    assert record(line)["error"] == "OSError: no\\nway"
    assert record(line)["raised_at"].startswith("test_log.py:")
    assert "Traceback" not in line


def test_a_terminal_gets_readable_lines(monkeypatch: pytest.MonkeyPatch, begin: Begin) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    reader, writer = pty.openpty()
    try:
        begin(writer)
        structlog.get_logger().info("meter_lost", age_s=2.6)
        line = os.read(reader, 1000).decode()
    finally:
        os.close(reader)
        os.close(writer)
    assert "meter_lost" in line
    assert "age_s=2.6" in line
    assert "{" not in line


def test_the_journal_gets_json_even_where_it_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    reader, writer = pty.openpty()
    status = os.fstat(writer)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    try:
        begin(writer)
        structlog.get_logger().info("started")
        line = os.read(reader, 1000).decode()
    finally:
        os.close(reader)
        os.close(writer)
    assert record(line.strip())["event"] == "started"
