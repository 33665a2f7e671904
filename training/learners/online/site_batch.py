"""Batches of simulated sites as environments: steps of `training.batched.simulator`, with a reward."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.metering import AVOIDABLE_WEIGHT
from training.batched.randomization import DomainRandomization
from training.batched.simulator import (
    DEFAULT_RULES,
    BatchBelief,
    BatchState,
    Policy,
    View,
    act,
    believed,
    billed,
    estimate_state,
    live,
)
from training.batched.windows import RolloutWindow, SolarDay, reel_of, varied
from training.learners.data.files import REWARD_W
from training.learners.online.environment import BatchStep
from training.replay.differentiable_replay import settled, to_device

Scenery = Callable[[int, int, np.random.Generator], RolloutWindow]
"""Draws windows with their far ends: how many, of how many seconds of surplus, and all randomness."""
LEAD_S = 8
"""Seconds at the begin of an episode that the proposal of `lead` governs, so that features have a history."""


class Varied:
    """A scenery of mixed and scaled days, each window with a far end of its own."""

    def __init__(self, days: Sequence[SolarDay], chances: DomainRandomization) -> None:
        self._days, self._chances = days, chances

    def __call__(self, count: int, seconds: int, rng: np.random.Generator) -> RolloutWindow:
        """Draw."""
        return reel_of([varied(self._days, seconds, rng) for _ in range(count)], rng, self._chances)


class Sites:
    """n sites, a window of some scenery each; an episode is cut after `seconds`, and nothing ever terminates.

    Actions are W per phase; the reward is -(export + 0.5 avoidable import) / 200 of the second lived.
    """

    def __init__(self, scenery: Scenery, count: int, seconds: int, device: torch.device) -> None:
        self._scenery, self._count, self._seconds, self._device = scenery, count, seconds, device
        self._reel: RolloutWindow | None = None
        self._site: BatchState | None = None
        self._view: View | None = None
        self._belief: BatchBelief | None = None
        self._second = 0

    @property
    def view(self) -> View:
        """What a law sees now."""
        assert self._view is not None, "not begun"
        return self._view

    def reset(self, generator: torch.Generator) -> Tensor:
        """New windows and far ends; the slaves have long taken the surplus. Returns [n, 30]."""
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(seed))
        reel = self._scenery(self._count, self._seconds + LEAD_S + 2, rng)
        self._reel = to_device(reel, self._device)
        self._belief = believed(self._reel.rig)
        self._site, self._second = settled(self._reel, 0), 0
        self._look()
        for _ in range(LEAD_S):
            self._live(self.view.surplus_w)
        return self.view.features

    def step(self, sent: Tensor) -> BatchStep:
        """Step one second with these proposals, [n, 3] in W."""
        reward = self._live(sent)
        features = self.view.features
        no, cut = torch.zeros_like(reward), torch.zeros_like(reward)
        if self._second == self._seconds + LEAD_S:
            cut = torch.ones_like(reward)
        return BatchStep(features, features, reward, no, cut)

    def _look(self) -> None:
        assert self._reel is not None
        assert self._site is not None
        assert self._belief is not None
        noise_w = self._reel.noise_w[:, self._second]
        self._view, self._site = estimate_state(self._reel.rig, self._site, self._belief, noise_w)

    def _live(self, policy_action_w: Tensor) -> Tensor:
        assert self._reel is not None
        assert self._site is not None
        rig, moment = self._reel.rig, self._reel.moment(self._second)
        site, _, flown = act(rig, self._site, policy_action_w, moment.delays, DEFAULT_RULES)
        self._site = live(rig, site, moment.bare_w, flown)
        export_w, avoidable_w = billed(rig, self._site)
        self._second += 1
        self._look()
        return -(export_w + AVOIDABLE_WEIGHT * avoidable_w) / REWARD_W


class LawOnSites:
    """A deterministic law living on sites of its own: the baseline of a control variate."""

    def __init__(self, sites: Sites, law: Policy) -> None:
        self._sites, self._law = sites, law
        self._memory: Any = None

    def reset(self, generator: torch.Generator) -> None:
        """Begin anew."""
        self._sites.reset(generator)
        self._memory = None

    def step(self) -> Tensor:
        """The reward of one second, [n]."""
        policy_action_w, self._memory = self._law(self._sites.view, self._memory)
        return self._sites.step(policy_action_w).reward
