"""Which installed bundle is active, and which were before: one small record that outlives a power cut.

A `StateFile` rather than a link: one save changes both at once, two checksummed copies outlive a power cut,
a full disk cannot stop it, and it names the hash of what was activated, so that a folder whose content was
exchanged is not taken for it.
"""

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from daemon.config.sections import SHIPPED
from daemon.system.state_file import COPIES, StateFile
from models.bundle import BundleError
from models.strict_model import StrictModel

BEFORE_MAX = 16
"""So many steps back are kept."""
INSTALLED_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}@[1-9][0-9]{0,8}")
"""``NAME@VERSION``: plain enough for a folder, a shell and a message."""
_FILE = "active"
AS_DAEMON = "Run this as the daemon's user: sudo -u sunkeep sunkeep model ..."
_REMEDY = "Activate one: sunkeep model activate NAME@VERSION (`sunkeep model list` names them)."


class Active(StrictModel):
    """One bundle: ``NAME@VERSION`` in the store with the SHA-256 of its manifest, or one that ships.

    One that ships has no hash: it changes with Sunkeep itself.
    """

    reference: Annotated[
        str, StringConstraints(pattern=rf"^({INSTALLED_REFERENCE.pattern}|{'|'.join(SHIPPED)})$")
    ]
    sha256: str = ""


class ActiveBundle(StrictModel):
    """What is active, and what was before, the newest last."""

    active: Active
    before: tuple[Active, ...] = ()

    def then(self, active: Active) -> "ActiveBundle":
        """Another one is active; this one was before."""
        return ActiveBundle(active=active, before=(*self.before, self.active)[-BEFORE_MAX:])

    def back(self) -> "ActiveBundle | None":
        """The one before is active again; None when there was none."""
        return ActiveBundle(active=self.before[-1], before=self.before[:-1]) if self.before else None


class ActiveFile:
    """The record in the folder of the store. Whoever saves holds the store's lock, and has loaded before."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = StateFile(directory / _FILE)

    def load(self) -> ActiveBundle:
        """What is active now.

        Raises:
            BundleError: nothing is, or it cannot be read.
        """
        record = self._file.load()
        if record is None:
            try:
                is_new = self._file.is_new()
            except OSError as error:
                reason = f"{self._directory} cannot be read ({error.strerror})."
                raise BundleError(reason, AS_DAEMON) from None
            why = "no bundle is active" if is_new else "the record of the active bundle is damaged"
            raise BundleError(f"In {self._directory} {why}.", _REMEDY)
        try:
            return ActiveBundle.model_validate_json(json.dumps(record))
        except ValidationError:
            why = "the record of the active bundle is of another version"
            raise BundleError(f"In {self._directory} {why}.", _REMEDY) from None

    def save(self, choice: ActiveBundle) -> None:
        """Replace it; on the disk when this returns. Raises OSError: the one before still stands."""
        self._file.save(choice.model_dump(mode="json"))

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Differs once something was saved: two calls of the system, for whoever watches."""
        return tuple(_stamp(self._directory / (_FILE + copy)) for copy in COPIES)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
