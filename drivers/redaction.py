"""Keeps network keys out of the log.

zigpy and bellows print the network and link keys in debug lines, in the raw bytes of the serial line and
in the text of some exceptions. Their loggers therefore stay at WARNING, and what they still say passes a
filter.
"""

import logging
import re

LIBRARIES = ("zigpy", "bellows", "serialx", "aiosqlite")
MARK = "[16 bytes withheld]"

_KEYS = (
    re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[:\- ]){15}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])"),
    re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){16,}(?![0-9A-Fa-f])"),
    re.compile(r"\[(?:(?:0x[0-9A-Fa-f]{1,2}|\d{1,3}),\s*){15}(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})\]"),
    re.compile(r"b'(?:\\x[0-9a-f]{2}|\\.|[^'\\]){16,}'|b\"(?:\\x[0-9a-f]{2}|\\.|[^\"\\]){16,}\""),
)
"""A key as bytes with separators, as hexadecimal digits, as a list of integers, inside a bytes literal."""


def redact(text: str) -> str:
    """`text` without anything that has the shape of a 16-byte key. Addresses (8 bytes) stay."""
    for pattern in _KEYS:
        text = pattern.sub(MARK, text)
    return text


class KeyFilter(logging.Filter):
    """Rewrites records, traceback included, so that no handler ever sees a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: a record is changed, never dropped."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        record.msg, record.args = redact(message), None
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


_FILTER = KeyFilter()


def guard_logs() -> None:
    """Quieten the radio's libraries and filter what they say. May be called again at any time.

    A filter of a logger does not see what its children log, so every logger of the libraries gets it;
    call this after their modules were imported.
    """
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in LIBRARIES]
    for name in (*LIBRARIES, *names):
        logger = logging.getLogger(name)
        logger.addFilter(_FILTER)
        if name in LIBRARIES or logger.level != logging.NOTSET:
            logger.setLevel(max(logger.level, logging.WARNING))
