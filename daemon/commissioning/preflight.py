"""What can be known before the daemon starts, item by item."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.calibration.file import CalibrationError, load_calibration, require_site
from daemon.config.sections import TcpTransport
from daemon.config.settings import Settings, SettingsError, load_settings, read_site_key
from daemon.runtime.assembly import configured_bundle
from daemon.runtime.state_directory import COUNTER_FILE
from daemon.system.release import release, rolled_back
from drivers.errors import ConfigError
from drivers.meters.profile import load_profile
from drivers.zigbee.frame_counter import FrameCounter
from models.bundle import BundleError, require_fit
from models.public_key import fingerprint

RESERVE_MB = 100
"""Left free beside a full journal."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist. `detail` says what was found, and what to do when it is not `ok`; a question
    is for a person to answer."""

    name: str
    ok: bool
    detail: str
    is_question: bool = False

    def record(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


class FailsError(Exception):
    """An item does not hold; the message says why and what to do."""


def walk(path: Path) -> Iterator[Item]:
    """Check a configuration and what it names. Opens no wire and writes nothing."""
    try:
        settings = load_settings(path, key=False)
    except SettingsError as error:
        for problem in error.problems:
            yield Item("settings", False, str(problem))
        return
    yield Item("settings", True, f"{path}: {_summary(settings)}")
    checks: dict[str, Callable[[], str]] = {
        "version": _version,
        "site key": lambda: _key(settings, path),
        "meter profile": lambda: _profile(settings),
        "meter port": lambda: _meter_port(settings),
        "radio port": lambda: _serial_port(settings.radio.path),
        "policy bundle": lambda: _bundle(settings),
        "detector": lambda: _calibration(settings),
        "frame counter": lambda: _counter(settings.state.directory),
        "state folder": lambda: _folder(settings.state.directory, 1),
        "journal folder": lambda: _folder(settings.journal.directory, settings.journal.max_mb),
        "status port": lambda: _free_port(settings.status.host, settings.status.port),
    }
    for name, check in checks.items():
        try:
            yield Item(name, True, check())
        except (FailsError, SettingsError, ConfigError, BundleError, CalibrationError) as error:
            yield Item(name, False, str(error))
        except OSError as error:  # a folder that only its owner may look into fails its own row alone
            place = f"{error.filename}: " if error.filename else ""
            yield Item(name, False, f"{place}{error.strerror or error}. Run this as the user of the daemon.")


def _summary(settings: Settings) -> str:
    slaves = len(settings.slaves)
    return (
        f"{settings.site.name}, {slaves} slave{'s' if slaves > 1 else ''} that {settings.site.role.value}, "
        f"mode {settings.mode.mode.value}"
    )


def _version() -> str:
    if said := rolled_back():
        raise FailsError(f"{said} Install a newer one when there is one; the site runs meanwhile.")
    return release()


def _key(settings: Settings, path: Path) -> str:
    read_site_key(settings, path)
    return f"{settings.radio.key_file}, readable by its owner only"


def _counter(state: Path) -> str:
    file = state / COUNTER_FILE
    if not file.exists():
        return f"{file} is not there yet; `sunkeep zigbee key` makes it with the key"
    counter = FrameCounter.open(file)
    if counter.warning:
        raise FailsError(f"{counter.warning}.")
    return f"{file}, {counter.left} frames left"


def _profile(settings: Settings) -> str:
    if settings.meter.profile is None:
        return "not needed: the telegrams are standard"
    profile = load_profile(settings.meter.profile)
    return f"{settings.meter.profile}, {len(profile.blocks)} block{'s' if len(profile.blocks) > 1 else ''}"


def _meter_port(settings: Settings) -> str:
    transport = settings.meter.transport
    if not isinstance(transport, TcpTransport):
        return _serial_port(transport.path)
    return f"{transport.host}:{transport.port}, looked up when the daemon starts"


def _serial_port(name: str) -> str:
    if "://" in name:
        return f"{name}, connected when the daemon starts"
    if not Path(name).exists():
        raise FailsError(f"{name} is not there. Plug it in, and look into /dev/serial/by-id for its name.")
    if not os.access(name, os.R_OK | os.W_OK):
        raise FailsError(f"{name} cannot be opened. Add the user to the group dialout.")
    return name


def _bundle(settings: Settings) -> str:
    bundle = configured_bundle(settings)
    require_fit(bundle.manifest, settings.core_site())
    signed = f", signed by {fingerprint(bundle.signed_by)}" if bundle.signed_by else ""
    return f"{bundle.manifest.name} {bundle.manifest.bundle_version}, golden vectors hold{signed}"


def _calibration(settings: Settings) -> str:
    file = settings.anomaly.calibration
    if file is None:
        return "not calibrated: it flags and never trips; `sunkeep calibrate` after two weeks"
    record = load_calibration(file)
    require_site(record, settings.core_site())
    return f"{file}, calibrated on {record.days:.0f} days"


def _folder(folder: Path, needed_mb: int) -> str:
    """The folder, or where it would be made, takes files and has room."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise FailsError(f"{existing} is not a folder. Name another place.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise FailsError(f"{existing} cannot be written. Run: chown sunkeep {existing}")
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    if free_mb < needed_mb + RESERVE_MB:
        raise FailsError(f"{existing} has {free_mb} MB left, {needed_mb + RESERVE_MB} are needed. Make room.")
    return f"{folder}, {free_mb} MB free"


def _free_port(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FailsError(
                f"{host}:{port} cannot be used ({error.strerror}). "
                "Stop the other program, or choose another port."
            ) from None
    return f"{host}:{port} is free"
