"""Ways to look at the environment: declared bounds, features by name, masked discrete actions."""

from collections.abc import Mapping
from typing import Any, SupportsFloat, TypeAlias, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from core.limits import PHASE_CAP_W
from models.features import (
    DELAY_MAX_S,
    FAST_CLIP_W_S,
    FEATURE_NAMES,
    PHASE_FEATURES,
    POWER_MAX_W,
    SITE_FEATURES,
    SLOW_CLIP_W_S,
    VOLATILITY_CLIP_W,
)
from training.envs.action_ranges import level_masks

Floats: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.int64]

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "surplus_hat_w": (-POWER_MAX_W, POWER_MAX_W),
    "surplus_change_1s_w": (-2.0 * POWER_MAX_W, 2.0 * POWER_MAX_W),
    "slope_fast_w_s": (-FAST_CLIP_W_S, FAST_CLIP_W_S),
    "slope_slow_w_s": (-SLOW_CLIP_W_S, SLOW_CLIP_W_S),
    "log_volatility": (0.0, float(np.log1p(VOLATILITY_CLIP_W))),
    "command_minus_surplus_w": (-2.0 * POWER_MAX_W, 2.0 * POWER_MAX_W),
    "in_flight_w": (-2.0 * POWER_MAX_W, 2.0 * POWER_MAX_W),
    "max_10s_minus_now_w": (0.0, 2.0 * POWER_MAX_W),
    "last_step_decayed_w": (-2.0 * POWER_MAX_W, 2.0 * POWER_MAX_W),
    "delay_estimate_s": (0.0, DELAY_MAX_S),
    "link_loss_rate": (0.0, 1.0),
    "capacity_headroom_w": (0.0, POWER_MAX_W),
}
"""What `models.features` can give at all, by feature."""


def observation_bounds() -> tuple[Floats, Floats]:
    """Lowest and highest value of the 30 features, in the order of `FEATURE_NAMES`."""
    names = [*(PHASE_FEATURES * 3), *SITE_FEATURES]
    low, high = np.array([_BOUNDS[name] for name in names], np.float32).T
    return low, high


class NamedObservation(gym.ObservationWrapper[dict[str, Floats], Floats, Floats]):
    """The features by name: those of a phase as [3] for phases a, b, c, those of the site as [1]."""

    def __init__(self, env: gym.Env[Floats, Floats]) -> None:
        super().__init__(env)
        low, high = observation_bounds()
        self._places = {name: _places(name) for name in (*PHASE_FEATURES, *SITE_FEATURES)}
        boxes: dict[str, spaces.Space[Any]] = {
            name: spaces.Box(low[at], high[at], dtype=np.float32) for name, at in self._places.items()
        }
        self.observation_space = cast("spaces.Space[dict[str, Floats]]", spaces.Dict(boxes))

    def observation(self, observation: Floats) -> dict[str, Floats]:
        """Take the row apart."""
        return {name: observation[at] for name, at in self._places.items()}


def _places(name: str) -> list[int]:
    names = [name] if name in SITE_FEATURES else [f"{name}_{phase}" for phase in "abc"]
    return [FEATURE_NAMES.index(n) for n in names]


class MaskedLevels(gym.Env[Floats, Levels]):
    """Discrete actions: one of evenly spaced levels per phase, with a mask of those in reach.

    `info["action_masks"]` and `action_masks()` are [3, levels], True where a level is in its phase's range or
    next to it. A masked level that is chosen all the same becomes the nearest one that is not;
    `info["is_masked"]` says so.
    """

    def __init__(self, env: gym.Env[Floats, Floats], levels: int = 21) -> None:
        self.env, self.observation_space = env, env.observation_space
        self.levels_w = np.linspace(0.0, PHASE_CAP_W, levels)
        self.action_space = spaces.MultiDiscrete([levels] * 3)
        self._masks = np.ones((3, levels), bool)
        self._is_masked = False

    def action_masks(self) -> NDArray[np.bool_]:
        """Of the coming step."""
        return self._masks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._masked(info)

    def step(self, action: Levels) -> tuple[Floats, SupportsFloat, bool, bool, dict[str, Any]]:
        """Live one second with these levels."""
        observation, reward, terminated, truncated, info = self.env.step(self.action(action))
        info["is_masked"] = self._is_masked
        return observation, reward, terminated, truncated, self._masked(info)

    def action(self, action: Levels) -> Floats:
        """Levels to watts, masked ones replaced."""
        chosen = [_nearest(mask, int(level)) for mask, level in zip(self._masks, action, strict=True)]
        self._is_masked = chosen != [int(level) for level in action]
        return self.levels_w[chosen].astype(np.float32)

    def _masked(self, info: dict[str, Any]) -> dict[str, Any]:
        low, high = (tuple(info[name].tolist()) for name in ("action_low_w", "action_high_w"))
        self._masks = level_masks(low, high, self.levels_w)
        return info | {"action_masks": self._masks.copy()}


def _nearest(mask: NDArray[np.bool_], level: int) -> int:
    allowed = np.flatnonzero(mask)
    return int(allowed[np.abs(allowed - level).argmin()])
