"""The policy that ships, from a folder of measured days in one go: train, choose, export, judge.

    python -m training.champion.train --traces DIR --out DIR

Days of the split "train" give the gradients, days of the split "val" choose the checkpoint and are what the
table at the end speaks of; "test" is never opened. `OUT/bundle` is what the daemon loads,
`OUT/last.safetensors` lets the same command go on after a break.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from core.site import Metering
from daemon.cli.options import FiniteRange
from plant.site.trace import TraceError
from safety.pi import PiGains
from training.artifacts.checkpoint import BEST_FILE, CheckpointError, load_weights
from training.artifacts.destination import ExportError, next_version
from training.artifacts.export import Floats, Lineage, current_commit, export_bundle
from training.batched.chords import with_broken_cloud
from training.batched.randomization import JUDGED
from training.batched.simulator import View
from training.batched.windows import SolarDay, read_days, reel_of, varied
from training.contest.contest import compete
from training.contest.results import as_table, standings
from training.data.days import Day, DaysError, data_sha256, data_sources, find_days
from training.device import device_option
from training.imitation.demonstrations import orders
from training.replay.differentiable_replay import ReplayPlan, judge
from training.replay.network import MEMORY, ReplayNet
from training.replay.trainer import RunLength, console, train
from training.run_record import RunRecord, read_record

SHORT_PLAN = ReplayPlan(rows=8, groups=4, stretch_s=40)
SHORT_COURSE = RunLength(updates=60, check_every=30, window_s=400, windows=12)
UPDATES = 6000
"""One machine gives the same weights again after so many."""
EXAMPLES = 64
"""Windows of ten minutes that the bundle's statistics are taken from."""
EXAMPLE_S = 601
EVERY_S = 4


