"""A learner with its options: where its batches come from and what goes along with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.batched.randomization import DomainRandomization
from training.batched.windows import SolarDay
from training.learners.callback import Callback
from training.learners.clipping import with_clipped_rewards
from training.learners.data.prioritized import PrioritizedSampler, PrioritySettings
from training.learners.data.transitions import Sampler, Transitions, TransitionsError
from training.learners.dyna import Dyna, DynaSettings
from training.learners.learner import CriticLearner, Learner
from training.learners.loop import Source
from training.learners.offline.discrete_actions import as_choices
from training.learners.offline.iql_discrete import DiscreteIql
from training.learners.online.curriculum import Curriculum
from training.learners.online.exploration import FadingBonus
from training.learners.online.exploring import Curiosity, EpsilonGreedy, ParameterNoise
from training.learners.online.ppo import Ppo, PpoSettings
from training.learners.online.reptile import Reptile, SiteTasks
from training.learners.online.training import Grounds
from training.learners.options import Options
from training.learners.schedule import RateSchedule, RateSettings


@dataclass(frozen=True)
class Composed:
    """Source of batches and callbacks: what the loop needs besides the learner."""

    source: Source[Any]
    companions: tuple[Callback, ...]


def ppo_settings(gamma: float, options: Options) -> PpoSettings:
    """PPO's own settings among the options."""
    names = ("kl_max", "noise_kept", "value_nets", "prioritized", "lam", "horizon", "minibatch")
    return PpoSettings(gamma, lr=options.rate, **{name: getattr(options, name) for name in names})


def from_transitions(learner: Learner[Any], table: Transitions, batch: int, options: Options) -> Composed:
    """A learner of recorded transitions; `table` is on its device.

    Raises:
        TransitionsError: there are episodes that end, which nobody can imagine on.
    """
    source: Source[Transitions]
    companions: list[Callback] = _rates(learner, options)
    if options.prioritized > 0.0:
        settings = PrioritySettings(alpha=options.prioritized)
        source = sampler = PrioritizedSampler(table, batch, settings, exchange=True)
        companions.append(sampler)
    else:
        source = Sampler(table, batch, exchange=True)
    if isinstance(learner, DiscreteIql) and learner.levels is not None:
        source = as_choices(source, learner.levels)
    if options.clip_reward > 0.0:
        source = with_clipped_rewards(source, options.clip_reward)
    if options.dyna > 0:
        assert isinstance(learner, CriticLearner), "options were not checked"
        if bool(table.terminal.any()):
            raise TransitionsError("the record holds episodes that end; --dyna imagines only what goes on")
        dyna = Dyna(learner.space, DynaSettings(horizon=options.dyna)).to(table.observation.device)
        source = dyna.beside(learner, source)
        companions.append(dyna)
    return Composed(source, tuple(companions))


def scenery_of(
    days: Sequence[SolarDay], options: Options, seed: int, chances: DomainRandomization
) -> Curriculum | SiteTasks | None:
    """The sites that an on-policy learner practises on; None for all of them, in any order."""
    if options.curriculum > 0.0:
        return Curriculum(days, chances, options.curriculum)
    if options.reptile > 0:
        return SiteTasks(days, chances, options.reptile, seed)
    return None


def on_sites(
    learner: Ppo, grounds: Grounds, scenery: Curriculum | SiteTasks | None, options: Options, seed: int
) -> Composed:
    """A learner that practises; `grounds` were made with `scenery`."""
    source = grounds.rollouts(learner)
    if options.clip_reward > 0.0:
        source = with_clipped_rewards(source, options.clip_reward)
    companions: list[Callback] = _rates(learner, options)
    if options.explore == "epsilon-greedy":
        companions.append(EpsilonGreedy())
    elif options.explore == "parameter-noise":
        companions.append(ParameterNoise(seed))
    elif options.explore == "curiosity":
        curiosity = Curiosity(learner.space).to(learner.normalize.mean.device)
        source = curiosity.beside(learner, source)
        companions.append(curiosity)
    if scenery is not None:
        companions.append(scenery)
    if options.entropy_weight > 0.0:
        companions.append(FadingBonus(options.entropy_weight))
    if options.reptile > 0:
        companions.append(Reptile(learner, options.reptile))
    return Composed(source, tuple(companions))


def _rates(learner: Learner[Any], options: Options) -> list[Callback]:
    settings = RateSettings(options.warm_up, options.decay, plateau=options.plateau)
    return [] if settings == RateSettings() else [RateSchedule(learner, settings)]
