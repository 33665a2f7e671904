"""`sunkeep model keygen` and `sign`: who vouches for a bundle."""

import json
from pathlib import Path

import click

from daemon.bundles.signing import make_signing_key, read_signing_key, sign_bundle
from daemon.cli.options import json_option
from daemon.errors import InputError
from models.public_key import fingerprint


@click.command()
@click.option("--out", "file", type=click.Path(path_type=Path), required=True, help="A new file.")
@json_option()
def keygen(file: Path, as_json: bool) -> None:
    """Make a key that signs bundles: the private half in FILE, the public half in FILE.pub.

    Keep the private half where bundles are made, with a copy in a safe place; a site needs the public half
    alone. Nothing is overwritten.
    """
    public_key, public_file = make_signing_key(file)
    facts = {
        "private_key_file": str(file),
        "public_key_file": str(public_file),
        "public_key": public_key,
        "fingerprint": fingerprint(public_key),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Made {file}, which signs: give it to nobody. Its public half is in {public_file}.")
    click.echo(f"Fingerprint {facts['fingerprint']}. A site that trusts this key has in its configuration:")
    click.echo(f'[policy]\ntrusted_keys = ["{public_key}"]')


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key", "file", type=click.Path(path_type=Path), required=True, help="The file of `model keygen`."
)
@json_option()
def sign(folder: Path, file: Path, as_json: bool) -> None:
    """Verify the bundle in FOLDER and sign it: signature.json, over its manifest and so over every file.

    What identifies the bundle stays the same. A signature that is there is replaced. Exits 78 with the reason
    when the bundle must not be used.
    """
    key = read_signing_key(file)
    try:
        bundle = sign_bundle(folder, key)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.") from None
    manifest = bundle.manifest
    facts = {
        "directory": str(folder),
        "name": manifest.name,
        "bundle_version": manifest.bundle_version,
        "sha256": bundle.sha256,
        "signed_by": bundle.signed_by,
        "fingerprint": fingerprint(bundle.signed_by),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(
        f"Signed {manifest.name} {manifest.bundle_version}, manifest {bundle.sha256[:12]}, "
        f"with the key {facts['fingerprint']}."
    )
