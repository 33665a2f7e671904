"""The daemon's own log, read back: every line is one event."""

import json
import tempfile
from collections.abc import Callable
from typing import Any

from daemon.system.log import start_log


class LogFile:
    """Configures the log of this process to go into a file. `read` gives what is new."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._offset = 0
        start_log(self._file.fileno(), clock=clock)

    def read(self) -> list[dict[str, Any]]:
        """Events since the last call."""
        self._file.seek(self._offset)
        text = self._file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._file.seek(0, 2)
        return [json.loads(line[line.index(b"{") :]) for line in whole.splitlines()]

    def close(self) -> None:
        """Give the file up."""
        self._file.close()
