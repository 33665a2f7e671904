"""`sunkeep train`: learn a policy and write it as a bundle."""

from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import click
import torch
from click.core import ParameterSource
from rich.console import Console
from torch import Tensor

from core.site import Metering
from daemon.cli.options import FiniteRange
from training.artifacts.checkpoint import (
    BEST_FILE,
    CheckpointError,
    load_weights,
    read_actor,
    read_checkpoint,
)
from training.artifacts.destination import ExportError
from training.artifacts.export import Lineage, export_bundle
from training.batched.randomization import DomainRandomization
from training.batched.windows import read_days
from training.champion.train import record_run, write_bundle
from training.commands.learner_options import learner_options, taken
from training.commands.train_request import BUNDLE, RUN, TrainRequest
from training.data.days import DaysError, data_sha256, find_days
from training.device import device_option
from training.imitation.scaling import phase_scaling
from training.learners.composed import Composed, from_transitions, on_sites, ppo_settings, scenery_of
from training.learners.data.files import ACTIONS, read_transitions, transitions_sha256
from training.learners.data.transitions import Transitions, TransitionsError
from training.learners.evaluation import j_on
from training.learners.learner import ActorLearner, Space
from training.learners.loop import Judge, TrainingDiverged, TrainingPlan, seeded
from training.learners.loop import train as run_loop
from training.learners.networks import Absolute, Residual
from training.learners.offline.clone import Clone
from training.learners.offline.defaults import BATCH, GAMMA, SPAN_W, USUAL, offline_learner
from training.learners.offline.iql_discrete import DiscreteIql
from training.learners.online.ppo import Ppo
from training.learners.online.training import Grounds
from training.learners.options import CRITICS, OptionError
from training.replay.differentiable_replay import ReplayPlan
from training.replay.network import ReplayNet
from training.replay.trainer import RunLength
from training.replay.trainer import train as run_course

LEARNERS = (*USUAL, "ppo", "replay")
JUDGEMENTS = 20
PATIENCE = 5
CHOICES = 5
"""States of a training that days choose from, less those in which the actor had not begun to learn."""
REFUSALS = (TransitionsError, DaysError, CheckpointError, ExportError, OptionError, TrainingDiverged)

Deployable: TypeAlias = ActorLearner[Any] | DiscreteIql

console = Console(stderr=True)


@dataclass(frozen=True)
class TrainedUpdates:
    """Updates that were made, and after how many of them the exported state was reached."""

    updates: int
    chosen_at: int


