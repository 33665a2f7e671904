"""`sunkeep export`: a trained run becomes a verified bundle."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console

from core.site import Metering
from daemon.cli.options import json_option
from daemon.errors import InputError
from plant.site.trace import TraceError
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.destination import ExportError, next_version
from training.artifacts.export import PARITY_W, Exported, Floats, Lineage, export_bundle
from training.batched.windows import read_days
from training.champion.train import EXAMPLES, examples
from training.data.days import SUMMARY_FILE, DaysError, data_sha256, find_days
from training.learners.data.files import read_transitions, transitions_sha256
from training.learners.data.transitions import TransitionsError
from training.learners.loop import seeded
from training.learners.online.ppo import PpoSettings
from training.learners.online.training import Grounds
from training.replay.network import ReplayNet
from training.run_record import RECORD_FILE, RunRecord, TrainedPolicy, find_weights, load_policy, read_record

REFUSALS = (CheckpointError, DaysError, ExportError, TraceError, TransitionsError)


@dataclass(frozen=True)
class ExportRequest:
    """The command line."""

    run: Path
    out: Path
    checkpoint: str | None
    name: str | None
    bundle_version: int | None
    statistics: Path | None
    metering: str | None
    commit: str | None


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the bundle.")
@click.option("--checkpoint", type=click.Choice(["best", "last"]), help="By default the best, where kept.")
@click.option("--name", help="Of the bundle; by default learner and seed.")
@click.option("--bundle-version", type=click.IntRange(1), help="By default one more than at --out.")
@click.option(
    "--statistics",
    type=click.Path(path_type=Path, exists=True),
    help="Traces or transitions for statistics, ranges and golden vectors; by default the training data.",
)
@click.option("--metering", type=click.Choice([m.value for m in Metering]), help="By default as trained.")
@click.option("--commit", help="Source that trained bare weights.")
@json_option()
def export(as_json: bool, **options: Any) -> None:
    """Make a verified bundle of RUN: a folder of `sunkeep train`, a checkpoint, or the champion's weights.

    Normalisation and scaling go into the graph, which must answer like the network to 0.01 W. Only a bundle
    that verifies takes the place of what is at --out.
    """
    request = ExportRequest(**options)
    torch.set_num_threads(1)
    try:
        facts = _facts(request, *_export(request))
    except REFUSALS as error:
        raise InputError(str(error)) from None
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{facts['directory']}: {facts['name']} {facts['bundle_version']}, from {facts['weights']}")
    click.echo(
        f"Graph and network differ by {facts['parity_w']:.4f} W at most ({PARITY_W:g} W are allowed), "
        f"{facts['golden_vectors']} golden vectors, memory {facts['memory'] or 'none'}."
    )
    click.echo(
        f"Role {facts['role']}, metering {facts['metering']}, commit {facts['training_commit'][:12]}, "
        f"data {facts['training_data_sha256'][:12]}, statistics of {facts['statistics']}"
    )
    for name, digest in facts["files"].items():
        click.echo(f"  {digest[:16]}  {name}")


def _export(request: ExportRequest) -> tuple[Exported, Path, Path]:
    """The bundle, the weights it was made of, and where its statistics come from."""
    number = next_version(request.out, request.bundle_version)
    weights = find_weights(request.run, request.checkpoint)
    record = read_record(weights.parent)
    policy = load_policy(weights, record)
    source = _source(request, weights, policy, record)
    with Console(stderr=True).status(f"statistics of {source}"):
        states, actions_w = _examples(policy, source, record)
    lineage = Lineage.now(
        request.name or (weights.parent.name if record is None else f"{record.learner}-{record.seed}"),
        number,
        request.metering or ("net" if record is None else record.metering),
        _data_sha256(policy, source) if record is None else record.data_sha256,
        request.commit or ("unknown" if record is None else record.training_commit),
        None if record is None else record.parent_sha256,
    )
    exported = export_bundle(policy.net, states, actions_w, lineage, request.out, policy.memory_shape)
    return exported, weights, source


def _source(request: ExportRequest, weights: Path, policy: TrainedPolicy, record: RunRecord | None) -> Path:
    """Where statistics come from: as given, or the training data, if they are what they were."""
    if request.statistics is not None:
        return request.statistics
    if record is None:
        raise ExportError(
            f"{weights}: no {RECORD_FILE} beside it says what it was trained on; give the folder of traces "
            "with --statistics"
        )
    if not record.data.exists():
        raise ExportError(f"{record.data}, the training data, is gone; give other data with --statistics")
    if _data_sha256(policy, record.data) != record.data_sha256:
        raise ExportError(
            f"{record.data} has changed since it was trained on; to take statistics from it all the same, "
            "give it with --statistics"
        )
    return record.data


def _is_traces(source: Path) -> bool:
    return (source / SUMMARY_FILE).is_file()


def _examples(policy: TrainedPolicy, source: Path, record: RunRecord | None) -> tuple[Floats, Floats]:
    """What a policy sees and what is done, [n, 30] raw and [n, 3] W."""
    seed = 0 if record is None else record.seed
    if not _is_traces(source):
        table = read_transitions(source, "acted" if record is None else record.action)
        return table.observation.numpy(), table.action.numpy()
    sunshine = read_days(find_days(source, "train"))
    if isinstance(policy.net, ReplayNet):
        return examples(policy.net, sunshine, EXAMPLES, seed)
    cpu = torch.device("cpu")
    states, actions_w = Grounds(sunshine, PpoSettings().horizon, cpu).survey(seeded(seed, cpu))
    return np.asarray(states.numpy()), np.asarray(actions_w.numpy())


def _data_sha256(policy: TrainedPolicy, source: Path) -> str:
    """Of what weights without a record were trained on, as far as the command line says it."""
    if not _is_traces(source):
        return transitions_sha256(source)
    splits = ("train", "val") if isinstance(policy.net, ReplayNet) else ("train",)
    return data_sha256(day for split in splits for day in find_days(source, split))


def _facts(request: ExportRequest, exported: Exported, weights: Path, source: Path) -> dict[str, Any]:
    manifest = exported.bundle.manifest
    return {
        "directory": str(request.out),
        "name": manifest.name,
        "bundle_version": manifest.bundle_version,
        "weights": str(weights),
        "parity_w": exported.parity_w,
        "golden_vectors": len(exported.bundle.golden.vectors),
        "memory": [list(tensor.shape) for tensor in manifest.memory],
        "role": manifest.role,
        "metering": manifest.metering,
        "training_commit": manifest.training_commit,
        "training_data_sha256": manifest.training_data_sha256,
        "statistics": str(source),
        "files": manifest.files,
        "sha256": exported.bundle.sha256,
    }
