"""Everything that a new computer and a new stick need: taken from a site, and laid down again."""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from daemon.config.settings import Settings, parse_settings
from daemon.errors import InputError
from daemon.runtime.state_directory import COUNTER_FILE
from daemon.system.state_file import replace_whole
from drivers.zigbee.frame_counter import LEAP_MAX, FrameCounter

SETPOINT_FRAMES_PER_S_MAX = 1.0
"""More than can be sent: Zigbee carries 8 broadcasts in 9 s."""
LEAP_LEAST = 100_000
"""A day and more of setpoint frames, for a clock that was wrong by that much."""
PASSING = ("lock", "sunkeep.log")
"""Files of the state directory that belong to a running process."""
EXAMPLE = "sunkeep.example.toml"
"""Comes with the package, beside the configuration."""
MARK = "restoring"
"""A file of the state directory while a restoration is under way: of which backup."""
BYTES_MAX = 100 * 10**6
Name = Annotated[str, StringConstraints(pattern=r"^[^/\x00]+(/[^/\x00]+)*$", max_length=500)]


class SavedFile(BaseModel):
    """One file: whether it lies beside the configuration or in the state directory, and its name there."""

    model_config = ConfigDict(extra="forbid", strict=True)
    place: Literal["configuration", "beside", "state"]
    name: Name
    content_base64: str


class SiteBackup(BaseModel):
    """A whole site."""

    model_config = ConfigDict(extra="forbid", strict=True)
    schema_version: Literal[1] = 1
    made_at_utc: str
    release: str
    site_name: str
    files: list[SavedFile]
    network: dict[str, Any] | None = Field(description="in the open coordinator backup format")

    def age_s(self, now_utc: datetime) -> float:
        """Seconds since it was made; never negative."""
        return max(0.0, (now_utc - datetime.fromisoformat(self.made_at_utc)).total_seconds())

    def text(self) -> bytes:
        """As it is sealed."""
        return self.model_dump_json().encode()

    def digest(self) -> str:
        """Which backup this is."""
        return sha256(self.text()).hexdigest()

    def configuration(self) -> str:
        """The text of the configuration.

        Raises:
            InputError: there is none.
        """
        for file in self.files:
            if file.place == "configuration":
                return b64decode(file.content_base64).decode()
        raise InputError("The backup holds no configuration.")


def read_site_backup(content: bytes) -> SiteBackup:
    """A record from the bytes that were sealed.

    Raises:
        InputError: it is of another version.
    """
    try:
        found = SiteBackup.model_validate_json(content)
    except ValidationError:
        raise InputError(
            "The backup is of another version. Use the version that made it, or a newer one."
        ) from None
    for file in found.files:
        if ".." in PurePosixPath(file.name).parts:
            raise InputError(f"The backup names {file.name}, which leaves its folder. Nothing was written.")
    return found


def take(settings: Settings, config: Path, network: dict[str, Any] | None, release: str) -> SiteBackup:
    """The site as it lies on disk, without the journal: it may have a gigabyte, and nothing needs it.

    Raises:
        InputError: something cannot be read, or is too large.
    """
    state = settings.state.directory
    files = [_saved("configuration", config, config.parent)]
    files += [_saved("state", file, state) for file in _regular(state, settings, {config})]
    taken = {config, *_regular(state, settings, {config})}
    files += [
        _saved("beside", file, config.parent) for file in _regular(config.parent, settings, taken, depth=1)
    ]
    if sum(len(file.content_base64) for file in files) > BYTES_MAX:
        raise InputError(
            f"{state} holds more than {BYTES_MAX // 10**6} MB beside the journal. Look what it is."
        )
    return SiteBackup(
        made_at_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        release=release,
        site_name=settings.site.name,
        files=files,
        network=network,
    )


