"""The log: JSON lines for journald, readable lines on a terminal. It never blocks and never writes a key.

Events are single words with values (``log.info("meter_lost", age_s=2.6)``). The same event is written at most
once in 10 s per level; the next one says how many were left out. A line that the reader does not take at once
is dropped and counted: the tick must not wait for its log.
"""

import contextlib
import json
import logging
import os
import socket
import stat
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from daemon.system.redaction import SECRET_NAMES, redact
from drivers.redaction import MARK

if "rich" not in sys.modules:
    # structlog loads rich wherever it is installed, for tracebacks nobody sees: 13 MB a service never needs
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog

    del sys.modules["rich"]
else:
    import structlog

log = structlog.get_logger("sunkeep")
"""The daemon's own events."""

Event: TypeAlias = MutableMapping[str, Any]

VALUE_CHARS = 256
REPEAT_EVERY_S = 10.0
EVENTS_REMEMBERED = 1024
LIBRARIES = ("zigpy", "bellows", "pymodbus", "aiohttp", "asyncio", "py.warnings")
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog(3)."""


class Output:
    """Where lines go, without waiting. `dropped_lines` counts what was not taken.

    The descriptor's own blocking mode stays as it is, because other processes may share it: sockets are
    asked for each line not to wait, pipes and terminals are opened a second time.
    """

    def __init__(self, descriptor: int) -> None:
        kind = os.fstat(descriptor).st_mode
        self._own: socket.socket | int | None = None
        self._descriptor = descriptor
        if stat.S_ISSOCK(kind):
            self._own = socket.socket(fileno=os.dup(descriptor))
        elif stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with contextlib.suppress(OSError):  # no /proc, or not ours to open again
                self._own = self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
        self._rest = b""
        self.dropped_lines = 0

    def write(self, line: bytes) -> None:
        """Write one line whole, or drop and count it."""
        try:
            if self._rest:  # a line that was begun is finished before the next one
                self._rest = self._rest[self._send(self._rest) :]
            if self._rest:
                self.dropped_lines += 1
            else:
                self._rest = line[self._send(line) :]
        except OSError:  # full, or the reader has left
            self.dropped_lines += 1

    def _send(self, line: bytes) -> int:
        if isinstance(self._own, socket.socket):
            return self._own.send(line, socket.MSG_DONTWAIT)
        return os.write(self._descriptor, line)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Let go of what was opened here; the descriptor that was given stays open."""
        own, self._own = self._own, None
        if isinstance(own, socket.socket):
            own.close()
        elif own is not None:
            os.close(own)
            self._descriptor = -1


def _is_journal(descriptor: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the descriptor is the stream that systemd connected to the journal."""
    status = os.fstat(descriptor)
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


@dataclass(slots=True)
class RateLimit:
    """Passes the first of equal events, then one in `REPEAT_EVERY_S` with the number left out."""

    clock: Callable[[], float]
    _seen: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        """As a processor of structlog. Raises DropEvent for an event that comes too soon."""
        now_s = self.clock()
        key = (method, str(event.get("limit_key", event.get("event"))))
        event.pop("limit_key", None)
        passed_at_s, suppressed = self._seen.get(key, (-REPEAT_EVERY_S, 0))
        if now_s - passed_at_s < REPEAT_EVERY_S:
            self._seen[key] = (passed_at_s, suppressed + 1)
            raise structlog.DropEvent
        if len(self._seen) >= EVENTS_REMEMBERED:
            self._seen.clear()
        self._seen[key] = (now_s, 0)
        if suppressed:
            event["suppressed"] = suppressed
        return event


def short_exception(logger: object, method: str, event: Event) -> Event:
    """What was raised and where, instead of a traceback."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            event["raised_at"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}"
    return event


def clean(logger: object, method: str, event: Event) -> Event:
    """Redact keys, escape control characters, cap what is long."""
    return {_text(name): _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if name.lower() in SECRET_NAMES:
        return MARK
    if value is None or isinstance(value, (bool, int, float)):
        return str(value) if isinstance(value, float) and not isfinite(value) else value
    if isinstance(value, Mapping):
        return {_text(str(key)): _clean(str(key), inner) for key, inner in list(value.items())[:32]}
    if (
        isinstance(value, (list, tuple))
        and all(type(item) in (int, float) for item in value)
        and len(value) < 16
    ):
        return [_clean("", item) for item in value]
    return _text(value.hex() if isinstance(value, (bytes, bytearray)) else str(value))


def _text(value: str) -> str:
    text = redact(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: VALUE_CHARS + 1])
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 3] + "..."


def json_line(logger: object, method: str, event: Event) -> bytes:
    """One line of JSON behind the priority that journald understands."""
    level = str(event.get("level", "info"))
    event = {"event": event.pop("event", ""), **event}
    return f"<{PRIORITIES.get(level, 6)}>{json.dumps(event, separators=(',', ':'))}".encode()


class _Library(logging.Handler):
    """Brings what libraries log into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a library's malformed message must not stop anything."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = str(record.msg)
        level = record.levelname.lower() if record.levelname.lower() in PRIORITIES else "warning"
        values = {"logger": record.name, "message": message, "limit_key": f"{record.name}: {record.msg}"}
        if record.exc_info and record.exc_info[1] is not None:
            values["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        elif record.exc_text:  # a filter that redacts has made text of it; its last line is the error
            values["error"] = record.exc_text.strip().splitlines()[-1]
        getattr(structlog.get_logger(), level)("library", **values)


def start_log(
    descriptor: int = 2, *, level: int = logging.INFO, clock: Callable[[], float] = time.monotonic
) -> Output:
    """Configure structlog and the logs of the libraries for this process.

    Args:
        descriptor: where lines go; standard error by default. JSON unless it is a terminal.
        level: lowest level of our own events; libraries speak from WARNING on.
        clock: monotonic seconds, for the rate limit.

    Returns:
        The output, whose `dropped_lines` is a metric.
    """
    output = Output(descriptor)
    readable = os.isatty(descriptor) and not _is_journal(descriptor)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RateLimit(clock),
            short_exception,
            clean,
            *(_for_terminal() if readable else _for_programs()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, output)),
        cache_logger_on_first_use=False,
    )
    _route_libraries()
    return output


def _for_terminal() -> list[structlog.typing.Processor]:
    console = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, sort_keys=False)

    def encode(logger: Any, method: str, event: Event) -> bytes:
        return console(logger, method, event).encode()

    return [structlog.processors.TimeStamper("%H:%M:%S", utc=False), encode]


def _for_programs() -> list[structlog.typing.Processor]:
    return [structlog.processors.TimeStamper("iso", utc=True, key="at_utc"), json_line]


def _route_libraries() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Library)]:
        root.removeHandler(handler)
    root.addHandler(_Library(logging.WARNING))
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
