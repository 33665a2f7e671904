"""Installed policy bundles: ``models/NAME@VERSION/`` in the state directory, written once, never changed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.site import Site
from daemon.bundles.active import AS_DAEMON, INSTALLED_REFERENCE, Active, ActiveBundle, ActiveFile
from daemon.bundles.signing import INCOMING, write_signature
from daemon.config.sections import STORE_FOLDER
from daemon.system.state_file import sync_directory
from models.bundle import (
    SHIPPED,
    Bundle,
    BundleError,
    TrustedKeys,
    builtin_bundle,
    bundle_of,
    load_bundle,
    read_files,
    read_manifest,
    read_signer,
    require_fit,
)
from models.manifest import MANIFEST_FILE, Manifest
from models.signature import SIGNATURE_FILE


@dataclass(frozen=True, slots=True)
class Installed:
    """One bundle of the store. Without a manifest, `problem` says why. `signed_by` is a key, or empty."""

    reference: str
    directory: Path
    manifest: Manifest | None
    sha256: str
    problem: str = ""
    signed_by: str = ""

    @property
    def order(self) -> tuple[str, int]:
        """Name and version."""
        name, _, version = self.reference.rpartition("@")
        return name, int(version)


class ModelStore:
    """The bundles of one state directory. Several processes may use it at once.

    With `trusted_keys` only what one of them signed is installed, activated or loaded; what is there already
    is still listed. Every method raises BundleError, with what to do.
    """

    def __init__(self, state: Path, trusted_keys: TrustedKeys = ()) -> None:
        self.directory = state / STORE_FOLDER
        self.active = ActiveFile(self.directory)
        self._state = state
        self._trusted_keys = trusted_keys

    def installed(self) -> list[Installed]:
        """Every bundle by name and version; what is still being copied is not among them."""
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BundleError(f"{self.directory} cannot be read ({error.strerror}).", AS_DAEMON) from None
        found = [self._installed(name) for name in names if INSTALLED_REFERENCE.fullmatch(name)]
        return sorted(found, key=lambda item: item.order)

    def place(self, reference: str) -> Path:
        """Where a bundle lies."""
        return builtin_bundle(reference) if reference in SHIPPED else self.directory / reference

    def load(self, active: Active) -> Bundle:
        """The bundle, verified, and whether it is the one that was activated."""
        bundle = self._load(active.reference)
        if active.sha256 and bundle.sha256 != active.sha256:
            raise BundleError(
                f"{bundle.directory} is not the bundle that was activated (SHA-256 differs).",
                "Activate it again if it was exchanged on purpose, or go back: sunkeep model rollback.",
            )
        return bundle

    def steady_choice(self) -> ActiveBundle | None:
        """What is active; None while another process may be changing it."""
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return self.active.load()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return self.active.load()
        except BlockingIOError:
            return None
        finally:
            os.close(descriptor)

    def install(self, folder: Path, site: Site) -> tuple[Installed, bool]:
        """Verify a bundle whole and copy it.

        What is verified is what is written: every file is read once. The copy appears under its name in one
        step, when it is on the disk.

        Returns:
            The installed bundle, and whether it is new: the same one again changes nothing but its signature,
            which takes the place of the one there.
        """
        contents = read_files(folder)
        bundle = bundle_of(folder, contents, trusted_keys=self._trusted_keys)
        require_fit(bundle.manifest, site)
        reference = f"{bundle.manifest.name}@{bundle.manifest.bundle_version}"
        if not INSTALLED_REFERENCE.fullmatch(reference):
            raise BundleError(
                f"The name {bundle.manifest.name!r} in its manifest cannot name a folder.",
                "Export it with a name of letters, digits, '-', '_' and '.'.",
            )
        with self._locked():
            is_new = not self._is_there(reference, bundle)
            if is_new:
                self._require_newer(bundle.manifest)
            try:
                if is_new:
                    self._copy(contents, self.directory / reference)
                elif bundle.signed_by:
                    write_signature(self.directory / reference, contents[SIGNATURE_FILE])
            except OSError as error:
                raise self._unwritable(error) from None
        return self._installed(reference), is_new

    def activate(self, wanted: str, site: Site) -> tuple[Active, bool]:
        """Make a bundle the active one, once it is verified again.

        Args:
            wanted: ``NAME@VERSION``, the folder of an installed bundle or of what it was copied from, or one
                that ships.
            site: what it must fit.

        Returns:
            What is active now, and whether that is new.
        """
        with self._locked():
            reference = self._resolve(wanted)
            bundle = self._load(reference)
            require_fit(bundle.manifest, site)
            active = Active(reference=reference, sha256="" if reference in SHIPPED else bundle.sha256)
            try:
                choice = self.active.load()
            except BundleError:
                self._save(ActiveBundle(active=active))
                return active, True
            if choice.active == active:
                self._save(choice)  # a daemon that refused it looks again: it may have been mended or signed
                return active, False
            self._save(choice.then(active))
            return active, True

    def rollback(self, site: Site) -> Active:
        """Make the one active that was before."""
        with self._locked():
            choice = self.active.load()
            back = choice.back()
            if back is None:
                raise BundleError(
                    f"Before {choice.active.reference} nothing was active.",
                    "Name what to use: sunkeep model activate NAME@VERSION, or builtin.",
                )
            require_fit(self.load(back.active).manifest, site)
            self._save(back)
            return back.active

    def _load(self, reference: str) -> Bundle:
        try:
            return load_bundle(self.place(reference), trusted_keys=self._trusted_keys)
        except BundleError as error:
            raise BundleError(f"{reference} must not be used: {error.reason}", error.remedy) from None

    def _resolve(self, wanted: str) -> str:
        there = {item.reference: item for item in self.installed()}
        if wanted in SHIPPED or wanted in there:
            return wanted
        folder = Path(wanted)
        if not (folder / MANIFEST_FILE).is_file():
            known = ", ".join((*there, *SHIPPED))
            raise BundleError(f"There is no bundle {wanted!r} in {self.directory}.", f"Known: {known}.")
        _, sha256 = read_manifest(folder)
        for reference, item in there.items():
            if item.sha256 == sha256:
                return reference
        raise BundleError(f"{folder} is not installed.", f"Install it first: sunkeep model install {folder}.")

    def _is_there(self, reference: str, bundle: Bundle) -> bool:
        """Whether this very bundle is installed already, signed or not."""
        directory = self.directory / reference
        if not directory.exists():
            return False
        try:
            contents = read_files(directory)
            contents.pop(SIGNATURE_FILE, None)
            same = bundle_of(directory, contents).sha256 == bundle.sha256
        except BundleError as error:
            raise BundleError(
                f"{reference} is installed already, but damaged: {error.reason}",
                f"Give the new one a larger version, or remove {directory} and install it again.",
            ) from None
        if not same:
            raise BundleError(f"Another {reference} is installed.", "Give the new one a larger version.")
        return True

    def _require_newer(self, manifest: Manifest) -> None:
        orders = [item.order for item in self.installed()]
        newest = max((version for name, version in orders if name == manifest.name), default=0)
        if manifest.bundle_version <= newest:
            raise BundleError(
                f"{manifest.name}@{newest} is installed, and {manifest.bundle_version} is not larger.",
                "Export the bundle with a larger --bundle-version. To go back to an installed one, "
                "use sunkeep model activate or rollback.",
            )

    def _copy(self, contents: dict[str, bytes], target: Path) -> None:
        for left_over in self.directory.glob(INCOMING + "*"):  # of an installation that was killed
            shutil.rmtree(left_over)
        incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=self.directory))
        try:
            for name, content in contents.items():
                descriptor = os.open(incoming / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(descriptor)
            sync_directory(incoming)
            incoming.rename(target)
        except OSError:
            shutil.rmtree(incoming, ignore_errors=True)
            raise
        sync_directory(self.directory)

    def _save(self, choice: ActiveBundle) -> None:
        try:
            self.active.save(choice)
        except OSError as error:
            raise self._unwritable(error) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among those who write. The lock is the folder's own: a killed process leaves none behind."""
        try:
            if self._state.stat().st_uid != os.geteuid():  # the daemon could not read what we write
                raise BundleError(f"{self._state} belongs to another user.", AS_DAEMON)
            if not self.directory.exists():
                self.directory.mkdir(mode=0o700, exist_ok=True)
                sync_directory(self._state)
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BundleError(
                f"The state directory {self._state} is not there.",
                "Commission the site first: sunkeep zigbee key --config FILE.",
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _installed(self, reference: str) -> Installed:
        directory = self.directory / reference
        try:
            manifest, sha256 = read_manifest(directory)
            signed_by = read_signer(directory)
        except BundleError as error:
            return Installed(reference, directory, None, "", error.reason)
        return Installed(reference, directory, manifest, sha256, signed_by=signed_by)

    def _unwritable(self, error: OSError) -> BundleError:
        return BundleError(
            f"{self.directory} cannot be written ({error.strerror}).", "Make room, or check its permissions."
        )