def outside(settings: Settings, config: Path) -> list[Path]:
    """What the configuration names and the backup does not reach."""
    named = [settings.radio.key_file, settings.anomaly.calibration]
    reach = (config.parent.absolute(), settings.state.directory.absolute())
    return [
        file
        for file in named
        if file is not None and not any(file.absolute().is_relative_to(place) for place in reach)
    ]


def _regular(folder: Path, settings: Settings, without: set[Path], depth: int = 5) -> Iterator[Path]:
    """Files below a folder, neither links nor passing ones, in order."""
    journal = settings.journal.directory.absolute()
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.is_symlink() or entry.absolute() == journal or entry.name.endswith(".new"):
            continue
        if entry.is_dir() and depth > 1:
            yield from _regular(entry, settings, without, depth - 1)
        passing = (
            entry.name in PASSING or entry.name.startswith("sunkeep-crash-") or entry.name in (MARK, EXAMPLE)
        )
        if entry.is_file() and not passing and entry not in without:
            yield entry


def _saved(place: Literal["configuration", "beside", "state"], file: Path, folder: Path) -> SavedFile:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}). Run this as root.") from None
    name = file.relative_to(folder).as_posix()
    return SavedFile(place=place, name=name, content_base64=b64encode(content).decode())


@dataclass(slots=True)
class Restoration:
    """A backup, and where it goes. Every step may be repeated after an interruption.

    Args:
        backup: what is laid down.
        config: where the configuration will be.
        text: its text, as adapted to the new machine.
    """

    backup: SiteBackup
    config: Path
    text: str
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        """Raises SettingsError when the text is no configuration."""
        self.settings = parse_settings(self.text, self.config)

    def begin(self) -> None:
        """Claim an empty place.

        Raises:
            InputError: a site is there already.
        """
        state = self.settings.state.directory
        mark = state / MARK
        begun = mark.read_text().strip() if mark.is_file() else ""
        if begun != self.backup.digest():
            for there in (self.config, self.settings.radio.key_file, *self._targets().values()):
                if there.exists():
                    raise InputError(
                        f"{there} is there already, and nothing is overwritten. Move the site that is here "
                        f"away first: mv {there} {there}.old"
                    )
        self.config.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_whole(mark, self.backup.digest().encode())

    def _targets(self) -> dict[int, Path]:
        """Where each file goes, by its place in the list; the configuration comes last, by itself."""
        places = {"beside": self.config.parent, "state": self.settings.state.directory}
        return {
            at: places[saved.place] / saved.name
            for at, saved in enumerate(self.backup.files)
            if saved.place in places
        }

    def lay_down(self) -> int:
        """Write everything but the configuration; returns the number of files."""
        targets = self._targets()
        for at, file in targets.items():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_whole(file, b64decode(self.backup.files[at].content_base64))
        return len(targets)

    def leap(self, now_utc: datetime) -> int:
        """Move the counter of the setpoint frames beyond whatever the old computer can have sent since.

        Returns:
            By how much.

        Raises:
            ConfigError: the counter is damaged or used up.
        """
        by = LEAP_LEAST + ceil(self.backup.age_s(now_utc) * SETPOINT_FRAMES_PER_S_MAX)
        file = self.settings.state.directory / COUNTER_FILE
        target = FrameCounter.open(file).last + by
        while (counter := FrameCounter.open(file)).last < target:
            counter.skip_past(min(target, counter.last + LEAP_MAX))
        return by

    def finish(self) -> None:
        """Write the configuration, which makes it a site, and let the daemon's user own what it must."""
        replace_whole(self.config, self.text.encode(), 0o640)
        (self.settings.state.directory / MARK).unlink(missing_ok=True)


def own(folder: Path, user: int, group: int) -> None:
    """Give a folder and everything in it to a user; links are not followed. Nothing happens without root."""
    if os.geteuid() != 0:
        return
    os.chown(folder, user, group, follow_symlinks=False)
    for path in folder.rglob("*"):
        os.chown(path, user, group, follow_symlinks=False)
