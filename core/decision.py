"""What was decided, by whom, and what was changed on the way."""

from dataclasses import dataclass
from enum import Enum

from core.estimation.following import NotFollowing
from core.estimation.learned_response import Learned
from core.estimation.state_estimate import StateEstimate
from core.estimation.swinging import Swinging
from core.site import Phases


class Authority(Enum):
    """Who should act. Modes and operators choose it; it is an argument of a decision and journalled."""

    POLICY = "policy"
    FALLBACK = "fallback"
    REST = "rest"


class State(Enum):
    """Who may act. A state can only lower authority."""

    INIT = "init"
    HOLD = "hold"
    FALLBACK = "fallback"
    RL_ACTIVE = "rl_active"
    SAFE_STOP = "safe_stop"


class Source(Enum):
    """Who the setpoints came from."""

    POLICY = "policy"
    FALLBACK = "fallback"
    HOLD = "hold"
    REST = "rest"


class Send(Enum):
    """Whether a frame goes on air this tick, and why."""

    NOTHING = "nothing"
    CHANGE = "change"
    KEEP_ALIVE = "keep_alive"
    SAFE = "safe"


SOURCE = {
    State.INIT: Source.REST,
    State.HOLD: Source.HOLD,
    State.FALLBACK: Source.FALLBACK,
    State.RL_ACTIVE: Source.POLICY,
    State.SAFE_STOP: Source.REST,
}
"""Who acts in each state."""


@dataclass(frozen=True, slots=True)
class SupervisorDecision:
    """What the supervisor lets happen this tick, with every active cause, the worst first."""

    state: State
    causes: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """Who acts."""
        return SOURCE[self.state]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """What the detector saw: features beyond their threshold, and whether the tripping tier fired."""

    flags: tuple[str, ...] = ()
    trip: bool = False


@dataclass(frozen=True, slots=True)
class Intervention:
    """One change the gate made: the rule that asked for it, before and after."""

    rule: str
    before_w: Phases
    after_w: Phases


@dataclass(frozen=True, slots=True)
class Switch:
    """One switching: the place in `Site.slaves`, and the base in W from which and to which."""

    place: int
    from_w: int
    to_w: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The full account of one tick: enough to replay it, plot it and learn from it.

    Where slaves are staged, the policy and the fallback speak of the modulating ones alone; what is requested
    and safe are totals. `switch` is what the scheduler switches in this tick.
    `withheld` are the delivery groups (places in `Air.groups`) that are told nothing in this tick.
    `swinging` says what is left of the gains after the loop has swung, None while all of them are. `learned`
    is how the slaves of each phase answer by what their moves have told, empty while nothing is known.
    """

    tick: int
    authority: Authority
    verdict: SupervisorDecision
    estimate: StateEstimate
    policy_action_w: Phases | None
    fallback_action_w: Phases
    requested_action_w: Phases
    safe_action_w: Phases
    setpoints_w: tuple[int, ...]
    send: Send
    anomaly: Anomaly
    violations: tuple[str, ...]
    interventions: tuple[Intervention, ...]
    switch: Switch | None = None
    withheld: tuple[int, ...] = ()
    not_following: tuple[NotFollowing, ...] = ()
    swinging: Swinging | None = None
    learned: Learned = ()

    @property
    def gain_share(self) -> float:
        """What is left of the gains, 1 for all."""
        return 1.0 if self.swinging is None else self.swinging.gain_share
