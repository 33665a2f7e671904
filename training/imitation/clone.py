"""Behaviour cloning of a tuned law: ``python -m training.imitation.clone --traces DIR --out DIR``.

Writes a verified bundle. Only days of the split "train" teach and only days of the split "val" choose the
epoch; "test" is never opened. One thread, fixed seeds: the same source, data, machine and library versions
give the same graph, byte for byte.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from math import cos, pi
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from core.limits import PHASE_CAP_W
from core.site import Metering, Phases, per_phase
from training.artifacts.export import Lineage, export_bundle
from training.data.days import Day, data_sha256, data_sources, find_days
from training.imitation.demonstrations import (
    TEACHERS,
    Answer,
    DemonstrationDataset,
    attend,
    join,
    orders,
    vary,
)
from training.imitation.policy_net import PolicyNet
from training.imitation.scaling import scaling_of

BATCH = 1024
LEARNING_RATE = 2e-3
LEARNING_RATE_END = 2e-5
BEND_W = 20.0
"""Errors beyond this count by size, smaller ones by their square: about twice the meter's noise."""
GRADIENT_MAX = 1.0
FIRST_SHARE = 0.7
"""Part of each day's light that the teacher acts in."""
SECOND_SHARE = 0.4
"""Part that is lived again with the clone acting."""
VAL_SHARE = 0.3

console = Console(stderr=True)

ItemT = TypeVar("ItemT")


def progress(items: Sequence[ItemT], what: str) -> Iterable[ItemT]:
    """The items, behind a progress bar where somebody is watching."""
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def shortfall_w(unbounded_w: Tensor, lessons_w: Tensor, capacity_w: Tensor) -> Tensor:
    """Error in W, none where the law was bounded and the answer lies beyond that bound: [n, 3].

    The proposal is bounded by 0 and the capacity; how far beyond it would have gone is not taught.
    """
    error = unbounded_w - lessons_w
    error = torch.where(lessons_w <= 0.0, error.clamp(min=0.0), error)
    return torch.where(lessons_w >= capacity_w, error.clamp(max=0.0), error)


def mean_error_w(net: PolicyNet, lessons: DemonstrationDataset) -> float:
    """Mean absolute deviation from the teacher in W, after what bounds both."""
    tensors = map(torch.from_numpy, (lessons.states, lessons.actions_w, lessons.capacity_w))
    states, actions_w, capacity_w = tensors
    with torch.inference_mode():
        errors = shortfall_w(net.eval().unbounded_w(states), actions_w, capacity_w).abs()
    return float(errors.mean())


def fit(
    net: PolicyNet, lessons: DemonstrationDataset, val: DemonstrationDataset, epochs: int, seed: int
) -> PolicyNet:
    """Train a copy of the network; returns the epoch with the smallest error on `val`."""
    generator = torch.Generator().manual_seed(seed)
    columns, phases = map(torch.from_numpy, orders())
    states, actions_w, capacity_w = map(
        torch.from_numpy, (lessons.states, lessons.actions_w, lessons.capacity_w)
    )
    net = deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    steps = max(1, len(lessons) // BATCH)
    span = LEARNING_RATE - LEARNING_RATE_END
    best, best_w = deepcopy(net), mean_error_w(net, val)
    for epoch in range(epochs):
        net.train()
        shuffled = torch.randperm(len(lessons), generator=generator)
        for step in progress(range(steps), f"epoch {epoch + 1}/{epochs}"):
            done = (epoch * steps + step) / (epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE_END + 0.5 * span * (1.0 + cos(pi * done))
            rows = shuffled[step * BATCH : (step + 1) * BATCH]
            order = int(torch.randint(len(phases), (1,), generator=generator))
            errors = shortfall_w(
                net.unbounded_w(states[rows][:, columns[order]]),
                actions_w[rows][:, phases[order]],
                capacity_w[rows][:, phases[order]],
            )
            loss = torch.nn.functional.smooth_l1_loss(errors, torch.zeros_like(errors), beta=BEND_W)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_MAX)
            optimizer.step()
        error_w = mean_error_w(net, val)
        console.print(f"epoch {epoch + 1:3d}  mean error on val {error_w:6.2f} W")
        if error_w < best_w:
            best, best_w = deepcopy(net), error_w
    return best.eval()


def answering(net: PolicyNet) -> Answer:
    """The network as a plain function of one observation."""
    net = net.eval()

    def answer(observation: Sequence[float]) -> Phases:
        with torch.inference_mode():
            return per_phase(net(torch.tensor([observation], dtype=torch.float32))[0].tolist())

    return answer


def gather(
    days: tuple[Day, ...], teacher: str, metering: Metering, seed: int, answer: Answer | None, share: float
) -> DemonstrationDataset:
    """Lessons of several days, each with randomness of its own."""
    seeds = np.random.SeedSequence(seed).generate_state(len(days)).tolist()
    pairs = list(zip(days, seeds, strict=True))
    acting = "the teacher acts" if answer is None else "the clone acts"
    return join(
        [
            attend(day, teacher, metering, rng, answer, share)
            for day, rng in progress(pairs, f"{len(days)} days, {acting}")
        ]
    )


def clone(
    train: tuple[Day, ...], val: tuple[Day, ...], teacher: str, metering: Metering, seed: int, epochs: int
) -> tuple[PolicyNet, DemonstrationDataset]:
    """Learn from the teacher acting, then again with lessons of the clone itself acting."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    judged = vary(gather(val, teacher, metering, seed + 1, None, VAL_SHARE), rng)
    first = vary(gather(train, teacher, metering, seed + 2, None, FIRST_SHARE), rng)
    console.print(f"{len(first)} lessons")
    net = fit(PolicyNet(scaling_of(torch.from_numpy(first.states))), first, judged, max(1, epochs // 2), seed)
    second = vary(gather(train, teacher, metering, seed + 3, answering(net), SECOND_SHARE), rng)
    lessons = join([first, second])
    console.print(f"{len(lessons)} lessons with the clone's own")
    return fit(net, lessons, judged, epochs, seed), lessons


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--teacher", type=click.Choice(TEACHERS), default="predictive", show_default=True)
@click.option("--metering", type=click.Choice([m.value for m in Metering]), default="net", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True)
@click.option("--days", type=click.IntRange(1), help="Use only the first N days of each split.")
@click.option("--bundle-version", type=click.IntRange(1), default=1, show_default=True)
def main(
    traces: Path,
    out: Path,
    teacher: str,
    metering: str,
    seed: int,
    epochs: int,
    days: int | None,
    bundle_version: int,
) -> None:
    """Clone a tuned law into a policy bundle, from a folder of traces with a SUMMARY.json."""
    train, val = (find_days(traces, split)[:days] for split in ("train", "val"))
    net, lessons = clone(train, val, teacher, Metering(metering), seed, epochs)
    taught = train + val
    lineage = Lineage.now(
        out.name, bundle_version, metering, data_sha256(taught), sources=data_sources(taught)
    )
    actions_w = np.minimum(lessons.actions_w, np.float32(PHASE_CAP_W))
    exported = export_bundle(net, lessons.states, actions_w, lineage, out)
    console.print(f"policy.onnx {exported.bundle.manifest.files['policy.onnx']}", soft_wrap=True)
    console.print(f"graph and network differ by at most {exported.parity_w:.4f} W")


if __name__ == "__main__":
    main()
