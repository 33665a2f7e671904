"""`sunkeep model`: policy bundles."""

import json
import time
from pathlib import Path
from typing import Any

import click

from daemon.bundles.store import Installed, ModelStore
from daemon.cli.options import config_option, json_option
from daemon.commands.engineering.model_signing import keygen, sign
from daemon.config.sections import INSTALLED
from daemon.config.settings import Settings, load_settings
from daemon.errors import EX_CONFIG
from daemon.operators.operator_socket import ask
from models.bundle import SHIPPED, BundleError, accepts, builtin_bundle, load_bundle, read_manifest
from models.public_key import fingerprint

ANSWER_S = 3.0
TAKE_OVER_S = 5.0
"""The daemon looks once a second and loads a bundle in a fraction of one; a small machine is slower."""
ASK_EVERY_S = 0.2

configured = config_option("The configuration of the site.")
for_programs = json_option()


@click.group()
def model() -> None:
    """Look after policy bundles.

    Installed bundles lie in the state directory. One of them is active; the daemon uses it when the
    configuration says [policy] bundle = "installed". Run these as the daemon's user.
    """


model.add_command(keygen)
model.add_command(sign)


@model.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="Ask for a signature as this site does.")
@for_programs
def verify(directory: Path | None, config: Path | None, as_json: bool) -> None:
    """Verify a bundle: signature, hashes, shapes, features, golden vectors.

    DIRECTORY may be builtin or clone, which ship; without it builtin is meant. Without --config a bundle may
    be signed by anybody or nobody. Exits 78 with the reason when the bundle must not be used.
    """
    trusted_keys = () if config is None else load_settings(config, key=False).policy.trusted_keys
    bundle = load_bundle(_bundle_place(directory), trusted_keys=trusted_keys)
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
        **_signer(bundle.signed_by),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"OK  {facts['name']} {facts['bundle_version']}, role {facts['role']}, {facts['directory']}")
    click.echo(
        f"    {facts['golden_vectors']} golden vectors, largest deviation {bundle.golden_error_w:.4f} W; "
        f"manifest {bundle.sha256[:16]}; {_said_signed(bundle.signed_by)}"
    )


@model.command()
@click.argument("folder", type=click.Path(path_type=Path))
@configured
@for_programs
def install(folder: Path, config: Path, as_json: bool) -> None:
    """Verify the bundle in FOLDER and copy it into the state directory. It is not active yet.

    Its role and period must fit the site, and its version must be larger than that of every installed bundle
    of its name. One that is installed already gets the signature of this copy. Exits 78 with the reason when
    it is refused; nothing has changed then.
    """
    settings = load_settings(config, key=False)
    item, is_new = _store(settings).install(folder, settings.core_site())
    if as_json:
        click.echo(json.dumps(_facts(item) | {"directory": str(item.directory), "is_new": is_new}))
        return
    signed = f", {_said_signed(item.signed_by)}" if item.signed_by else ""
    done = "Installed" if is_new else "Already installed:"
    click.echo(f"{done} {item.reference} in {item.directory}{signed}.")
    click.echo(f"Use it with: sunkeep model activate {item.reference} --config {config}")


@model.command("list")
@configured
@for_programs
def list_(config: Path, as_json: bool) -> None:
    """List the installed bundles, which one is active, and which policy a running daemon uses."""
    settings = load_settings(config, key=False)
    store = _store(settings)
    try:
        active, problem = store.active.load().active.reference, ""
    except BundleError as error:
        active, problem = "", str(error)
    keys = settings.policy.trusted_keys
    bundles = [
        _facts(item) | {"is_trusted": accepts(keys, item.signed_by) if keys else None}
        for item in store.installed()
    ]
    daemon = _in_force(settings)
    if as_json:
        facts = {"active": active, "problem": problem, "configured": settings.policy.bundle}
        click.echo(json.dumps(facts | {"bundles": bundles, "daemon": daemon}))
        return
    in_force = "" if daemon is None else daemon["sha256"]
    for row in bundles:
        marks = ["active"] * (row["reference"] == active) + ["in use"] * (row["sha256"] == in_force != "")
        marks += [_said_signed(row["signed_by"])] + ["not trusted"] * (row["is_trusted"] is False)
        created = row["created_at_utc"][:10]
        said = row["problem"] or f"{row['role']:<8} {created}  {row['sha256'][:12]}  {', '.join(marks)}"
        click.echo(f"{row['reference']:<24} {said}".rstrip())
    if not bundles:
        click.echo(f"Nothing is installed in {store.directory}.")
    click.echo(problem or f"Active: {active}.")
    if settings.policy.bundle != INSTALLED:
        click.echo(_other(settings.policy.bundle))
    click.echo(_said_in_force(daemon))


