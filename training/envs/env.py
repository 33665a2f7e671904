"""The site as a Gymnasium environment: decision, plant and random draws are those of `sunkeep simulate`.

A step is one second. The given action takes the place of the policy in `core.tick.decide`; slew, gate,
allocation, airtime and the radio follow as in live control. An episode is a stretch of a day. It is
*truncated* at the end of the stretch, and *terminated* when the policy loses its authority (an action that
is not a number, for example): nothing the learner does afterwards has any effect.

All draws come from the environment's generator: which day, which stretch, and the seed that draws slaves,
radio and meter noise. The same seed and the same policy give the same episode.
"""

from dataclasses import replace
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from core.decision import Authority, Source
from core.limits import PHASE_CAP_W
from core.parts import initial_memory
from core.site import Site, per_phase
from daemon.runtime.assembly import assemble
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, default_site
from safety.pi import PiFallback
from safety.supervisor import ModeSupervisor
from training.envs.action_ranges import ranges_w
from training.envs.episodes import GivenAction, Reward, SimulatedEpisode, Stretches
from training.envs.wrappers import Floats, observation_bounds


class SiteEnv(gym.Env[Floats, Floats]):
    """One site, one second a step. Observation: the 30 features, raw. Action: three totals in W.

    `info` holds the bounds of each phase (`action_low_w`, `action_high_w`, [3]), and after a step the terms
    of the reward, what was proposed, let through and put on air, and who acted. With `control_variate` a law
    lives the same second with the same draws, and the reward is how much better the learner was: the chance
    that hits both cancels out.

    Args:
        stretches: where episodes come from.
        site: by default nine heaters on a netting meter.
        reward: weights of the terms.
        control_variate: "pi", "predictive", or "" for none.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as the base class declares it

    def __init__(
        self,
        stretches: Stretches,
        site: Site | None = None,
        reward: Reward | None = None,
        control_variate: str = "",
    ) -> None:
        self._stretches, self._reward = stretches, reward or Reward()
        self.site = site or default_site()
        self._rival_law = control_variate
        low, high = observation_bounds()
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.action_space = spaces.Box(0.0, PHASE_CAP_W, (3,), np.float32)
        self._given = GivenAction()
        parts = replace(assemble(self.site, PiFallback(self.site), None).parts, policy=self._given)
        self._pilot = SimulatedController(
            parts, replace(initial_memory(parts), watch=ModeSupervisor().warm), Authority.POLICY
        )
        self._life: SimulatedEpisode | None = None
        self._rival: SimulatedEpisode | None = None
        self._left_s = 0
        self.scenario: Scenario | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; for `options` see `Stretches.draw`."""
        super().reset(seed=seed)
        self.scenario = scenario = self._stretches.draw(self.np_random, self.site, options or {})
        self._life = SimulatedEpisode.begin(scenario, self._pilot)
        rival = pilot(self._rival_law, self.site) if self._rival_law else None
        self._rival = None if rival is None else SimulatedEpisode.begin(scenario, rival)
        self._left_s = scenario.lead_s + scenario.end_s - scenario.start_s
        observation, bounds = self._observe()
        return observation, bounds

    def step(self, action: Floats) -> tuple[Floats, SupportsFloat, bool, bool, dict[str, Any]]:
        """Live one second with this action."""
        life = self._life
        if life is None or self._left_s <= 0:
            raise gym.error.ResetNeeded("reset() begins an episode")
        self._given.action_w = per_phase([float(w) for w in action])
        decision, change_w = life.live()
        export_w, avoidable_w = life.billed_w()
        earned = reward = self._reward.of(export_w, avoidable_w, change_w)
        if self._rival is not None:
            _, rival_change_w = self._rival.live()
            reward -= self._reward.of(*self._rival.billed_w(), rival_change_w)
            self._rival.next_snapshot()
        life.next_snapshot()
        self._left_s -= 1
        terminated = decision.verdict.source is not Source.POLICY
        truncated = self._left_s == 0
        if terminated:
            self._left_s = 0
        observation, info = self._observe()
        info |= {
            "export_w": export_w,
            "avoidable_import_w": avoidable_w,
            "action_change_w": change_w,
            "earned": earned,
            "policy_action_w": decision.policy_action_w,
            "safe_action_w": decision.safe_action_w,
            "on_air_w": life.wires.on_air.action_w,
            "send": decision.send.value,
            "source": decision.verdict.source.value,
        }
        return observation, reward, terminated, truncated, info

    def _observe(self) -> tuple[Floats, dict[str, Any]]:
        assert self._life is not None
        estimate, features = self._life.preview()
        low_w, high_w = ranges_w(estimate, self._life.snapshot.grid_power_w, self.site.limits)
        info = {"action_low_w": np.array(low_w), "action_high_w": np.array(high_w)}
        return np.array(features, np.float32), info
