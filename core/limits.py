"""The limits of an action. The defaults are the hard caps: a configuration can only tighten them."""

from dataclasses import dataclass
from enum import Enum

PHASE_CAP_W = 5000.0
"""Per phase (specification)."""
STEP_CAP_W_PER_S = 1000.0
"""L2 norm of the change of the action, per second of control since the last frame (specification)."""
IMBALANCE_CAP_W = 2000.0
"""Population standard deviation over the three phases (specification; ddof 0)."""
CREDIT_MAX_S = 2.0
"""Most seconds since the last frame that count for the step."""
SWITCH_CREDIT_MAX_S = 5.0
"""Most seconds in which nothing moved that count for the switching of one staged slave."""
ROUNDING_W = 2.0
"""Kept free below the limits, so that rounding to whole watts (under sqrt(3) W) cannot cross them."""


class ImbalanceOf(Enum):
    """What the imbalance rule judges: the action, or the grid power that results from it."""

    ACTION = "action"
    GRID = "grid"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an action in force on one site."""

    phase_max_w: float = PHASE_CAP_W
    step_max_w_per_s: float = STEP_CAP_W_PER_S
    imbalance_max_w: float = IMBALANCE_CAP_W
    imbalance_of: ImbalanceOf = ImbalanceOf.ACTION
