"""What the owner said: every device rests, until a time or until further notice. Outlives restarts."""

from dataclasses import dataclass, field
from pathlib import Path

from core.decision import Authority
from core.modes import Assignment
from daemon.monitoring.telemetry import PauseOrder
from daemon.system.log import log
from daemon.system.state_file import StateFile

_VERSION = 1


@dataclass(slots=True)
class Pause:
    """The order in force, and where it is kept."""

    file: StateFile
    order: PauseOrder = field(default_factory=PauseOrder)

    @classmethod
    def restored(cls, directory: Path) -> "Pause":
        """As it was when the daemon ended; a record that nobody can read pauses nothing."""
        file = StateFile(directory / "pause")
        record = file.load()
        if record is None:
            if not file.is_new():
                log.warning("pause_lost", reason="its record is damaged", remedy="pause again if you want it")
            return cls(file)
        until_unix_s = record.get("until_unix_s")
        is_whole = record.get("schema_version") == _VERSION and isinstance(record.get("is_on"), bool)
        if not is_whole or not isinstance(until_unix_s, float | None):
            return cls(file)
        return cls(file, PauseOrder(record["is_on"], until_unix_s))

    def put(self, order: PauseOrder) -> None:
        """Pause, or go on.

        Raises:
            OSError: it could not be saved, and nothing was changed.
        """
        record = {"schema_version": _VERSION, "is_on": order.is_on, "until_unix_s": order.until_unix_s}
        self.file.save(record)
        self.order = order

    def over(self, assignment: Assignment, unix_s: float | None) -> Assignment:
        """Who acts now: nobody while it is paused. Without a clock a pause does not end by itself."""
        until_unix_s = self.order.until_unix_s
        if until_unix_s is not None and unix_s is not None and unix_s >= until_unix_s:
            self.order = PauseOrder()  # what is on the disk ends by its own time
        if not self.order.is_on:
            return assignment
        return Assignment(Authority.REST, 0.0, assignment.block, assignment.confounded)
