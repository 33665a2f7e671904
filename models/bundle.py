"""A policy bundle: one directory, verified byte by byte before anything of it runs.

Every file is read once; the same bytes are hashed, parsed and given to ONNX Runtime, so nothing can change
between the check and the use. A bundle that does not hold raises `BundleError`; the daemon then starts with
the fallback and an alarm.

Hashes tell damage, not who made the bundle: whoever exchanges a file can exchange its hash. Where keys are
trusted, only bundles that one of them signed are used.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from core.site import Site
from models.features import FEATURE_NAMES
from models.inference import GraphError, Session
from models.manifest import (
    DIGEST_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    NORMALIZATION_FILE,
    POLICY_FILE,
    Golden,
    Manifest,
    Normalization,
)
from models.public_key import fingerprint
from models.signature import SIGNATURE_FILE, SignatureError, signer

FILE_MAX_BYTES = 32 * 1024 * 1024
"""A policy of the specification's shape has 0.35 MB."""
FILES_MAX = 16
"""A bundle has five files, and a sixth when it is signed; more than this is another directory."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class BundleError(Exception):
    """A bundle that must not be used. `reason` is one sentence, `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, ready to run. `golden_error_w` is its largest deviation on the golden vectors.

    `signed_by` is the public key whose signature holds; empty without a signature.
    """

    directory: Path
    manifest: Manifest
    normalization: Normalization
    golden: Golden
    golden_error_w: float
    session: Session
    sha256: str
    """Of `manifest.json`, which names the hashes of all other files: identifies the bundle."""
    signed_by: str = ""


_COPY_AGAIN = "Copy the bundle again from where it was made, or activate the previous one."
_PLAIN_FILES = "A bundle holds plain readable files only."
_OTHER_BUNDLE = "Use a bundle made for this version of Sunkeep."
_SIGN_IT = (
    "Sign it where it was made (sunkeep model sign) and bring it here again, or use the policy that ships "
    "(builtin), which needs no signature."
)

TrustedKeys: TypeAlias = tuple[str, ...]
"""Public keys as text (`models.public_key`). Empty: signed or not, every bundle is accepted."""


def load_bundle(directory: Path, daemon_version: str | None = None, trusted_keys: TrustedKeys = ()) -> Bundle:
    """Read, verify and open a bundle.

    Args:
        directory: the bundle. One that ships is as trustworthy as the code beside it: it needs no signature.
        daemon_version: what to hold `minimum_daemon_version` against; the installed version by default.
        trusted_keys: of whom a signature is accepted.

    Raises:
        BundleError: anything about it does not hold.
    """
    required = () if _ships(directory) else trusted_keys
    return bundle_of(directory, read_files(directory), daemon_version, required)


def bundle_of(
    directory: Path,
    contents: dict[str, bytes],
    daemon_version: str | None = None,
    trusted_keys: TrustedKeys = (),
) -> Bundle:
    """The bundle that these files are. The signature comes first: nothing of a stranger's is run.

    Args:
        directory: where they come from, for messages.
        contents: of `read_files`.
        daemon_version: as in `load_bundle`.
        trusted_keys: as in `load_bundle`, also for one that ships.

    Raises:
        BundleError: anything about it does not hold.
    """
    signed_by = _signer(contents[MANIFEST_FILE], contents.get(SIGNATURE_FILE))
    if not accepts(trusted_keys, signed_by):
        raise BundleError(f"The bundle is {_distrusted(signed_by)}.", _SIGN_IT)
    manifest = _parse(Manifest, contents[MANIFEST_FILE], MANIFEST_FILE)
    _check_files(manifest, contents)
    _check_fit(manifest, daemon_version or _installed_version())
    _check_digest(contents)
    normalization = _parse(Normalization, contents[NORMALIZATION_FILE], NORMALIZATION_FILE)
    if set(normalization.features) != set(FEATURE_NAMES):
        raise BundleError(f"{NORMALIZATION_FILE} does not name the 30 features.", _OTHER_BUNDLE)
    golden = _parse(Golden, contents[GOLDEN_FILE], GOLDEN_FILE)
    try:
        session = Session(contents[POLICY_FILE], manifest)
        golden_error_w = session.golden_error_w(golden)
    except GraphError as error:
        raise BundleError(f"{POLICY_FILE} does not run: {error}.", "Export the policy again.") from error
    if not golden_error_w <= manifest.golden_tolerance_w:
        raise BundleError(
            f"{POLICY_FILE} misses its golden vectors by {golden_error_w:.3f} W"
            f" (allowed: {manifest.golden_tolerance_w} W).",
            "Export the policy again; if it holds elsewhere, this machine computes differently.",
        )
    digest = hashlib.sha256(contents[MANIFEST_FILE]).hexdigest()
    return Bundle(directory, manifest, normalization, golden, golden_error_w, session, digest, signed_by)


def accepts(trusted_keys: TrustedKeys, signed_by: str) -> bool:
    """Whether a proven signature, or none (empty), is enough."""
    return not trusted_keys or (signed_by != "" and signed_by in trusted_keys)


def is_trusted(bundle: Bundle, trusted_keys: TrustedKeys) -> bool:
    """Whether a bundle in force would be loaded again under these keys."""
    return _ships(bundle.directory) or accepts(trusted_keys, bundle.signed_by)


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """What a bundle says about itself, and its SHA-256; nothing else of it is looked at.

    Raises:
        BundleError: there is no manifest, or it is not valid.
    """
    content = _read_file(directory, MANIFEST_FILE)
    return _parse(Manifest, content, MANIFEST_FILE), hashlib.sha256(content).hexdigest()


def read_signer(directory: Path) -> str:
    """Whose signature over its manifest a bundle carries; empty without one. Other files are not looked at.

    Raises:
        BundleError: it carries something else in its place, or has no manifest.
    """
    if not os.path.lexists(directory / SIGNATURE_FILE):
        return ""
    return _signer(_read_file(directory, MANIFEST_FILE), _read_file(directory, SIGNATURE_FILE))


def require_fit(manifest: Manifest, site: Site) -> None:
    """Refuse a policy that learnt another kind of site.

    The metering may differ: features and answers are per phase as the site's meter bills them.

    Raises:
        BundleError: role or tick differ.
    """
    if manifest.role != site.role.value:
        raise BundleError(
            f"The policy was trained for slaves that {manifest.role}, this site's slaves {site.role.value}.",
            "Use a bundle made for this role.",
        )
    if manifest.period_s != site.period_s:
        raise BundleError(
            f"The policy was trained for a tick of {manifest.period_s} s, this site has {site.period_s} s.",
            f"Set period_s = {manifest.period_s} or use a bundle made for this period.",
        )


SHIPPED = ("builtin", "clone")
"""Names of the bundles that ship: the champion, and the neural clone of the predictive law."""


def builtin_bundle(name: str = "builtin") -> Path:
    """Where a bundle that ships with Sunkeep lies."""
    return Path(str(files("models") / "artifacts" / name))


def _ships(directory: Path) -> bool:
    return directory in map(builtin_bundle, SHIPPED)


def read_files(directory: Path) -> dict[str, bytes]:
    """All files of a bundle by their names, each read once, without following links.

    Raises:
        BundleError: it cannot be read, or is no bundle.
    """
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise BundleError(
            f"The bundle {directory} cannot be read: {error.strerror}.",
            "Give the path of a bundle directory.",
        ) from error
    if len(names) > FILES_MAX:
        raise BundleError(f"{directory} holds {len(names)} files and is no bundle.", _COPY_AGAIN)
    contents = {name: _read_file(directory, name) for name in names}
    for name in (MANIFEST_FILE, POLICY_FILE, NORMALIZATION_FILE, GOLDEN_FILE):
        if name not in contents:
            raise BundleError(f"The bundle {directory} has no {name}.", _COPY_AGAIN)
    return contents


def _read_file(directory: Path, name: str) -> bytes:
    try:
        # not blocking: a named pipe must not hold up the daemon
        descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = f"{name} in the bundle cannot be opened as a plain file: {error.strerror}."
        raise BundleError(reason, _PLAIN_FILES) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleError(f"{name} in the bundle is not a plain file.", _PLAIN_FILES)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(FILE_MAX_BYTES + 1)
    if len(content) > FILE_MAX_BYTES:
        raise BundleError(f"{name} is larger than {FILE_MAX_BYTES} bytes.", _COPY_AGAIN)
    return content


def _parse(model: type[ModelT], content: bytes, name: str) -> ModelT:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{name} is not valid at '{where}': {first['msg']}.", _COPY_AGAIN) from error


def _distrusted(signed_by: str) -> str:
    if not signed_by:
        return "not signed, and [policy] trusted_keys asks for a signature"
    return f"signed by the key {fingerprint(signed_by)}, which [policy] trusted_keys does not name"


def _signer(manifest: bytes, signature_file: bytes | None) -> str:
    """A signature that does not hold is refused even where none is required: something was changed."""
    try:
        return "" if signature_file is None else signer(manifest, signature_file)
    except SignatureError as error:
        reason = f"{SIGNATURE_FILE} is no signature of this bundle: {error}."
        raise BundleError(reason, _COPY_AGAIN) from error


def _check_files(manifest: Manifest, contents: dict[str, bytes]) -> None:
    """Exactly the named files, each with the named bytes."""
    own = {MANIFEST_FILE, DIGEST_FILE, SIGNATURE_FILE}
    strangers = sorted(set(contents) - own - set(manifest.files))
    if strangers:
        raise BundleError(
            f"{strangers[0]} is in the bundle but not in its manifest.", "Remove it from there."
        )
    for name, expected in manifest.files.items():
        if name not in contents:
            raise BundleError(f"The bundle has no {name}, which its manifest names.", _COPY_AGAIN)
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise BundleError(
                f"{name} is not the file that the manifest names (SHA-256 differs).", _COPY_AGAIN
            )


def digest_line(manifest: bytes) -> bytes:
    """What `DIGEST_FILE` holds for a manifest."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n".encode()


def _check_digest(contents: dict[str, bytes]) -> None:
    """The manifest names the hashes of the others; its own damage would show in nothing but a signature."""
    if DIGEST_FILE in contents and contents[DIGEST_FILE] != digest_line(contents[MANIFEST_FILE]):
        raise BundleError(
            f"{MANIFEST_FILE} is not the file that {DIGEST_FILE} names (SHA-256 differs).", _COPY_AGAIN
        )


def _check_fit(manifest: Manifest, daemon_version: str) -> None:
    """Whether the bundle speaks of the features and shapes of this version."""
    if manifest.feature_names != FEATURE_NAMES:
        raise BundleError("The features or their order differ from those of this version.", _OTHER_BUNDLE)
    if set(manifest.training_range) != set(FEATURE_NAMES):
        raise BundleError("training_range does not name the 30 features.", _OTHER_BUNDLE)
    if manifest.input.shape != (1, len(FEATURE_NAMES)) or manifest.output.shape != (1, 3):
        raise BundleError("The policy's shapes are not [1, 30] in and [1, 3] out.", _OTHER_BUNDLE)
    if _numbers(daemon_version) < _numbers(manifest.minimum_daemon_version):
        raise BundleError(
            f"The bundle needs Sunkeep {manifest.minimum_daemon_version}, this is {daemon_version}.",
            "Update Sunkeep or use an older bundle.",
        )


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: 1.10.2 comes after 1.9; equal lengths, so that 1.0 is 1.0.0."""
    parts = [part for part in text.split(".")[:4] if part.isdecimal()]
    return tuple(int(part) for part in (*parts, *["0"] * (4 - len(parts))))


def _installed_version() -> str:
    try:
        return version("sunkeep")
    except PackageNotFoundError:
        return "0"
