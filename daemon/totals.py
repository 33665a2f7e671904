"""Totals since installation: kept across restarts, so that counters and energies do not begin again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TotalsFile:
    """One JSON file in the state directory, replaced whole. A lost one costs the past, and the judge's
    evidence.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """What was kept, or None."""
        try:
            totals = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return totals if isinstance(totals, dict) else None

    def save(self, totals: dict[str, Any]) -> None:
        """Replace the file. Raises OSError."""
        passing = self.path.with_suffix(".new")
        passing.write_text(json.dumps(totals))
        passing.replace(self.path)
