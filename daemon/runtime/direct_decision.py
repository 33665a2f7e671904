"""Setpoints that no controller asked for, in the shape that the safety gate clears."""

from core.decision import Anomaly, Authority, Decision, Send, State, SupervisorDecision
from core.estimation.state_estimate import StateEstimate
from core.site import ZERO

_NOTHING_KNOWN = StateEstimate(False, ZERO, ZERO, ZERO, ZERO, ZERO, 0.0, 0.0, 1.0)


def direct_decision(
    setpoints_w: tuple[int, ...], *, rest: bool = False, withheld: tuple[int, ...] = ()
) -> Decision:
    """A decision to put these setpoints on air, for commissioning and conformance tests.

    Args:
        setpoints_w: whole watts, one per slave of the site.
        rest: a safe release; the setpoints are 0 then. Else the gate judges them as the fallback's.
        withheld: delivery groups that are told nothing.
    """
    return Decision(
        tick=0,
        authority=Authority.REST if rest else Authority.FALLBACK,
        verdict=SupervisorDecision(State.SAFE_STOP if rest else State.FALLBACK),
        estimate=_NOTHING_KNOWN,
        policy_action_w=None,
        fallback_action_w=ZERO,
        requested_action_w=ZERO,
        safe_action_w=ZERO,
        setpoints_w=setpoints_w,
        send=Send.SAFE if rest else Send.CHANGE,
        anomaly=Anomaly(),
        violations=(),
        interventions=(),
        withheld=withheld,
    )
