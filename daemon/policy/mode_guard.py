"""A site without a plan goes from shadow to production in one edit only if an operator forces it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.modes import Mode, ModePlan
from daemon.system.log import log
from daemon.system.state_file import StateFile

NAME = "mode"
SCHEMA_VERSION = 1
LEAP = (
    "mode.mode: from shadow to {mode} is a leap: nothing was compared on this site yet. "
    "Go by ab and rollout, write [rollout] and let the plan go there, or force it: "
    "sunkeep rollout advance --force"
)


@dataclass(slots=True)
class ModeGuard:
    """Remembers the mode that was in force last. Without a record every mode is taken as it is configured."""

    directory: Path
    last: Mode | None = None
    waiting: Mode | None = None
    """What was refused last, and may be forced."""
    _file: StateFile = field(init=False)

    def __post_init__(self) -> None:
        self._file = StateFile(self.directory / NAME)
        self.last = _mode(self._file.load() or {})

    def refusal(self, plan: ModePlan) -> str:
        """Why this mode must not follow the last one; empty where it may."""
        is_leap = self.last is Mode.SHADOW and gives_all(plan)
        self.waiting = plan.mode if is_leap else None
        percent = f" {plan.rollout_percent:g} %" if plan.mode is Mode.ROLLOUT else ""
        return LEAP.format(mode=f"{plan.mode.value}{percent}") if is_leap else ""

    def record(self, mode: Mode) -> None:
        """This mode is in force now, and on the disk when this returns; else the log says why not."""
        if mode is self.last:
            return
        self.last = mode
        try:
            self._file.save({"schema_version": SCHEMA_VERSION, "mode": mode.value})
        except OSError as error:
            log.warning("mode_unwritable", reason=error.strerror)


def gives_all(plan: ModePlan) -> bool:
    """Whether the policy acts all the time."""
    return plan.mode is Mode.PRODUCTION or (plan.mode is Mode.ROLLOUT and plan.rollout_percent >= 100.0)


def _mode(record: dict[str, Any]) -> Mode | None:
    try:
        return Mode(record["mode"]) if record.get("schema_version") == SCHEMA_VERSION else None
    except (KeyError, ValueError):
        return None
