"""The decision: one snapshot in, one decision out."""

from dataclasses import replace

from core.airtime import choose_send
from core.allocation import allocate, totals_w, ways
from core.decision import Authority, Decision, Source
from core.following import check_following, limit_capacities, not_following
from core.parts import (
    FallbackT,
    Memory,
    ObservedT,
    Parts,
    PolicyHealth,
    PolicyT,
    SeenT,
    WatchT,
)
from core.site import ZERO, Phases, Site
from core.slew import slew
from core.snapshot import Snapshot
from core.state_estimate import StateEstimate, estimate_state


def decide(
    snapshot: Snapshot,
    authority: Authority,
    memory: Memory[ObservedT, PolicyT, FallbackT, SeenT, WatchT],
    parts: Parts[ObservedT, PolicyT, FallbackT, SeenT, WatchT],
) -> tuple[Decision, Memory[ObservedT, PolicyT, FallbackT, SeenT, WatchT]]:
    """Decide what every slave should do now.

    Pure: equal arguments give an equal result. The daemon (live and shadow), the replay tool, the
    simulation and the training environment all call this function and no other. `authority` says who
    should act; the policy is asked even when it may not, so that a shadow run records what it would
    have done. Raises nothing.
    """
    site = parts.site
    following = check_following(site, snapshot, memory.following)
    snapshot = limit_capacities(site, snapshot, following)
    sight, belief = estimate_state(site, snapshot, memory.belief)
    fallback_action_w, fallback = parts.fallback.propose(sight, memory.fallback)
    observation, observed = parts.observer.observe(snapshot, sight, memory.observed)
    recurrent = memory.policy if sight.fresh else parts.policy.cold  # a gap ends its history
    policy_action_w, recurrent = parts.policy.propose(observation, recurrent)
    anomaly, seen = parts.detector.inspect(snapshot, observation, policy_action_w, memory.seen)

    reach_w = (
        None if policy_action_w is None else slew(policy_action_w, sight, snapshot.grid_power_w, site.limits)
    )
    violations = () if reach_w is None else parts.gate.violations(reach_w, snapshot)
    findings = PolicyHealth(policy_action_w is not None, violations, anomaly)
    verdict, watch = parts.supervisor.step(snapshot, sight, authority, findings, memory.watch)

    requested_action_w = _asked(verdict.source, reach_w, fallback_action_w, sight, snapshot, site)
    safe_action_w, interventions = parts.gate.check(requested_action_w, verdict.source, snapshot)
    setpoints_w, withheld = _setpoints(safe_action_w, verdict.source, snapshot, site, parts)
    send, bucket = choose_send(
        None if setpoints_w is None else totals_w(setpoints_w, site),
        verdict.source,
        snapshot.on_air,
        snapshot.at_s,
        memory.bucket,
        site.airtime,
        site.period_s,
        withheld,
    )
    fallback = parts.fallback.track(fallback, sight, safe_action_w)  # bumpless hand-over

    decision = Decision(
        tick=snapshot.tick,
        authority=authority,
        verdict=verdict,
        sight=sight,
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
        not_following=not_following(site, following),
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
        following=following,
    )


def _asked(
    source: Source,
    reach_w: Phases | None,
    fallback_action_w: Phases,
    sight: StateEstimate,
    snapshot: Snapshot,
    site: Site,
) -> Phases:
    """The action of whoever may act."""
    if source is Source.POLICY and reach_w is not None:
        return reach_w
    if source is Source.FALLBACK:
        return slew(fallback_action_w, sight, snapshot.grid_power_w, site.limits)
    return sight.command_w if source is Source.HOLD else ZERO


def _setpoints(
    safe_action_w: Phases,
    source: Source,
    snapshot: Snapshot,
    site: Site,
    parts: Parts[ObservedT, PolicyT, FallbackT, SeenT, WatchT],
) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """Per-slave setpoints that the gate accepts, and the groups that are not told: the new ones, else part
    of the way to them, else safe.

    Where slaves fall silent or have a minimum, the new vector can be further away than the action is.
    None while it is unknown what is on air and nothing fits all that may be.
    """
    on_air = _on_air(snapshot, site)
    wanted = on_air if source is Source.HOLD else allocate(safe_action_w, site, snapshot)
    for candidate, withheld in ways(on_air, wanted, site, snapshot):
        if parts.gate.accepts_setpoints(candidate, withheld, source, snapshot):
            return candidate, withheld
    return None, ()


def _on_air(snapshot: Snapshot, site: Site) -> tuple[int, ...]:
    return snapshot.on_air.setpoints_w or (0,) * len(site.slaves)
