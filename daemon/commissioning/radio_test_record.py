"""What a drill of the radio found, and its record in the state folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from daemon.system.state_file import replace_whole

RECORD_FILE = "zigbee-drill.json"


@dataclass(frozen=True, slots=True)
class SlotResult:
    """How one slave answered. `delay_*` of its answers, there and back, without the wait for its time slot.

    `address` is the network address that it answered from, None when it never did.
    """

    slot: Annotated[int, Field(ge=0, le=254)]
    name: str
    asked: int
    answered: int
    delay_p50_s: float | None
    delay_max_s: float | None
    address: Annotated[int, Field(ge=0, le=0xFFFF)] | None


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill found. `frames` were accepted by the coordinator, `frames_refused` not (busy, down).

    `remark` is what about the network contradicts the configuration, empty when nothing does.
    """

    at_utc: str
    seconds: float
    frames: int
    frames_refused: int
    first_counter: int
    last_counter: int
    slots: tuple[SlotResult, ...]
    remark: str = ""

    @property
    def silent(self) -> tuple[SlotResult, ...]:
        """Those who never answered."""
        return tuple(slot for slot in self.slots if slot.answered == 0)

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"silent": [slot.slot for slot in self.silent]}


_ADAPTER = TypeAdapter(DrillResult)


def keep(result: DrillResult, directory: Path) -> None:
    """Keep the result for `sunkeep zigbee devices`. Raises OSError."""
    replace_whole(directory / RECORD_FILE, json.dumps(result.record()).encode())


def last_drill(directory: Path) -> DrillResult | None:
    """What the last drill found, None when there is no record, or one that no drill writes."""
    try:
        return _ADAPTER.validate_json((directory / RECORD_FILE).read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None
