"""Statistics of the radio: events as they happen, and counts."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RadioEvent:
    """Something an operator may want to know. `kind` is stable, `text` is for people and holds no key."""

    kind: Literal["up", "down", "problem"]
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class RadioCounts:
    """Counted since the radio was made. `up_since_s` is monotonic, None while down.

    `frames_refused` were answered with a refusal (busy), `timeouts` not answered in time,
    `frames_unsent` fell into a time without coordinator or into its end. `foreign_frames` came from somebody
    who has no business here, `packets_withheld` were no setpoints and kept off the air.
    `setpoint_broadcasts` and `other_broadcasts` were handed to the coordinator, whatever became of them.
    `broadcast_table_full` is the coordinator's own count, None when it does not tell.
    """

    frames_sent: int = 0
    frames_refused: int = 0
    timeouts: int = 0
    frames_unsent: int = 0
    reports_heard: int = 0
    reports_rejected: int = 0
    repairs: int = 0
    repairs_failed: int = 0
    starts: int = 0
    losses: int = 0
    foreign_frames: int = 0
    packets_withheld: int = 0
    setpoint_broadcasts: int = 0
    other_broadcasts: int = 0
    up_since_s: float | None = None
    broadcast_table_full: int | None = None
