"""The walk through the plan: pure functions from where it stands, and what is known, to where it goes."""

from dataclasses import dataclass, field, replace
from enum import Enum

from daemon.rollout.evidence import RolloutTick, StepEvidence, observed
from daemon.rollout.plan import Confirmation, RolloutPlan, RolloutStep, after, before, is_later
from daemon.rollout.requirements import Judged, requirements

MOVES_KEPT = 30
LOT = "sample_ratio"
"""Why a plan holds when its lot is broken."""


class MoveKind(Enum):
    """What happened to the plan."""

    BEGUN = "begun"
    READY = "ready"
    ADVANCED = "advanced"
    BACK = "back"
    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Move:
    """One entry of the plan's history.

    `unix_s` is None while the clock is not set. `by` is "plan" or the operator's user; `forced` when
    something was missing, and `reasons` then say what.
    """

    kind: MoveKind
    source: RolloutStep
    target: RolloutStep
    unix_s: float | None
    by: str
    reasons: tuple[str, ...] = ()
    forced: bool = False


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Where the plan stands, for one policy against one fallback. Kept from run to run.

    `held` says why it does not go on by itself, `is_ready` that only an operator's word is missing.
    """

    policy: str = ""
    fallback: str = ""
    step: RolloutStep = RolloutStep.SHADOW
    since_unix_s: float | None = None
    evidence: StepEvidence = field(default_factory=StepEvidence)
    held: str = ""
    is_ready: bool = False
    moves: tuple[Move, ...] = ()


class MoveRefused(Exception):
    """An order that is not carried out; the message says why and what to do."""


def begun(state: RolloutState, policy: str, fallback: str, unix_s: float | None) -> RolloutState:
    """Another policy begins in the shadow; under another fallback the step begins again.

    Args:
        policy: hash of the bundle in force; empty while there is none, which changes nothing.
        fallback: its law and gains.
    """
    if not policy or (policy, fallback) == (state.policy, state.fallback):
        return state
    if policy != state.policy:
        why = "first policy" if not state.policy else "another policy"
        move = Move(MoveKind.BEGUN, state.step, RolloutStep.SHADOW, unix_s, "plan", (why,))
        return _at(replace(state, policy=policy, fallback=fallback, held=""), move)
    move = Move(MoveKind.BEGUN, state.step, state.step, unix_s, "plan", ("another fallback",))
    return _at(replace(state, fallback=fallback), move)


def lived(plan: RolloutPlan, state: RolloutState, tick: RolloutTick) -> RolloutState:
    """With one tick more; without a policy nothing is counted."""
    if not state.policy:
        return state
    return replace(state, evidence=observed(state.evidence, tick, plan.block_s))


def due(plan: RolloutPlan, state: RolloutState, judged: Judged | None, unix_s: float | None) -> RolloutState:
    """What the plan does by itself now: stop on a broken lot, take a step that is due, or wait for a word."""
    if state.evidence.lot.is_broken and not state.held:
        why = ("blocks of one controller arrive less often than they were given out",)
        return _with(
            replace(state, held=LOT), Move(MoveKind.HELD, state.step, state.step, unix_s, "plan", why)
        )
    rule = plan.rule(state.step)
    if rule is None or not state.policy:
        return state
    asked = requirements(plan, state.step, state.evidence, judged)
    if state.held or not all(one.holds for one in asked):
        return replace(state, is_ready=False)
    found = tuple(f"{one.name}: {one.found}" for one in asked)
    if rule.confirmation is Confirmation.AUTOMATIC:
        return _at(state, Move(MoveKind.ADVANCED, state.step, after(state.step), unix_s, "plan", found))
    if state.is_ready:
        return state
    move = Move(MoveKind.READY, state.step, state.step, unix_s, "plan", found)
    return _with(replace(state, is_ready=True), move)


def taken_back(state: RolloutState, reasons: tuple[str, ...], unix_s: float | None) -> RolloutState:
    """A breach: back to the shadow at once, whatever the step."""
    if state.step is RolloutStep.SHADOW:
        return replace(state, evidence=StepEvidence(), is_ready=False)
    return _at(state, Move(MoveKind.BACK, state.step, RolloutStep.SHADOW, unix_s, "plan", reasons))


def advanced(
    plan: RolloutPlan,
    state: RolloutState,
    judged: Judged | None,
    target: RolloutStep | None,
    by: str,
    unix_s: float | None,
    *,
    forced: bool,
) -> RolloutState:
    """An operator wants a step to be taken.

    Raises:
        MoveRefused: something is missing, or it would be a leap, and nothing was forced.
    """
    wanted = target or after(state.step)
    if not is_later(wanted, state.step):
        raise MoveRefused(f"the plan is at {state.step.value} already. `sunkeep rollout back` goes back.")
    if not state.policy:
        raise MoveRefused("there is no policy in force. Mend that first: `sunkeep status` says why.")
    lacking = _lacking(plan, state, judged, wanted)
    if lacking and not forced:
        raise MoveRefused(
            f"from {state.step.value} to {wanted.value} is missing: {'; '.join(lacking)}. "
            "--force takes the step anyway, and the journal says so."
        )
    move = Move(MoveKind.ADVANCED, state.step, wanted, unix_s, by, tuple(lacking), bool(lacking))
    return _at(replace(state, held=""), move)


def _lacking(plan: RolloutPlan, state: RolloutState, judged: Judged | None, wanted: RolloutStep) -> list[str]:
    asked = requirements(plan, state.step, state.evidence, judged)
    lacking = [f"{one.name} ({one.found})" for one in asked if not one.holds]
    if wanted is not after(state.step):
        lacking.insert(0, f"the steps between (next is {after(state.step).value})")
    if state.held:
        lacking.insert(0, f"the plan is held ({state.held})")
    return lacking


def held(state: RolloutState, by: str, unix_s: float | None, *, release: bool) -> RolloutState:
    """An operator stops the plan where it is, or lets it go on.

    Raises:
        MoveRefused: it is so already.
    """
    if release is not bool(state.held):
        raise MoveRefused(
            f"the plan is held ({state.held}) already." if state.held else "the plan is not held."
        )
    if release:
        # a lot that was broken is counted from here on
        fresh = (
            replace(state, held="", evidence=StepEvidence()) if state.held == LOT else replace(state, held="")
        )
        return _with(fresh, Move(MoveKind.RELEASED, state.step, state.step, unix_s, by, (state.held,)))
    return _with(
        replace(state, held="operator", is_ready=False),
        Move(MoveKind.HELD, state.step, state.step, unix_s, by),
    )


def back(state: RolloutState, target: RolloutStep | None, by: str, unix_s: float | None) -> RolloutState:
    """An operator goes back: always allowed.

    Raises:
        MoveRefused: that would not be back.
    """
    wanted = target or before(state.step)
    if not is_later(state.step, wanted):
        raise MoveRefused(f"the plan is at {state.step.value}: {wanted.value} is not further back.")
    return _at(state, Move(MoveKind.BACK, state.step, wanted, unix_s, by))


def _at(state: RolloutState, move: Move) -> RolloutState:
    """At the move's target, with nothing seen of it yet."""
    return _with(
        replace(state, step=move.target, since_unix_s=move.unix_s, evidence=StepEvidence(), is_ready=False),
        move,
    )


def _with(state: RolloutState, move: Move) -> RolloutState:
    """The reasons of older moves stand in the journal: the state has to fit its file."""
    older = tuple(replace(one, reasons=one.reasons[:1]) for one in state.moves)
    return replace(state, moves=(*older, move)[-MOVES_KEPT:])
