"""`sunkeep model`: policy bundles."""

import json
from pathlib import Path

import click

from models.bundle import builtin_bundle, load_bundle


@click.group()
def model() -> None:
    """Look after policy bundles."""


@model.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(directory: Path | None, as_json: bool) -> None:
    """Verify a bundle: hashes, shapes, features, golden vectors. Without DIRECTORY the one that ships.

    Exits 78 with the reason when the bundle must not be used.
    """
    bundle = load_bundle(directory or builtin_bundle())
    manifest = bundle.manifest
    facts = {
        "directory": str(bundle.directory),
        "name": manifest.name,
        "bundle_version": manifest.bundle_version,
        "created_at_utc": manifest.created_at_utc.isoformat(),
        "role": manifest.role,
        "period_s": manifest.period_s,
        "golden_vectors": len(bundle.golden.vectors),
        "golden_error_w": bundle.golden_error_w,
        "sha256": bundle.sha256,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"OK  {facts['name']} {facts['bundle_version']}, role {facts['role']}, {facts['directory']}")
    click.echo(
        f"    {facts['golden_vectors']} golden vectors, largest deviation {bundle.golden_error_w:.4f} W; "
        f"manifest {bundle.sha256[:16]}"
    )
