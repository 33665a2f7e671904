"""The loop: repeatable, resumable, stops when told, refuses what it cannot continue."""

from pathlib import Path

import pytest
import torch

from tests.training.learners.toys import TwoSteps, bandit, plain_space
from training.artifacts.checkpoint import BEST_FILE, LAST_FILE, CheckpointError, read_actor, read_checkpoint
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import ActorLearner, Report
from training.learners.loop import TrainingDiverged, TrainingPlan, seeded, train
from training.learners.offline.clone import Clone
from training.learners.offline.iql import Iql
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc
from training.learners.online.ppo import Ppo, PpoSettings

CPU = torch.device("cpu")
DATA = bandit(400)
LEARNERS: dict[str, type[Clone] | type[Sac] | type[Iql] | type[Td3Bc]] = {
    "bc": Clone,
    "sac": Sac,
    "iql": Iql,
    "td3bc": Td3Bc,
}


def made(name: str) -> ActorLearner[Transitions]:
    return LEARNERS[name](plain_space(1, hidden=8))


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def run(
    name: str, seed: int, steps: int, out: Path | None = None, resume: bool = False
) -> ActorLearner[Transitions]:
    generator = seeded(seed, CPU)
    learner = made(name)
    train(learner, Sampler(DATA, 32), TrainingPlan(steps, save_every=3), generator, out, resume=resume)
    return learner


@pytest.mark.parametrize("name", list(LEARNERS))
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    whole = run(name, 3, 12)
    run(name, 3, 7, tmp_path)
    assert same(run(name, 99, 12, tmp_path, resume=True), whole)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    first = run("sac", 4, 6)
    assert same(run("sac", 4, 6), first)
    assert not same(run("sac", 5, 6), first)


def test_a_resumed_on_policy_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def practise(seed: int, steps: int, out: Path | None, resume: bool = False) -> Ppo:
        generator = seeded(seed, CPU)
        learner = Ppo(plain_space(2, 8), PpoSettings(horizon=4, epochs=2, minibatch=16))
        environment = TwoSteps(8)
        train(
            learner,
            lambda rng: learner.collect(environment, rng),
            TrainingPlan(steps),
            generator,
            out,
            resume=resume,
        )
        return learner

    whole = practise(3, 6, None)
    practise(3, 4, tmp_path)
    assert same(practise(99, 6, tmp_path, resume=True), whole)


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path: Path) -> None:
    generator = seeded(0, CPU)
    learner = made("bc")
    verdicts = iter([3.0, 2.0, 2.5, 2.0, 9.0, 1.0])
    best: list[torch.Tensor] = []

    def judge() -> float:
        verdict = next(verdicts)
        if verdict == 2.0 and not best:
            best.append(learner.actor.mean.bias.detach().clone())
        return verdict

    plan = TrainingPlan(100, judge_every=2, patience=3)
    outcome = train(learner, Sampler(DATA, 32), plan, generator, tmp_path, judge)
    assert (outcome.step, outcome.best) == (10, 2.0)
    kept = made("bc")
    assert read_checkpoint(tmp_path / BEST_FILE, kept.contents(generator)).step == 4
    assert torch.equal(kept.actor.mean.bias, best[0])
    assert not torch.equal(learner.actor.mean.bias, best[0])


def test_figures_are_written_for_tensorboard(tmp_path: Path) -> None:
    run("sac", 0, 3, tmp_path)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"critic_loss" in events.read_bytes()


class BrokenLearner(Clone):
    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        return {"actor_loss": torch.tensor(float("nan"))}


def test_a_figure_that_is_not_finite_ends_the_run() -> None:
    with pytest.raises(TrainingDiverged, match="actor_loss"):
        train(BrokenLearner(plain_space(1, 8)), Sampler(DATA, 32), TrainingPlan(5), seeded(0, CPU))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    run("bc", 0, 2, tmp_path)
    generator = seeded(0, CPU)
    with pytest.raises(CheckpointError, match="of Clone, not of Iql"):
        read_checkpoint(tmp_path / LAST_FILE, made("iql").contents(generator))
    with pytest.raises(CheckpointError, match="size mismatch"):
        read_checkpoint(tmp_path / LAST_FILE, Clone(plain_space(1, 16)).contents(generator))
    with pytest.raises(CheckpointError, match="size mismatch"):
        read_actor(tmp_path / LAST_FILE, Sac(plain_space(1, 16)))
    (tmp_path / LAST_FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / LAST_FILE, made("bc").contents(generator))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "missing", made("bc").contents(generator))


@pytest.mark.parametrize("name", ["sac", "td3bc", "iql"])
def test_a_learner_begins_with_the_actor_of_a_clone(name: str, tmp_path: Path) -> None:
    clone = run("bc", 0, 5, tmp_path)
    learner = made(name)
    assert not same(learner.actor, clone.actor)
    read_actor(tmp_path / LAST_FILE, learner)
    assert same(learner.actor, clone.actor)
    if isinstance(learner, Td3Bc):
        assert same(learner.actor_target, clone.actor)


def test_conservatism_is_repeatable_too() -> None:
    def penalised() -> Sac:
        generator = seeded(2, CPU)
        learner = Sac(plain_space(1, 8), SacSettings(cql_weight=1.0, cql_samples=3))
        train(learner, Sampler(DATA, 32), TrainingPlan(4), generator)
        return learner

    assert same(penalised(), penalised())
