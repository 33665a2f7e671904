"""Signed bundles, and the configurations of sites that ask for them."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.site import Site
from daemon.bundles.signing import sign_bundle
from models.signature import SIGNATURE_FILE, public_key_of
from tests.support.toy_bundles import plain_model, write_bundle

SITE = Site(())
PERIOD_S = 0.2
KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
TRUSTED = (public_key_of(KEY),)
INSTALLED = '\n[policy]\nbundle = "installed"\n'
SIGNED_ONLY = f'{INSTALLED}trusted_keys = ["{TRUSTED[0]}"]\n'


def bundle(folder: Path, version: int = 1, key: Ed25519PrivateKey | None = None, **changes: Any) -> Path:
    where = write_bundle(folder / f"toy-{version}", plain_model(), bundle_version=version, **changes)
    (where / SIGNATURE_FILE).unlink(missing_ok=True)
    if key is not None:
        sign_bundle(where, key)
    return where
