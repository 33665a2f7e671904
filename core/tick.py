"""The decision: one snapshot in, one decision out."""

from dataclasses import replace
from functools import partial

from core.airtime import choose_send
from core.allocation import allocate, totals_w, ways
from core.decision import Authority, Decision, Source
from core.estimation.following import check_following, limit_capacities, not_following
from core.estimation.learning import learn_responses, what_is_learned
from core.estimation.state_estimate import StateEstimate, estimate_state
from core.estimation.swinging import damped, watch_swings, what_swings
from core.parts import Memory, Parts, PolicyHealth
from core.scheduling.orders import in_owners_order, rested
from core.scheduling.schedule import Schedule, feed_forward, made_room_w, part_above, schedule
from core.scheduling.staged import above, view_apart, whole_estimate
from core.site import ZERO, Phases, Site
from core.slew import NO_FLOOR, Floor, slew
from core.snapshot import Snapshot


def decide(
    snapshot: Snapshot,
    authority: Authority,
    memory: Memory,
    parts: Parts,
) -> tuple[Decision, Memory]:
    """Decide what every slave should do now.

    Pure: equal arguments give an equal result. The daemon (live and shadow), the replay tool, the
    simulation and the training environment all call this function and no other. `authority` says who
    should act; the policy is asked even when it may not, so that a shadow run records what it would
    have done. Raises nothing.
    """
    site, snapshot = in_owners_order(parts.site, snapshot), rested(snapshot)
    following = check_following(site, snapshot, memory.following)
    snapshot = limit_capacities(site, snapshot, following)
    view = view_apart(site, snapshot, memory.scheduler)
    responses = memory.responses
    if parts.watches.responses:
        responses = learn_responses(view.site, view.snapshot, responses)
    estimate, belief = estimate_state(view.site, view.snapshot, memory.belief, responses.in_force)
    plan, scheduler = schedule(
        site, snapshot, estimate, view, memory.scheduler, partial(_would_be_allowed, snapshot, parts)
    )
    whole = whole_estimate(estimate, site, snapshot, view)
    swinging = memory.swinging
    if parts.watches.swinging:
        swinging = watch_swings(site, snapshot, whole.model_w, swinging)
    ahead = feed_forward(site, snapshot, estimate, view, plan)
    fallback, before_w = memory.fallback, swinging.action_w
    if plan.switches:  # the modulating slaves make room in the same moment
        before_w = made_room_w(scheduler.action_w, estimate, plan, ahead)
        fallback = parts.fallback.track(fallback, estimate, before_w)
    calm = partial(damped, before_w=before_w, share=swinging.gain_share, period_s=site.period_s)
    fallback_action_w, fallback = parts.fallback.propose(ahead, fallback)
    observation, observed = parts.observer.observe(snapshot, ahead, memory.observed)
    recurrent = memory.policy if estimate.fresh else parts.policy.cold  # a gap ends its history
    policy_action_w, recurrent = parts.policy.propose(observation, recurrent)
    anomaly, seen = parts.detector.inspect(snapshot, observation, policy_action_w, memory.seen)

    floor = Floor(plan.before_w, plan.after_w) if plan.base_w else NO_FLOOR
    reach_w = (
        None
        if policy_action_w is None
        else slew(calm(policy_action_w), ahead, snapshot.grid_power_w, site.limits, floor)
    )
    violations = () if reach_w is None else parts.gate.violations(reach_w, snapshot)
    if plan.switches:  # where the totals jump, only what is no number is a fault of the policy
        violations = tuple(rule for rule in violations if rule == "finite")
    findings = PolicyHealth(policy_action_w is not None, violations, anomaly)
    verdict, watch = parts.supervisor.step(snapshot, whole, authority, findings, memory.watch)

    source = Source.HOLD if plan.waits and _acts(verdict.source) else verdict.source
    requested_action_w = _asked(source, reach_w, calm(fallback_action_w), ahead, snapshot, site, floor)
    safe_action_w, interventions = parts.gate.check(requested_action_w, source, snapshot)
    if plan.switches and _acts(source):  # the gate judges a switching by the setpoints, slave by slave
        safe_action_w, interventions = requested_action_w, ()
    setpoints_w, withheld = _setpoints(safe_action_w, source, snapshot, plan, parts)
    send, bucket = choose_send(
        None if setpoints_w is None else totals_w(setpoints_w, site),
        source,
        snapshot.on_air,
        snapshot.at_s,
        memory.bucket,
        site.airtime,
        site.period_s,
        withheld,
        is_switching=plan.switches and setpoints_w is not None and setpoints_w != _on_air(snapshot, site),
    )
    action_w = part_above(safe_action_w, plan.after_w)
    fallback = parts.fallback.track(fallback, ahead, action_w)  # bumpless hand-over

    decision = Decision(
        tick=snapshot.tick,
        authority=authority,
        verdict=verdict,
        estimate=whole,
        policy_action_w=policy_action_w,
        fallback_action_w=fallback_action_w,
        requested_action_w=requested_action_w,
        safe_action_w=safe_action_w,
        setpoints_w=_on_air(snapshot, site) if setpoints_w is None else setpoints_w,
        send=send,
        anomaly=anomaly,
        violations=violations,
        interventions=interventions,
        withheld=withheld,
        switch=plan.switch,
        not_following=not_following(site, following),
        swinging=what_swings(swinging),
        learned=what_is_learned(responses),
    )
    return decision, replace(
        memory,
        belief=belief,
        observed=observed,
        policy=recurrent,
        fallback=fallback,
        seen=seen,
        watch=watch,
        bucket=bucket,
        scheduler=replace(scheduler, action_w=action_w) if plan.base_w else scheduler,
        following=following,
        swinging=swinging._replace(action_w=action_w) if parts.watches.swinging else swinging,
        responses=responses,
    )


