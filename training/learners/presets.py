"""Named sets of options, so that a run need not spell them out; what the command line says goes first."""

from collections.abc import Mapping
from typing import Any

RECOMMENDED: Mapping[str, Any] = {
    "rate": 3e-4,
    "horizon": 64,
    "minibatch": 1024,
    "lam": 0.97,
    "entropy_weight": 0.02,
    "kl_max": 0.015,
    "clip_observation": 10.0,
    "clip_reward": 10.0,
    "warm_up": 100,
}
"""The specification's recommended values of PPO: with 64 sites the horizon makes its batch of 4096."""
ALL_IMPROVEMENTS: Mapping[str, Any] = {
    **RECOMMENDED,
    "actor": "attention",
    "value_nets": 2,
    "prioritized": 0.6,
    "curriculum": 0.5,
    "explore": "epsilon-greedy",
}
"""Every improvement of the specification that PPO takes, together; where days judge, the rate is halved on
plateaus as well. The others are left out: noise that lasts was measured to be worse, reptile decides which
sites come, as the curriculum does, and one that practises has no recorded rows to imagine on or relabel."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "recommended": RECOMMENDED,
    "all-improvements": ALL_IMPROVEMENTS,
}
PLATEAU = 2
"""Judgements without a better one until the rate is halved; there are five in a training."""


def with_preset(
    options: Mapping[str, Any], name: str, given: frozenset[str], *, is_judged: bool
) -> dict[str, Any]:
    """Options with those of a preset in the place of all that were not given."""
    preset = dict(PRESETS[name])
    if name == "all-improvements" and is_judged:
        preset["plateau"] = PLATEAU
    return {**options, **{key: value for key, value in preset.items() if key not in given}}