@model.command()
@click.argument("bundle")
@configured
@for_programs
def activate(bundle: str, config: Path, as_json: bool) -> int:
    """Make BUNDLE the active one: NAME@VERSION, the folder it came from, or builtin or clone, which ship.

    It is verified again. A running daemon takes it over between two ticks; the one before is kept for
    rollback.
    """
    settings = load_settings(config, key=False)
    active, is_new = _store(settings).activate(bundle, settings.core_site())
    return _told(settings, active.reference, is_new, as_json)


@model.command()
@configured
@for_programs
def rollback(config: Path, as_json: bool) -> int:
    """Make the bundle active again that was active before."""
    settings = load_settings(config, key=False)
    active = _store(settings).rollback(settings.core_site())
    return _told(settings, active.reference, True, as_json)


def _bundle_place(directory: Path | None) -> Path:
    """The folder of a bundle by its name or path, as every other command takes it."""
    name = "builtin" if directory is None else str(directory)
    return builtin_bundle(name) if name in SHIPPED else Path(name)


def _store(settings: Settings) -> ModelStore:
    return ModelStore(settings.state.directory, settings.policy.trusted_keys)


def _facts(item: Installed) -> dict[str, Any]:
    manifest = item.manifest
    return {
        "reference": item.reference,
        "name": item.order[0],
        "bundle_version": item.order[1],
        "role": None if manifest is None else manifest.role,
        "created_at_utc": None if manifest is None else manifest.created_at_utc.isoformat(),
        "sha256": item.sha256,
        "problem": item.problem,
        **_signer(item.signed_by),
    }


def _signer(signed_by: str) -> dict[str, str]:
    return {"signed_by": signed_by, "fingerprint": fingerprint(signed_by) if signed_by else ""}


def _said_signed(signed_by: str) -> str:
    return f"signed by {fingerprint(signed_by)}" if signed_by else "not signed"


def _in_force(settings: Settings) -> dict[str, Any] | None:
    """What a running daemon says about its policy; None when none answers this user."""
    try:
        answer = ask(settings.state.directory, {"command": "policy"}, ANSWER_S)
    except (OSError, ValueError):
        return None
    return answer if {"policy", "sha256", "problem", "is_settled"} <= answer.keys() else None


def _told(settings: Settings, reference: str, is_new: bool, as_json: bool) -> int:
    """Say what is active now and what the daemon makes of it. 78 when it refuses."""
    _, sha256 = read_manifest(_store(settings).place(reference))
    if not as_json:
        click.echo(f"Active{'' if is_new else ' already'}: {reference}, manifest {sha256[:12]}.")
    if settings.policy.bundle != INSTALLED:
        daemon = _in_force(settings)
        said = _other(settings.policy.bundle)
    else:
        daemon = _taken_over(settings)
        said = _said_in_force(daemon)
    if as_json:
        facts = {"active": reference, "sha256": sha256, "is_new": is_new, "daemon": daemon}
        click.echo(json.dumps(facts))
    else:
        click.echo(said)
    return EX_CONFIG if daemon and daemon["problem"] else 0


def _taken_over(settings: Settings) -> dict[str, Any] | None:
    """Wait until the running daemon uses what is active, or refuses it."""
    until_s = time.monotonic() + TAKE_OVER_S + 3.0 * settings.site.period_s
    while True:
        daemon = _in_force(settings)
        if daemon is None or daemon["is_settled"] or time.monotonic() > until_s:
            return daemon
        time.sleep(ASK_EVERY_S)


def _other(configured: str) -> str:
    return (
        f'The configuration names another: [policy] bundle = "{configured}". Write "{INSTALLED}" to use it.'
    )


def _said_in_force(daemon: dict[str, Any] | None) -> str:
    if daemon is None:
        return "No daemon answers here; it uses what is active when it starts."
    said = (
        f"The running daemon uses {daemon['policy'] or 'no policy'}, manifest {daemon['sha256'][:12] or '-'}."
    )
    return f"{said} It refused the one wanted: {daemon['problem']}" if daemon["problem"] else said
