"""Fitted Q evaluation of the contest's controllers, from the logs of a PI that explores.

The reward of these logs is what was saved over the predictive law on the same draws, so a value is a saving.
A controller sees in a log what the 30 features tell of it; its memory follows the logged seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.limits import CREDIT_MAX_S, PHASE_CAP_W, Limits
from core.site import Metering
from models.features import FEATURE_NAMES, PHASE_FEATURES
from training.batched.rules import slew
from training.batched.simulator import Policy, View
from training.data.days import Day
from training.imitation.scaling import phase_scaling
from training.learners.data.files import POLICY_NAMES, REWARD_W
from training.learners.data.logs import explore
from training.learners.data.transitions import Transitions
from training.learners.learner import Space
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.networks import Residual
from training.learners.offline.fqe import Followed, Fqe, FqeSettings

STRETCH_S = 600
WARM_UP_S = 60
"""Seconds of a stretch in which a controller's memory fills, and from which nothing is learnt."""
BATCH = 256
STEPS = 2500
HIDDEN = 128
FIRST_SEED = 500
"""Of the explored days' far ends."""
_STRIDE = len(PHASE_FEATURES)

Log = Mapping[str, NDArray[Any]]


def stretches(log: Log, names: Sequence[str]) -> Tensor:
    """Columns of a log cut into stretches, [stretches, STRETCH_S, columns]; a rest is left out."""
    table = np.column_stack([log[name] for name in names]).astype(np.float32)
    whole = len(table) // STRETCH_S
    return torch.from_numpy(table[: whole * STRETCH_S].reshape(whole, STRETCH_S, len(names)))


def view_of(features: Tensor) -> View:
    """What a controller sees, as far as the features tell; the action on air stands for the allowed one."""

    def phases(name: str) -> Tensor:
        at = PHASE_FEATURES.index(name)
        return features[:, at : 3 * _STRIDE : _STRIDE]

    surplus_w = phases("surplus_hat_w")
    command_w = phases("command_minus_surplus_w") + surplus_w
    meter_w = command_w - phases("in_flight_w") - surplus_w
    return View(features, surplus_w, meter_w, command_w, torch.full_like(surplus_w, PHASE_CAP_W))


@torch.no_grad()
def actions_of(policy: Policy, states: Tensor) -> Tensor:
    """What a policy does along logged stretches, [stretches, seconds, 30] to [stretches, seconds, 3] in W."""
    memory, rows, limits = None, [], Limits()
    credit_s = torch.full((len(states),), CREDIT_MAX_S)
    for second in range(states.shape[1]):
        view = view_of(states[:, second])
        policy_action_w, memory = policy(view, memory)
        rows.append(slew(policy_action_w, view.safe_action_w, view.capacity_w, credit_s, limits))
    return torch.stack(rows, 1)


def followed(states: Tensor, actions_w: Tensor, rewards: Tensor, policy: Policy) -> Followed:
    """Transitions of all stretches with the policy's answers; [s, t, 30], [s, t, 3] and [s, t]."""
    answers_w = actions_of(policy, states)

    def flat(table: Tensor, shift: int) -> Tensor:
        return table[:, WARM_UP_S + shift : table.shape[1] - 1 + shift].flatten(0, 1)

    nothing = torch.zeros(flat(rewards, 0).shape)
    logged = Transitions(
        flat(states, 0), flat(actions_w, 0), flat(rewards, 0), flat(states, 1), nothing, nothing
    )
    return Followed(logged, flat(answers_w, 0), flat(answers_w, 1))


def savings_w(
    days: Sequence[Day], policies: Mapping[str, Policy], metering: Metering, share: float, seed: int = 0
) -> dict[str, float]:
    """What each policy saves over the predictive law, in W on average, as the logs tell."""
    logs = [explore(day, metering, FIRST_SEED + number, share) for number, day in enumerate(days)]
    states, actions_w, rewards = (
        torch.cat([stretches(log, names) for log in logs])
        for names in (FEATURE_NAMES, POLICY_NAMES, ("reward",))
    )
    return {
        name: _saving_w(followed(states, actions_w, rewards[:, :, 0], policy), seed)
        for name, policy in policies.items()
    }


def _saving_w(table: Followed, seed: int) -> float:
    generator = seeded(seed, torch.device("cpu"))
    settings = FqeSettings()
    space = Space(phase_scaling(table.logged.observation), 3, Residual(), HIDDEN)
    learner = Fqe(space, settings)
    train(learner, lambda rng: table.draw(BATCH, rng), TrainingPlan(STEPS), generator)
    return learner.worth(table) * (1.0 - settings.gamma) * REWARD_W
