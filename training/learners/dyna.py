"""Dyna (Sutton 1991) with an ensemble: part of every batch is imagined by models of the site.

Several forward dynamics models (`training.dynamics.model`, 1 s ahead, each with a model of the reward) learn
from the same batches as the critics. From recorded states they imagine a few seconds of the present policy
(short branched rollouts, MBPO, Janner et al. 2019, arXiv:1906.08253). Where the models disagree more than
they usually do on the data, nobody knows what would follow: there the rollout ends, and the recorded
transition it began with stands in its place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.dynamics.model import ForwardDynamicsModel, Shape
from training.learners.callback import Callback
from training.learners.data.transitions import Transitions, joined, where
from training.learners.learner import CriticLearner, NormalizedBatch, Space, adam
from training.learners.loop import Source
from training.learners.networks import Critic

FEATURE_MAX = 8.0
"""Imagined features stay within what sinh turns into 1500 standard deviations."""
USUAL_KEPT = 0.98
"""Of the usual disagreement from one batch to the next."""


@dataclass(frozen=True)
class DynaSettings:
    """How much is imagined, and by whom.

    Args:
        horizon: seconds of a rollout.
        share: of a batch that is imagined.
        trust: a rollout ends where the models disagree this many times as much as on recorded actions.
        members: models of the ensemble.
        hidden: width of a model.
        lr: of the models.
        model_first: updates in which only the models learn and nothing is imagined.
    """

    horizon: int = 3
    share: float = 0.5
    trust: float = 2.0
    members: int = 5
    hidden: int = 128
    lr: float = 1e-3
    model_first: int = 200

    def starts(self, rows: int) -> int:
        """Rollouts in a batch of so many rows."""
        return int(rows * self.share) // self.horizon


class Model(nn.Module):
    """One guess of what follows: features and reward of the next second."""

    def __init__(self, inputs: int, actions: int, hidden: int) -> None:
        super().__init__()
        shape = Shape(
            state_dim=inputs,
            action_dim=actions,
            hidden_dim=hidden,
            lstm_hidden=hidden // 2,
            num_lstm_layers=1,
            lookahead_steps=1,
        )
        self.dynamics = ForwardDynamicsModel(shape)
        for part in self.dynamics.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0  # its draws would be nobody's; the ensemble is what keeps it from being too sure
        self.reward = Critic(inputs, actions, hidden)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """[n, d] normalised and [n, a] in (-1, 1) to [n, d + 1], the reward last."""
        return torch.cat([self.dynamics(features, action), self.reward(features, action)[:, None]], 1)


class Dyna(Callback):
    """The ensemble, and what it imagines. Nothing terminates in imagination, as nothing does on a site.

    Args:
        space: what the learner sees and does.
        settings: sizes.
    """

    name = "dyna"
    usual: Tensor
    batches: Tensor

    def __init__(self, space: Space, settings: DynaSettings) -> None:
        super().__init__()
        self._settings = settings
        models = [Model(space.inputs, space.actions, settings.hidden) for _ in range(settings.members)]
        self.models = nn.ModuleList(models)
        self.register_buffer("usual", torch.tensor(0.0))
        self.register_buffer("batches", torch.tensor(0))
        self.optimizers = {"models": adam(self.models.parameters(), settings.lr)}

    def beside(self, learner: CriticLearner, recorded: Source[Transitions]) -> Source[Transitions]:
        """Batches that are in part imagined, of the size of the recorded ones."""

        def draw(generator: torch.Generator) -> Transitions:
            batch = recorded(generator)
            self.learn(learner.seen(batch), generator)
            if int(self.batches) <= self._settings.model_first:
                return batch
            starts = self._settings.starts(len(batch))
            rows = torch.arange(len(batch), device=batch.reward.device)
            imagined = self.imagined(learner, batch.take(rows[:starts]), generator)
            return joined([batch.take(rows[len(imagined) :]), imagined])

        return draw

    def learn(self, seen: NormalizedBatch, generator: torch.Generator) -> None:
        """One step of every model, each on a draw of its own from the batch."""
        truth = torch.cat([seen.following, seen.reward[:, None]], 1)
        count, losses = len(truth), []
        for model in self.models:
            rows = torch.randint(count, (count,), generator=generator, device=generator.device)
            losses.append((model(seen.features[rows], seen.action[rows]) - truth[rows]).square().mean())
        optimizer = self.optimizers["models"]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(losses).sum())
        optimizer.step()
        self.batches += 1
        kept = USUAL_KEPT if int(self.batches) > 1 else 0.0
        self.usual.lerp_(self.disagreement(seen.features, seen.action).mean(), 1.0 - kept)

    def guesses(self, features: Tensor, action: Tensor) -> Tensor:
        """What every model says, [members, n, d + 1]."""
        return torch.stack([model(features, action) for model in self.models])

    @torch.no_grad()
    def disagreement(self, features: Tensor, action: Tensor) -> Tensor:
        """Standard deviation over the models, mean over what they guess, [n]."""
        return _spread(self.guesses(features, action))

    @torch.no_grad()
    def imagined(
        self, learner: CriticLearner, starts: Transitions, generator: torch.Generator
    ) -> Transitions:
        """Rollouts of the present policy, [n x horizon]: one of the models, drawn in each second, decides."""
        observation, nothing = starts.observation, torch.zeros_like(starts.reward)
        features = learner.normalize(observation)
        is_trusted = torch.ones_like(starts.reward, dtype=torch.bool)
        rows = torch.arange(len(starts), device=observation.device)
        steps = []
        for _ in range(self._settings.horizon):
            action, _ = learner.actor.sample(features, generator)
            guesses = self.guesses(features, action)
            is_trusted = is_trusted & (_spread(guesses) <= self._settings.trust * self.usual)
            model = torch.randint(len(guesses), (len(starts),), generator=generator, device=generator.device)
            guess = guesses[model, rows]
            features = guess[:, :-1].clamp(-FEATURE_MAX, FEATURE_MAX)
            following = learner.normalize.raw(features)
            sent = learner.space.scale.outward(observation, action)
            step = Transitions(observation, sent, guess[:, -1], following, nothing, nothing)
            steps.append(where(is_trusted, step, starts))
            observation = following
        return joined(steps)


def _spread(guesses: Tensor) -> Tensor:
    return guesses.std(0).mean(1)
