"""The policy that ships, from a folder of measured days in one go: train, choose, export, judge.

    python -m training.champion --traces DIR --out DIR

Days of the split "train" give the gradients, days of the split "val" choose the checkpoint and are what the
table at the end speaks of; "test" is never opened. `OUT/bundle` is what the daemon loads,
`OUT/last.safetensors` lets the same command go on after a break.
"""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from safety.pi import PiGains
from training.batch import View
from training.checkpoint import load_weights
from training.contest import compete
from training.course import BEST_FILE, Course, console, train
from training.days import Day, data_sha256, find_days
from training.export import Floats, Lineage, current_commit, export_bundle
from training.lessons import orders
from training.net import MEMORY, ReplayNet
from training.replay import Plan, judge
from training.standings import as_table, standings
from training.windows import JUDGED, Sunshine, read_days, reel_of, varied

SHORT_PLAN = Plan(rows=8, groups=4, stretch_s=40)
SHORT_COURSE = Course(updates=60, check_every=30, window_s=400, windows=12)
UPDATES = 6000
"""One machine gives the same weights again after so many."""
EXAMPLES = 64
"""Windows of ten minutes that the bundle's statistics are taken from."""
EXAMPLE_S = 601
EVERY_S = 4


def examples(net: ReplayNet, days: tuple[Sunshine, ...], count: int, seed: int) -> tuple[Floats, Floats]:
    """What the policy sees and does on training days: [n, 30] raw and [n, 3] W, the phases in three orders.

    The first rows are one site, second by second.
    """
    luck = np.random.default_rng([seed, 1])
    reel = reel_of([varied(days, EXAMPLE_S, luck) for _ in range(count)], luck, JUDGED)
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
    net: ReplayNet,
    days: tuple[Day, ...],
    sunshine: tuple[Sunshine, ...],
    out: Path,
    name: str,
    number: int,
    seed: int,
) -> None:
    """Export the network with statistics of the training days, verified as the daemon will."""
    lineage = Lineage(
        name=name,
        bundle_version=number,
        created_at_utc=datetime.now(UTC),
        role="absorb",
        metering="net",
        training_commit=current_commit(),
        training_data_sha256=data_sha256(days),
        minimum_daemon_version=version("sunkeep"),
    )
    states, actions_w = examples(net, sunshine, EXAMPLES, seed)
    bundle = export_bundle(net, states, actions_w, lineage, out, (1, 3, MEMORY))
    console.print(f"policy.onnx {bundle.manifest.files['policy.onnx']}", soft_wrap=True)
    console.print(f"graph and network differ by at most {bundle.golden_error_w:.4f} W on the golden vectors")


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--updates", type=click.IntRange(1), default=UPDATES, show_default=True)
@click.option("--minutes", type=click.FloatRange(0.0), help="Train for this long instead; not reproducible.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--short", is_flag=True, help="A small run that shows that everything works.")
@click.option("--name", default="champion", show_default=True)
@click.option("--bundle-version", type=click.IntRange(1), default=1, show_default=True)
def main(
    traces: Path,
    out: Path,
    updates: int,
    minutes: float | None,
    seed: int,
    device: str,
    short: bool,
    name: str,
    bundle_version: int,
) -> None:
    """Train, choose, export and judge a champion."""
    torch.set_num_threads(1)
    train_days, val_days = find_days(traces, "train"), find_days(traces, "val")
    if short:
        train_days, val_days = train_days[:4], val_days[:1]
    sunshine = read_days(train_days)
    plan = SHORT_PLAN if short else Plan()
    course = SHORT_COURSE if short else Course(minutes=minutes, updates=updates)
    course = replace(course, seed=seed, device=device)
    progress = train(sunshine, read_days(val_days), out, course, plan)
    console.print(f"best of {progress.step} updates: {progress.best_j_w:.1f} W after {progress.best_step}")
    net = ReplayNet()
    load_weights(out / BEST_FILE, net)
    write_bundle(net.eval(), train_days + val_days, sunshine, out / "bundle", name, bundle_version, seed)
    if not short:
        rows = standings(compete(val_days, range(1), {"champion": net.policy}, PiGains()))
        (out / "val.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
        console.print(as_table(rows))


if __name__ == "__main__":
    main()
