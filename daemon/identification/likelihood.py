"""How well a response explains readings: robust against a house that switches kettles."""

from dataclasses import dataclass

import numpy as np

from daemon.identification.response import Values

FREEDOM = 3.0
"""Of Student's t: a step of the house is rare and large, and must not count by its square."""
REWEIGHTINGS = 5


@dataclass(frozen=True, slots=True)
class ResponseScore:
    """For each row: log likelihood, gain, its standard deviation and the scale of the noise."""

    log_likelihood: Values
    gain: Values
    gain_sd: Values
    scale_w: Values


def high_pass(values: Values, pole: float) -> Values:
    """(1 - B) / (1 - pole B) along the last axis: it takes the house's slow course away."""
    passed = np.diff(values, axis=-1)
    if pole:
        for place in range(1, passed.shape[-1]):
            passed[..., place] += pole * passed[..., place - 1]
    return passed


def student_t(residual_w: Values, scale_w: Values | float) -> Values:
    """Log likelihood of each residual, but for a constant."""
    square = (residual_w / scale_w) ** 2
    return np.asarray(-np.log(scale_w) - 0.5 * (FREEDOM + 1.0) * np.log1p(square / FREEDOM))


def score(model_w: Values, seen_w: Values) -> ResponseScore:
    """Fit a gain for each row of `model_w` [rows, n] to `seen_w` [n], by reweighted least squares."""
    square = model_w * model_w
    gain = (model_w @ seen_w) / (square.sum(-1) + 1e-9)
    variance = np.full(model_w.shape[0], np.median(np.abs(seen_w)) ** 2 * 2.2 + 1.0)
    weight_sum = square.sum(-1) + 1e-9
    for _ in range(REWEIGHTINGS):
        residual2 = (seen_w - gain[:, None] * model_w) ** 2
        weight = (FREEDOM + 1.0) / (FREEDOM + residual2 / variance[:, None])
        variance = (weight * residual2).mean(-1) + 1e-6
        weight_sum = (weight * square).sum(-1) + 1e-9
        gain = ((weight * model_w) @ seen_w) / weight_sum
    scale_w = np.sqrt(variance)
    log_likelihood = student_t(seen_w - gain[:, None] * model_w, scale_w[:, None]).sum(-1)
    return ResponseScore(log_likelihood, gain, np.sqrt(variance / weight_sum), scale_w)
