"""What a fault of the program leaves for its developers: a few short files, however often it happens."""

import os
import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from daemon.system.redaction import redact

REPORTS_MAX = 10
"""Kept in one folder, the newest of them; systemd starts a service that fails again for ever."""
REPORT_MAX_BYTES = 64 * 1024
"""Of one report. A traceback of a hundred calls has some 15 KB; the text of an error may be of any length."""
PREFIX, SUFFIX = "sunkeep-crash-", ".txt"
_LEFT_OUT = b"\n... (left out)\n"


def write_report(error: Exception) -> Path | None:
    """Write the traceback where the daemon may write, without secrets, readable by its owner only.

    Returns:
        The file, or None where neither the state directory nor the one for temporary files can be written.
    """
    content = _shortened(_text(error))
    for folder in (os.environ.get("STATE_DIRECTORY", "").split(":")[0], tempfile.gettempdir()):
        if not folder:
            continue
        try:
            _make_room(Path(folder))
            descriptor, name = tempfile.mkstemp(SUFFIX, PREFIX, folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except OSError:
            continue
        return Path(name)
    return None


def _text(error: Exception) -> str:
    return redact(
        "".join(
            [
                f"sunkeep {_version()}, Python {platform.python_version()}, {platform.platform()}\n",
                f"command: {sys.argv}\n\n",
                *traceback.format_exception(error),
            ]
        )
    )


def _shortened(text: str) -> bytes:
    """Its beginning and its end: the first calls, and the innermost one with what was said."""
    content = text.encode(errors="backslashreplace")
    if len(content) <= REPORT_MAX_BYTES:
        return content
    half = (REPORT_MAX_BYTES - len(_LEFT_OUT)) // 2
    return content[:half] + _LEFT_OUT + content[-half:]


def _make_room(folder: Path) -> None:
    """Remove the oldest reports of this user."""
    found = dict[Path, float]()
    for report in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):
            about = report.lstat()
            if about.st_uid == os.geteuid():
                found[report] = about.st_mtime
    for report in sorted(found, key=found.__getitem__)[: max(0, len(found) - REPORTS_MAX + 1)]:
        with suppress(OSError):
            report.unlink()


def _version() -> str:
    try:
        return version("sunkeep")
    except PackageNotFoundError:
        return "(not installed)"