def _acts(source: Source) -> bool:
    """Whether a controller is in charge."""
    return source in (Source.POLICY, Source.FALLBACK)


def _would_be_allowed(
    snapshot: Snapshot,
    parts: Parts,
    totals: Phases,
) -> bool:
    """Whether totals keep every rule but the step, which a switching has its own for."""
    return not set(parts.gate.violations(totals, snapshot)) - {"step"}


def _asked(
    source: Source,
    reach_w: Phases | None,
    fallback_action_w: Phases,
    estimate: StateEstimate,
    snapshot: Snapshot,
    site: Site,
    floor: Floor,
) -> Phases:
    """The action of whoever may act, totals over all slaves."""
    if source is Source.POLICY and reach_w is not None:
        return reach_w
    if source is Source.FALLBACK:
        return slew(fallback_action_w, estimate, snapshot.grid_power_w, site.limits, floor)
    return snapshot.on_air.action_w if source is Source.HOLD else ZERO


def _setpoints(
    safe_action_w: Phases,
    source: Source,
    snapshot: Snapshot,
    plan: Schedule,
    parts: Parts,
) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """Per-slave setpoints that the gate accepts, and the groups that are not told: the new ones, else part
    of the way to them, else safe.

    Where slaves fall silent or have a minimum, the new vector can be further away than the action is.
    None while it is unknown what is on air and nothing fits all that may be.
    """
    site = parts.site
    on_air = _on_air(snapshot, site)
    wanted = on_air if source is Source.HOLD else _allocated(safe_action_w, source, snapshot, plan)
    for candidate, withheld in ways(on_air, wanted, site, snapshot):
        if parts.gate.accepts_setpoints(candidate, withheld, source, snapshot):
            return candidate, withheld
    return None, ()


def _allocated(safe_action_w: Phases, source: Source, snapshot: Snapshot, plan: Schedule) -> tuple[int, ...]:
    """The bases, and what is left of the action shared by what moves freely."""
    if source is Source.REST or not plan.base_w:
        return allocate(safe_action_w, plan.site, snapshot)
    moved = allocate(part_above(safe_action_w, plan.after_w), plan.site, above(snapshot, plan.base_w))
    states = zip(plan.base_w, moved, snapshot.slaves, strict=True)
    return tuple(base_w + moved_w if state.available else 0 for base_w, moved_w, state in states)


def _on_air(snapshot: Snapshot, site: Site) -> tuple[int, ...]:
    return snapshot.on_air.setpoints_w or (0,) * len(site.slaves)