@click.command("train")
@click.option("--learner", type=click.Choice(LEARNERS), required=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Transitions (a data set's train.parquet, a log); for ppo and replay a folder of traces.",
)
@click.option(
    "--val", type=click.Path(path_type=Path, exists=True), help="Transitions that choose bc's best state."
)
@click.option(
    "--choose-on",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of traces: of five states, less those within --critic-warmup-steps, the one with the "
    "smallest J on its val days is exported.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=10_000, show_default=True, help="Updates.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out.")
@device_option
@click.option("--batch", type=click.IntRange(1), default=BATCH, show_default=True)
@click.option("--action", type=click.Choice(ACTIONS), default="acted", show_default=True)
@click.option(
    "--start-from",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Checkpoint of another learner.",
)
@click.option(
    "--span-w",
    type=FiniteRange(0.0, 5000.0),
    default=SPAN_W,
    show_default=True,
    help="Reach of the residual on the surplus; 0 learns absolute powers.",
)
@click.option("--gamma", type=FiniteRange(0.0, 0.999), default=GAMMA, show_default=True)
@click.option(
    "--cql-weight",
    type=FiniteRange(0.0),
    default=USUAL["cql"].cql_weight,
    show_default=True,
    help="Of cql.",
)
@click.option(
    "--critic-warmup-steps",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help=f"Updates before the actor learns; for one that starts from another. Of {', '.join(CRITICS)}.",
)
@click.option(
    "--metering",
    type=click.Choice([m.value for m in Metering]),
    help="How the site is billed: as the data say it, which this cannot change. ppo and replay practise on "
    "both billings and export for net, unless it is given: then on this one, and for it.",
)
@click.option("--bundle-version", type=click.IntRange(1), help="By default one more than OUT/bundle has.")
@learner_options
def train(**words: Any) -> TrainedUpdates:
    """Learn a policy from transitions (bc, sac, cql, iql, td3bc) or on simulated sites (ppo, replay).

    Checkpoints and TensorBoard events go to OUT/run, the policy to OUT/bundle.
    """
    source = click.get_current_context().get_parameter_source
    unsaid = (ParameterSource.DEFAULT, None)
    given = frozenset(name for name in words if source(name) not in unsaid)
    options = taken(words, given)
    request = TrainRequest(**words, options=options, given=given)
    torch.set_num_threads(1)
    try:
        request.check()
        if request.learner == "replay":
            return _replay(request)
        if request.learner == "ppo":
            return _on_sites(request)
        return _from_transitions(request)
    except REFUSALS as error:
        raise click.ClickException(str(error)) from error


def _from_transitions(request: TrainRequest) -> TrainedUpdates:
    device = torch.device(request.device)
    generator = seeded(request.seed, device)
    table, data_hash = read_transitions(request.data, request.action), transitions_sha256(request.data)
    metering = request.record(data_hash)
    console.print(f"{len(table)} transitions, billed {metering.value}")
    space = _space(request, phase_scaling(table.observation))
    learner = offline_learner(request.learner, space, request.settings()).to(device)
    composed = from_transitions(learner, table.to(device), request.batch, request.options)
    taught = _run(request, learner, composed, generator)
    lineage = _lineage(request, metering, data_hash)
    return _finish(request, learner, taught, (table.observation, table.action), lineage)


def _on_sites(request: TrainRequest) -> TrainedUpdates:
    device = torch.device(request.device)
    generator = seeded(request.seed, device)
    days = find_days(request.data, "train")
    metering = request.record(data_sha256(days))
    settings, sunshine = ppo_settings(request.gamma, request.options), read_days(days)
    chances = DomainRandomization()
    if request.net_share is not None:
        chances = replace(chances, net=request.net_share)
    scenery = scenery_of(sunshine, request.options, request.seed, chances)
    grounds = Grounds(sunshine, settings.horizon, device, scenery=scenery, chances=chances)
    states, actions_w = grounds.survey(generator)
    learner = Ppo(_space(request, phase_scaling(states)), settings).to(device)
    composed = on_sites(learner, grounds, scenery, request.options, request.seed)
    taught = _run(request, learner, composed, generator)
    lineage = _lineage(request, metering, data_sha256(days))
    return _finish(request, learner, taught, (states, actions_w), lineage)


def _run(
    request: TrainRequest, learner: Deployable, composed: Composed, generator: torch.Generator
) -> TrainedUpdates:
    """Teach, and put the learner into the state that is exported: the last one, or the one chosen."""
    if request.start_from is not None and not request.resume:
        read_actor(request.start_from, learner)
    run, device = request.out / RUN, torch.device(request.device)
    plan, judge = TrainingPlan(request.steps), None
    if isinstance(learner, Ppo):
        plan = TrainingPlan(request.steps, report_every=10, save_every=50)
    if isinstance(learner, Clone) and request.val is not None:
        judge = _error_of(learner, read_transitions(request.val, request.action).to(device))
        plan = replace(plan, judge_every=max(1, request.steps // JUDGEMENTS), patience=PATIENCE)
    elif request.choose_on is not None:
        judge = j_on(find_days(request.choose_on, "val"), learner.deployed, device)
        loop = max(1, request.options.reptile)  # within an inner loop the weights are those of one site
        every = loop * max(1, request.steps // CHOICES // loop)
        plan = replace(plan, judge_every=every, judge_after=request.critic_warmup_steps)
    source, companions = composed.source, composed.companions
    outcome = run_loop(learner, source, plan, generator, run, judge, request.resume, companions)
    console.print(f"{outcome.step} steps, {outcome.steps_per_s:.0f} steps/s", soft_wrap=True)
    chosen_at = outcome.step
    if judge is not None and outcome.best < inf:
        chosen_at = read_checkpoint(run / BEST_FILE, learner.contents(generator)).step
        console.print(f"best judgement {outcome.best:.4g} after {chosen_at} steps")
    return TrainedUpdates(outcome.step, chosen_at)


def _replay(request: TrainRequest) -> TrainedUpdates:
    """The recurrent residual, by its own course; `--steps` are its updates, and it goes on by itself."""
    train_days, val_days = (find_days(request.data, split) for split in ("train", "val"))
    sunshine, run = read_days(train_days), request.out / RUN
    metering, share = request.billed(), request.net_share
    made_with = None if share is None else {"net_share": share}
    record_run(run, request.data, train_days + val_days, request.seed, metering, made_with=made_with)
    course = RunLength(seed=request.seed, updates=request.steps, device=request.device, net=share)
    progress = run_course(sunshine, read_days(val_days), run, course, ReplayPlan())
    console.print(f"best J on val {progress.best:.1f} W at update {progress.best_step}")
    net = ReplayNet()
    load_weights(run / BEST_FILE, net)
    data_hash = data_sha256(train_days + val_days)
    lineage = _lineage(request, metering, data_hash)
    write_bundle(net.eval(), sunshine, request.out / BUNDLE, lineage, request.seed)
    return TrainedUpdates(progress.step, progress.best_step)


def _space(request: TrainRequest, scaling: Any) -> Space:
    scale = Residual(request.span_w) if request.span_w > 0.0 else Absolute()
    options = request.options
    clip = options.clip_observation or inf
    return Space(scaling, 3, scale, attends=options.actor == "attention", clip=clip)


def _error_of(learner: Clone, table: Transitions) -> Judge:
    def judge() -> float:
        with torch.inference_mode():
            return float(learner.error(table))

    return judge


def _lineage(request: TrainRequest, metering: Metering, data_sha256: str) -> Lineage:
    return Lineage.now(f"{request.learner}-{request.seed}", request.number, metering.value, data_sha256)


def _finish(
    request: TrainRequest,
    learner: Deployable,
    taught: TrainedUpdates,
    seen: tuple[Tensor, Tensor],
    lineage: Lineage,
) -> TrainedUpdates:
    """Export; `seen` are states and actions, [n, 30] and [n, 3] in W, for statistics and golden vectors."""
    states, actions_w = (values.cpu().numpy() for values in seen)
    policy, bundle = learner.cpu().deployed(), request.out / BUNDLE
    exported = export_bundle(policy, states, actions_w, lineage, bundle)
    console.print(f"{bundle}: graph and network differ by {exported.parity_w:.4f} W")
    return taught
