"""Where a bundle goes: nothing but a bundle is replaced, at once, and versions only grow."""

import shutil
from pathlib import Path

from models.manifest import DIGEST_FILE, GOLDEN_FILE, MANIFEST_FILE, NORMALIZATION_FILE, POLICY_FILE, Manifest
from models.signature import SIGNATURE_FILE


class ExportError(Exception):
    """No bundle was made; the message says why. What lay at the destination is as it was."""


def next_version(out: Path, given: int | None = None) -> int:
    """The version of the next bundle at `out`: one more than of the bundle there, 1 where there is none.

    Raises:
        ExportError: `given` is not above the version there, or `out` holds something else.
    """
    require_place(out)
    try:
        there = Manifest.model_validate_json((out / MANIFEST_FILE).read_bytes()).bundle_version
    except FileNotFoundError:
        there = 0
    except (OSError, ValueError) as error:
        raise ExportError(f"{out / MANIFEST_FILE} cannot be read; give another folder") from error
    if given is not None and given <= there:
        raise ExportError(f"{out} holds version {there} already; versions only grow, so give {there + 1}")
    return there + 1 if given is None else given


def require_place(out: Path) -> None:
    """Nothing there, or a bundle, which may be replaced."""
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file; give a folder")
    bundle_files = {POLICY_FILE, NORMALIZATION_FILE, GOLDEN_FILE, MANIFEST_FILE, DIGEST_FILE, SIGNATURE_FILE}
    strangers = (
        sorted(path.name for path in out.iterdir() if path.name not in bundle_files) if out.exists() else []
    )
    if strangers:
        raise ExportError(f"{out} holds {strangers[0]}, which is no part of a bundle; give another folder")


def take_place(beside: Path, out: Path) -> None:
    """Let a verified bundle replace what is at `out`."""
    before = out.with_name(f".{out.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if out.exists():
        out.rename(before)
    beside.rename(out)
    shutil.rmtree(before, ignore_errors=True)
