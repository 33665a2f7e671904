"""Who uses the state directory: one process at a time, because it counts frames and owns the coordinator."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.errors import StartError
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter

COUNTER_FILE = "frame-counter"


def embedded_state() -> Path:
    """Where `sunkeep run` without a configuration keeps everything (XDG base directories: state)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "sunkeep/embedded"


@contextmanager
def hold_state(directory: Path) -> Iterator[None]:
    """Hold the state directory; a second process would use the same frame counter and the same coordinator.

    Raises:
        StartError: it is held already, or cannot be used.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"{directory} cannot be used ({error.strerror}). Set [state] directory to a folder of this user, "
            "or run this as the daemon's user."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"another sunkeep holds {directory}: the running daemon, most likely, and with it the "
                "coordinator. Stop it first (systemctl stop sunkeep); the slaves rest until it runs again."
            ) from None
        yield
    finally:
        os.close(descriptor)


def open_counter(directory: Path) -> FrameCounter:
    """The frame counter of a commissioned site.

    Raises:
        StartError: it is lost, damaged or used up; the message says what to do.
    """
    try:
        counter = FrameCounter.open(directory / COUNTER_FILE)
    except ConfigError as error:
        raise StartError(str(error)) from None
    if not counter.left:
        raise StartError(f"[radio] {counter.warning}.")
    return counter
