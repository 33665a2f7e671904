"""On-policy learning on batches of simulated sites, with the predictive law as control variate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from safety.predictive import PredictiveGains
from training.batched.laws import predictive_law
from training.batched.randomization import DomainRandomization
from training.batched.windows import SolarDay
from training.learners.loop import Source
from training.learners.online.environment import ControlVariate
from training.learners.online.ppo import Ppo, Rollout
from training.learners.online.site_batch import LawOnSites, Scenery, Sites, Varied

SITES = 64
SURVEYS = 4


class Grounds:
    """Where an on-policy learner practises.

    Args:
        days: of the split "train".
        horizon: seconds of an episode.
        device: where sites and learner live.
        count: sites at once.
        scenery: what is practised on; by default the days, varied, which statistics are always taken from.
        chances: what the sites of varied days are drawn from.
    """

    def __init__(
        self,
        days: Sequence[SolarDay],
        horizon: int,
        device: torch.device,
        count: int = SITES,
        scenery: Scenery | None = None,
        chances: DomainRandomization | None = None,
    ) -> None:
        usual = Varied(days, chances or DomainRandomization())
        practised = usual if scenery is None else scenery
        self._horizon, self._plain = horizon, Sites(usual, count, horizon, device)
        self._law = predictive_law(PredictiveGains())
        sites, beside = (Sites(practised, count, horizon, device) for _ in range(2))
        self._compared = ControlVariate(sites, LawOnSites(beside, self._law))

    @torch.no_grad()
    def survey(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the predictive law sees and does: [n, 30] raw and [n, 3] W, for statistics."""
        states, actions_w = [], []
        for _ in range(SURVEYS):
            self._plain.reset(generator)
            memory = None
            for _ in range(self._horizon):
                states.append(self._plain.view.features)
                policy_action_w, memory = self._law(self._plain.view, memory)
                actions_w.append(policy_action_w)
                self._plain.step(policy_action_w)
        return torch.cat(states), torch.cat(actions_w)

    def rollouts(self, learner: Ppo) -> Source[Rollout]:
        """One rollout per update; the reward is what is saved over the predictive law."""

        def collect(generator: torch.Generator) -> Rollout:
            return learner.collect(self._compared, generator)

        return collect
