"""What a drill of the radio found, and its record in the state folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD_FILE = "zigbee-drill.json"


@dataclass(frozen=True, slots=True)
class SlotResult:
    """How one slave answered. `delay_*` of its answers, there and back, without the wait for its time slot.

    `address` is the network address that it answered from, None when it never did.
    """

    slot: int
    name: str
    asked: int
    answered: int
    delay_p50_s: float | None
    delay_max_s: float | None
    address: int | None


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill found. `frames` were accepted by the coordinator, `frames_refused` not (busy, down)."""

    at_utc: str
    seconds: float
    frames: int
    frames_refused: int
    first_counter: int
    last_counter: int
    slots: tuple[SlotResult, ...]

    @property
    def silent(self) -> tuple[SlotResult, ...]:
        """Those who never answered."""
        return tuple(slot for slot in self.slots if slot.answered == 0)

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"silent": [slot.slot for slot in self.silent]}


def keep(result: DrillResult, directory: Path) -> None:
    """Keep the result for `sunkeep zigbee devices`. Raises OSError."""
    passing = directory / f"{RECORD_FILE}.new"
    passing.write_text(json.dumps(result.record()))
    passing.replace(directory / RECORD_FILE)


def last_drill(directory: Path) -> dict[str, Any] | None:
    """The record of the last drill, None when there is none."""
    try:
        record = json.loads((directory / RECORD_FILE).read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
