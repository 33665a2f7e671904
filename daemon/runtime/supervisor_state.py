"""What outlives the process, on disk: read at start-up, written on every transition."""

import time
from pathlib import Path

from core.causes import Cause
from daemon.system.clock import boot_id, boottime_s, synchronised
from daemon.system.log import log
from daemon.system.state_file import StateFile
from safety.timers import PersistentFaults, restore, save

NAME = "standing"


class SupervisorStateFile:
    """Running fallbacks and latches in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._file = StateFile(directory / NAME)
        self._directory = directory
        self.writable = True
        """Whether the last save reached the disk."""

    def begin(self) -> None:
        """Write that nothing stands, for a site that is commissioned now; an existing record stays."""
        if self._file.load() is None:
            self.save(PersistentFaults())

    def restore(self) -> PersistentFaults:
        """What stands after this restart. A lost record costs an hour with the fallback."""
        return restore(
            self._file.load(),
            boot_id=boot_id(),
            boottime_s=boottime_s(),
            unix_s=time.time(),
            synced=synchronised(),
        )

    def save(self, standing: PersistentFaults) -> None:
        """Write what stands. A disk that refuses is told in the log and by `causes`; control goes on."""
        record = save(standing, boot_id=boot_id(), unix_s=time.time(), synced=synchronised())
        try:
            self._file.save(record)
            self.writable = True
        except OSError as error:
            self.writable = False
            log.error(Cause.STATE_UNWRITABLE, reason=error.strerror, directory=str(self._directory))

    def causes(self) -> tuple[Cause, ...]:
        """What the supervisor has to know: a fallback that cannot be kept must not be risked."""
        return () if self.writable else (Cause.STATE_UNWRITABLE,)
