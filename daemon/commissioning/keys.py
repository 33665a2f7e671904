"""What is made once, when a site is commissioned: its key, its frame counter, its empty state."""

import os
from pathlib import Path
from secrets import token_hex

from daemon.config.sections import STORE_FOLDER
from daemon.runtime.state_directory import COUNTER_FILE
from daemon.runtime.supervisor_state import SupervisorStateFile
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.setpoint_frame import KEY_BYTES


def make_key(file: Path) -> None:
    """Write a new random site key, readable by its owner alone.

    Raises:
        FileExistsError: there is one already.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(token_hex(KEY_BYTES) + "\n")


def begin_state(directory: Path) -> None:
    """Begin the frame counter, the record of what stands and the store of policies; what is there stays.

    Raises:
        ConfigError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (directory / COUNTER_FILE).exists():
        FrameCounter.create(directory / COUNTER_FILE)
    (directory / STORE_FOLDER).mkdir(exist_ok=True, mode=0o700)  # the unit makes it read-only for the daemon
    SupervisorStateFile(directory).begin()
