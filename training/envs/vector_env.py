"""Many sites at once as a Gymnasium vector environment, on the batched physics of
`training.batched.simulator`.

The batch runs the product's own laws, and tests hold it against `core.tick.decide` and the stepped plant.
Gate, supervisor and detector, which do not act on a healthy site, are left out. This is for training that
needs speed; what is judged is judged by `daemon.simulation.simulate`.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from core.limits import PHASE_CAP_W
from training.batched.randomization import DomainRandomization
from training.batched.simulator import (
    DEFAULT_RULES,
    BatchBelief,
    BatchState,
    View,
    act,
    believed,
    billed,
    estimate_state,
    live,
    start,
)
from training.batched.windows import RolloutWindow, SolarDay, reel_of, varied
from training.envs.episodes import Reward
from training.envs.wrappers import Floats, observation_bounds


class SiteVectorEnv(VectorEnv[Floats, Floats, NDArray[Any]]):
    """`num_envs` sites in step, each with a window of varied days and a far end of its own, slaves at rest.

    Observations [n, 30] and actions [n, 3] as in `training.envs.env.SiteEnv`. All windows end together, by
    truncation; then `reset` draws new ones. `info` holds the terms of the reward, [n] each.

    Args:
        days: as `training.batched.windows.read_days` loads them.
        num_envs: sites.
        length_s: steps until all are truncated.
        chances: of delays, losses and slaves.
        reward: weights of the terms.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(
        self,
        days: Sequence[SolarDay],
        num_envs: int,
        length_s: int = 600,
        chances: DomainRandomization | None = None,
        reward: Reward | None = None,
    ) -> None:
        self._days, self.num_envs, self._length_s = days, num_envs, length_s
        self._chances, self._reward = chances or DomainRandomization(), reward or Reward()
        low, high = observation_bounds()
        self.single_observation_space = spaces.Box(low, high, dtype=np.float32)
        self.single_action_space = spaces.Box(0.0, PHASE_CAP_W, (3,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reel: RolloutWindow | None = None
        self._site: BatchState | None = None
        self._view: View | None = None
        self._belief: BatchBelief | None = None
        self._second = 0

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """New windows and far ends for all; all randomness comes from the environment's generator."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        windows = [varied(self._days, self._length_s + 2, self.np_random) for _ in range(self.num_envs)]
        reel = reel_of(windows, self.np_random, self._chances)
        self._reel, self._belief, self._second = reel, believed(reel.rig), 0
        with torch.inference_mode():
            self._site = start(reel.rig, reel.bare_w[:, 0], reel.noise_w[:, 0])
            self._look()
        return self._observation(), {}

    def step(
        self, actions: Floats
    ) -> tuple[Floats, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Live one second on every site."""
        if self._reel is None or self._site is None or self._second >= self._length_s:
            raise gym.error.ResetNeeded("reset() begins the windows")
        rig, moment, before_w = self._reel.rig, self._reel.moment(self._second), self._site.command_w
        with torch.inference_mode():
            policy_action_w = torch.from_numpy(np.asarray(actions)).to(before_w.dtype)
            site, sends, flown = act(rig, self._site, policy_action_w, moment.delays, DEFAULT_RULES)
            self._site = live(rig, site, moment.bare_w, flown)
            export_w, avoidable_w = billed(rig, self._site)
            change_w = (self._site.command_w - before_w).abs().sum(1)
            self._second += 1
            self._look()
        terms = [x.numpy().astype(np.float64) for x in (export_w, avoidable_w, change_w)]
        weights = self._reward
        cost_w = terms[0] + weights.avoidable_weight * terms[1] + weights.unrest_weight * terms[2]
        cut = np.full(self.num_envs, self._second == self._length_s)
        info = {"export_w": terms[0], "avoidable_import_w": terms[1], "action_change_w": terms[2]}
        info["sends"] = sends.numpy()
        return self._observation(), -cost_w / weights.scale_w, np.zeros(self.num_envs, bool), cut, info

    def _look(self) -> None:
        assert self._reel is not None
        assert self._site is not None
        assert self._belief is not None
        noise_w = self._reel.noise_w[:, min(self._second, self._length_s)]
        self._view, self._site = estimate_state(self._reel.rig, self._site, self._belief, noise_w)

    def _observation(self) -> Floats:
        assert self._view is not None
        return np.asarray(self._view.features.numpy(), np.float32)
