"""Totals since installation: kept across restarts, so that counters and energies do not begin again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.monitoring.totals_format import SCHEMA_VERSION
from daemon.system.json_file import read_json
from daemon.system.log import log
from daemon.system.state_file import replace_whole

_VERSION = "schema_version"


@dataclass(frozen=True, slots=True)
class TotalsFile:
    """One JSON file in the state directory, replaced whole. A lost one costs the past, and the judge's
    evidence.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """What was kept, or None; a file that is there and cannot be used is told in the log."""
        try:
            totals = read_json(self.path)
            reason: str | None = "no object"
            if isinstance(totals, dict):
                version = totals.pop(_VERSION, SCHEMA_VERSION)
                if version == SCHEMA_VERSION:
                    return totals
                reason = f"version {version} of the file, made by a newer Sunkeep"
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror
        except ValueError:
            reason = "no JSON"
        log.warning("totals_unreadable", reason=reason, file=str(self.path), effect="they begin again at 0")
        return None

    def save(self, totals: dict[str, Any]) -> None:
        """Replace the file. Raises OSError."""
        replace_whole(self.path, json.dumps({_VERSION: SCHEMA_VERSION, **totals}).encode())
