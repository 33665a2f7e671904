"""Trains the forward dynamics model on one split, chooses on the next, and judges once on the last."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import torch
from torch import Tensor, nn

from core.site import Metering
from training.data.lookahead import LookAheads, read_look_aheads, read_manifest, read_normalization
from training.dynamics.model import (
    ForwardDynamicsModel,
    ForwardModelLoss,
    Shape,
    StateScaling,
    as_tensors,
    load_model,
    save_model,
)

GRADIENT_MAX = 1.0
JUDGED_AT_ONCE = 8192


@dataclass(frozen=True)
class FitPlan:
    """How a run trains. `patience` epochs without a better validation loss cut the rate to a tenth.

    `minutes` are those of one core, so that a busy machine does not teach less.
    """

    epochs: int = 100
    batch: int = 1024
    learning_rate: float = 1e-3
    patience: int = 3
    seed: int = 0
    minutes: float = 10.0
    weighted: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to. `is_best` says that its weights were kept."""

    number: int
    train_loss: float
    val_loss: float
    learning_rate: float
    is_best: bool


def fit(
    train: LookAheads,
    val: LookAheads,
    scaling: StateScaling,
    plan: FitPlan,
    shape: Shape | None = None,
    begin: ForwardDynamicsModel | None = None,
    tell: Callable[[Epoch], None] = lambda _epoch: None,
    keep: Callable[[ForwardDynamicsModel], None] = lambda _model: None,
) -> ForwardDynamicsModel:
    """Train; returns the weights of the epoch with the smallest loss on `val`.

    Args:
        begin: weights to go on from; fresh ones without.
        tell: called after every epoch.
        keep: called with the model whenever it is the best so far, for a checkpoint.
    """
    torch.manual_seed(plan.seed)
    device = torch.device(plan.device)
    model = (ForwardDynamicsModel(shape) if begin is None else deepcopy(begin)).to(device)
    criterion = ForwardModelLoss(weighted=plan.weighted).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=plan.patience)
    rng = torch.Generator().manual_seed(plan.seed)
    states, actions = (x.to(device) for x in as_tensors(train.states, train.actions_w, scaling))
    targets = scaling.state(torch.from_numpy(train.targets)).to(device)
    best, best_loss = deepcopy(model), float("inf")
    if begin is not None:
        best_loss = weighted_loss(best, val, scaling, criterion)
    enough_s = process_time() + 60.0 * plan.minutes
    for number in range(1, plan.epochs + 1):
        model.train()
        total, done = 0.0, 0
        batches = torch.split(torch.randperm(len(train), generator=rng).to(device), plan.batch)
        for rows in batches:
            loss = criterion(model(states[rows], actions[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_MAX)
            optimizer.step()
            total, done = total + float(loss.detach()), done + 1
            if process_time() > enough_s:
                break
        val_loss = weighted_loss(model, val, scaling, criterion)
        is_best = val_loss < best_loss
        if is_best:
            best, best_loss = deepcopy(model), val_loss
            keep(best)
        rate = optimizer.param_groups[0]["lr"]
        tell(Epoch(number, total / done, val_loss, rate, is_best))
        scheduler.step(val_loss)
        if process_time() > enough_s:
            break
    return best.cpu().eval()


def predicted(model: ForwardDynamicsModel, rows: LookAheads, scaling: StateScaling) -> Tensor:
    """Normalised states after the look-ahead, [n, 30], on the CPU."""
    device = next(model.parameters()).device
    states, actions = (x.to(device) for x in as_tensors(rows.states, rows.actions_w, scaling))
    model.eval()
    with torch.inference_mode():
        pairs = zip(*(torch.split(x, JUDGED_AT_ONCE) for x in (states, actions)), strict=True)
        return torch.cat([model(state, action) for state, action in pairs]).cpu()


def squared_errors(model: ForwardDynamicsModel, rows: LookAheads, scaling: StateScaling) -> Tensor:
    """Mean squared error of every feature, normalised, [30]."""
    truth = scaling.state(torch.from_numpy(rows.targets))
    return ((predicted(model, rows, scaling) - truth) ** 2).mean(0)


def weighted_loss(
    model: ForwardDynamicsModel, rows: LookAheads, scaling: StateScaling, criterion: ForwardModelLoss
) -> float:
    """The loss over all rows, without dropout."""
    return float((squared_errors(model, rows, scaling) * criterion.weights.cpu()).mean())


@dataclass(frozen=True)
class FittedModel:
    """A model with the data it may be judged on."""

    model: ForwardDynamicsModel
    scaling: StateScaling
    test: LookAheads
    metering: Metering


def train_on(
    folder: Path,
    out: Path,
    plan: FitPlan,
    begin: Path | None = None,
    tell: Callable[[Epoch], None] = lambda _epoch: None,
) -> FittedModel:
    """Train on a data set of `sunkeep dataset`; the best weights so far are always in `out`.

    With `begin`, a saved model, its weights and its scaling are gone on from.

    Raises:
        DatasetError: not a data set.
        ValueError: `begin` is not a model.
    """
    manifest = read_manifest(folder)
    start, scaling = (
        (None, StateScaling.of(read_normalization(folder))) if begin is None else load_model(begin)
    )
    train, val = (read_look_aheads(folder, split, seed=plan.seed) for split in ("train", "val"))
    out.parent.mkdir(parents=True, exist_ok=True)
    lineage = {
        "sunkeep_version": manifest.sunkeep_version,
        "train_sha256": manifest.files["train.parquet"].sha256,
        "seed": str(plan.seed),
    }
    shape = Shape(lookahead_steps=manifest.lookahead_s)
    model = fit(train, val, scaling, plan, shape, start, tell, lambda m: save_model(out, m, scaling, lineage))
    return judged_on(folder, model, scaling)


def judged_on(folder: Path, model: ForwardDynamicsModel, scaling: StateScaling) -> FittedModel:
    """A model beside the test days of a data set."""
    metering = Metering(read_manifest(folder).metering)
    return FittedModel(model, scaling, read_look_aheads(folder, "test"), metering)
