"""What the running daemon says of itself, fetched from its status page."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from daemon.config.sections import StatusSection
from daemon.errors import InputError

TIMEOUT_S = 3.0
NO_POINTS = "1e12"
"""No point of the chart is younger than this instant: the gateway needs none."""


@dataclass(frozen=True, slots=True)
class StatusReading:
    """One look at the daemon: its document, or why there is none."""

    document: dict[str, Any] | None
    problem: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the document describes the present."""
        if self.document is None:
            return False
        age_s, limit_s = self.document.get("tick_age_s"), self.document.get("stale_after_s")
        return isinstance(age_s, float | int) and isinstance(limit_s, float | int) and 0.0 <= age_s <= limit_s


class StatusClient:
    """Asks one status page, at `origin`."""

    def __init__(self, session: aiohttp.ClientSession, section: StatusSection) -> None:
        """Where the page is.

        Raises:
            InputError: the configuration leaves the port to chance.
        """
        if not section.port:
            raise InputError(
                "[status] port = 0 leaves the port to chance, and the gateway cannot find it. Name one."
            )
        host = f"[{section.host}]" if ":" in section.host else section.host
        self._session = session
        self.origin = f"http://{host}:{section.port}"
        self._url = f"{self.origin}/status.json"

    async def read(self) -> StatusReading:
        """One document. Never raises: without an answer it says why."""
        try:
            async with self._session.get(
                self._url, params={"since": NO_POINTS}, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
            ) as response:
                if response.status != 200:
                    return StatusReading(None, f"the status page answered {response.status}")
                document = json.loads(await response.read())
        except TimeoutError:
            return StatusReading(None, f"the status page did not answer within {TIMEOUT_S:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return StatusReading(None, f"no daemon answers at {self._url} ({_reason(error)})")
        except ValueError:
            return StatusReading(None, f"what answers at {self._url} is not a daemon of this version")
        if not isinstance(document, dict) or "slaves" not in document:
            return StatusReading(None, f"what answers at {self._url} is not a daemon of this version")
        return StatusReading(document)


def _reason(error: Exception) -> str:
    number = getattr(error, "os_error", error)
    return getattr(number, "strerror", None) or str(error) or type(error).__name__