def examples(net: ReplayNet, days: tuple[SolarDay, ...], count: int, seed: int) -> tuple[Floats, Floats]:
    """What the policy sees and does on training days: [n, 30] raw and [n, 3] W, the phases in three orders.

    The first rows are one site, second by second.
    """
    rng = np.random.default_rng([seed, 1])
    reel = reel_of([varied(days, EXAMPLE_S, rng) for _ in range(count)], rng, JUDGED)
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(view: View, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        action_w, memory = net.policy(view, memory)
        seen.append((view.features, action_w))
        return action_w, memory

    judge(reel, watched)
    first = [torch.stack([row[0] for row in column]) for column in zip(*seen, strict=True)]
    rest = [torch.cat(column) for column in zip(*seen[::EVERY_S], strict=True)]
    states, actions_w = (torch.cat(pair).numpy() for pair in zip(first, rest, strict=True))
    columns, phases = orders()
    turns = (0, 3, 4)  # each phase in each place once
    turned = [
        np.concatenate([table[:, order[turn]] for turn in turns])
        for table, order in ((states, columns), (actions_w, phases))
    ]
    return np.asarray(turned[0], np.float32), np.asarray(turned[1], np.float32)


def write_bundle(
    net: ReplayNet, sunshine: tuple[SolarDay, ...], out: Path, lineage: Lineage, seed: int
) -> None:
    """Export the network with statistics of the training days, verified as the daemon will."""
    states, actions_w = examples(net, sunshine, EXAMPLES, seed)
    exported = export_bundle(net, states, actions_w, lineage, out, (1, 3, MEMORY))
    console.print(f"policy.onnx {exported.bundle.manifest.files['policy.onnx']}", soft_wrap=True)
    console.print(f"graph and network differ by at most {exported.parity_w:.4f} W")


def record_run(
    out: Path,
    traces: Path,
    days: tuple[Day, ...],
    seed: int,
    metering: Metering = Metering.NET,
    parent_sha256: str | None = None,
    made_with: Mapping[str, int | float | None] | None = None,
) -> None:
    """Write beside the weights what they are trained on, for `sunkeep export`.

    Raises CheckpointError when `out` holds a run on other days, with another seed or from another bundle, or
    one that was made otherwise where `made_with` says how: going on with it would choose between weights that
    were judged on different windows.
    """
    record = RunRecord(
        learner="replay",
        seed=seed,
        metering=metering.value,
        data=traces.resolve(),
        data_sha256=data_sha256(days),
        training_commit=current_commit(),
        parent_sha256=parent_sha256,
        made_with=dict(made_with or {}),
    )
    before, same = read_record(out), {"seed", "metering", "data_sha256", "parent_sha256"}
    if before and before.model_dump(include=same) != record.model_dump(include=same):
        raise CheckpointError(
            f"{out} holds a run on other days, with another seed or from another bundle; give another --out"
        )
    if before and before.made_with != record.made_with:
        raise CheckpointError(
            f"{out} holds a run that was made with {_differences(before.made_with, record.made_with)}; give "
            "--short and --updates as they were then, or another --out"
        )
    record.write(out)


def _differences(before: Mapping[str, int | float | None], now: Mapping[str, int | float | None]) -> str:
    """What is not the same, as "updates 60 (now 600)"."""

    def told(name: str, made_with: Mapping[str, int | float | None]) -> str:
        value = made_with.get(name, "unknown")
        return "without limit" if value is None else str(value)

    names = [name for name in now if name not in before or before[name] != now[name]]
    return ", ".join(f"{name} {told(name, before)} (now {told(name, now)})" for name in names)


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--updates", type=click.IntRange(1), default=UPDATES, show_default=True)
@click.option("--minutes", type=FiniteRange(0.0), help="Train for this long instead; not reproducible.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@device_option
@click.option(
    "--drawn-suns", type=click.IntRange(0), default=0, help="Days more, under broken cloud that is drawn."
)
@click.option("--short", is_flag=True, help="A small run that shows that everything works.")
@click.option("--name", default="champion", show_default=True)
@click.option("--bundle-version", type=click.IntRange(1), help="By default one more than OUT/bundle has.")
def main(
    traces: Path,
    out: Path,
    updates: int,
    minutes: float | None,
    seed: int,
    device: str,
    drawn_suns: int,
    short: bool,
    name: str,
    bundle_version: int | None,
) -> None:
    """Train, choose, export and judge a champion."""
    torch.set_num_threads(1)
    course = SHORT_COURSE if short else RunLength(minutes=minutes, updates=updates)
    course = replace(course, seed=seed, device=device, is_family=True)
    try:
        _make(traces, out, course, short, name, next_version(out / "bundle", bundle_version), drawn_suns)
    except (CheckpointError, DaysError, TraceError, ExportError) as error:
        raise click.ClickException(str(error)) from None


def _under_drawn_suns(days: tuple[SolarDay, ...], count: int, seed: int) -> tuple[SolarDay, ...]:
    """Days more, each the load of one of these under a sun of its own."""
    rng = np.random.default_rng([seed, 2])
    return tuple(with_broken_cloud(days[place % len(days)], rng) for place in range(count))


def _make(
    traces: Path, out: Path, course: RunLength, short: bool, name: str, number: int, drawn_suns: int
) -> None:
    train_days, val_days = find_days(traces, "train"), find_days(traces, "val")
    if short:
        train_days, val_days = train_days[:4], val_days[:1]
    made_with = {"drawn_suns": drawn_suns} if drawn_suns else None
    record_run(out, traces, train_days + val_days, course.seed, made_with=made_with)
    sunshine, plan = read_days(train_days), SHORT_PLAN if short else ReplayPlan()
    taught = sunshine + _under_drawn_suns(sunshine, drawn_suns, course.seed)
    progress = train(taught, read_days(val_days), out, course, plan)
    console.print(f"best of {progress.step} updates: {progress.best:.1f} W after {progress.best_step}")
    net = ReplayNet()
    load_weights(out / BEST_FILE, net)
    days = train_days + val_days
    sources = sorted({*data_sources(days), *(["chord"] if drawn_suns else [])})
    lineage = Lineage.now(name, number, Metering.NET.value, data_sha256(days), sources=tuple(sources))
    write_bundle(net.eval(), sunshine, out / "bundle", lineage, course.seed)
    if not short:
        rows = standings(compete(val_days, range(1), {"champion": net.policy}, PiGains()))
        (out / "val.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
        console.print(as_table(rows))


if __name__ == "__main__":
    main()
