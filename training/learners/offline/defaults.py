"""The learners from transitions as `sunkeep train` has them by default."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from training.learners.data.transitions import Transitions
from training.learners.learner import ActorLearner, Space
from training.learners.offline.clone import Clone, CloneSettings
from training.learners.offline.discrete_actions import Levels
from training.learners.offline.iql import Iql, IqlSettings
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc, Td3BcSettings

GAMMA, SPAN_W, BATCH = 0.93, 1000.0, 256
"""Discount of a second, reach of the residual on the surplus, rows of a batch."""
_SAC = SacSettings(gamma=GAMMA, entropy_start=0.02)
_IQL = IqlSettings(gamma=GAMMA, inverse_temperature=1.0)
USUAL: Mapping[str, Any] = {
    "bc": CloneSettings(),
    "sac": _SAC,
    "cql": replace(_SAC, cql_weight=1.0),
    "iql": _IQL,
    "iql-discrete": _IQL,
    "td3bc": Td3BcSettings(
        gamma=GAMMA, value_weight=0.25, normalize_advantage=True, noise=0.05, noise_max=0.1
    ),
}
"""Settings by learner. iql and td3bc are softer and nearer to the data than with the 3 and 2.5 of their
papers: td3bc with 2.5 and no --critic-warmup-steps left the clone it starts from (J 187 W on val windows) for
228 W after 5000 updates."""
_KINDS: Mapping[str, type[ActorLearner[Transitions]]] = {
    "bc": Clone,
    "sac": Sac,
    "cql": Sac,
    "iql": Iql,
    "td3bc": Td3Bc,
}


def settings_with(learner: str, changes: Mapping[str, float | int]) -> Any:
    """The usual settings of a learner with those changes that it has a setting for."""
    usual = USUAL[learner]
    own = {field.name for field in fields(usual)}
    return replace(usual, **{name: value for name, value in changes.items() if name in own})


def offline_learner(learner: str, space: Space, settings: Any) -> ActorLearner[Transitions] | DiscreteIql:
    """The learner of that name; `settings` are of the kind that `USUAL` has for it."""
    if learner == "iql-discrete":
        levels = Levels()
        return DiscreteIql(Choices(space.scaling, levels.count), settings, levels)
    make: Any = _KINDS[learner]
    made: ActorLearner[Transitions] = make(space, settings)
    return made
