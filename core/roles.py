"""What a slave does with its setpoint, and the one conversion to grid power."""

from enum import Enum

SAFE_SETPOINT_W = 0
"""Safe for both roles: an absorber releases, a generator is curtailed."""


class Role(Enum):
    """Which way the slaves' watts flow. One role per site."""

    ABSORB = "absorb"
    GENERATE = "generate"


def sign(role: Role) -> float:
    """+1 when raising a setpoint raises grid power (absorb), -1 when it lowers it (generate)."""
    return 1.0 if role is Role.ABSORB else -1.0


def grid_effect_w(role: Role, setpoint_w: float) -> float:
    """What a slave at setpoint_w adds to grid_power_w (+ import, - export)."""
    return sign(role) * setpoint_w
