"""Statistics that normalise observations."""

import torch
from torch import Tensor

from models.features import FEATURE_NAMES, PHASE_FEATURES
from training.imitation.policy_net import FeatureScaling

STD_MIN = 1e-6
"""A feature that moves less counts as it is."""
_PHASES = 3 * len(PHASE_FEATURES)


def scaling_of(observations: Tensor) -> FeatureScaling:
    """Mean and standard deviation of every feature, [n, d] to [d] each."""
    exact = observations.double()
    std = exact.std(0, correction=0)
    return FeatureScaling(exact.mean(0).float(), torch.where(std > STD_MIN, std, 1.0).float())


def phase_scaling(observations: Tensor) -> FeatureScaling:
    """The same for the 30 features of a site, equal for all phases: [n, 30] to [30] each."""
    if observations.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"{observations.shape[1]} features, not the {len(FEATURE_NAMES)} of a site")
    pooled = scaling_of(observations[:, :_PHASES].reshape(-1, len(PHASE_FEATURES)))
    site = scaling_of(observations[:, _PHASES:])
    return FeatureScaling(
        *(torch.cat([phase.repeat(3), rest]) for phase, rest in zip(pooled, site, strict=True))
    )
