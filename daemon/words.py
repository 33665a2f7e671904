"""The figures in the words of an owner. The status page and the terminal view say the same."""

from dataclasses import dataclass

from core.decision import Authority, Decision, Source, State
from core.metering import exported_w, imported_w
from core.modes import Mode
from core.roles import Role
from daemon.figures import Figures

NOTICEABLE_W = 100.0
"""Below this a power is noise of meter and estimate, nothing to tell an owner about."""
PARTLY = 0.2
"""Share of the surplus that may be exported before it counts as only partly used."""

CAUSES = {
    "starting": "it has just started",
    "settling": "it has just started",
    "authority": "the configured mode says so",
    "meter_missed": "a reading of the meter is missing",
    "meter_lost": "the meter does not answer",
    "meter_identity": "the meter is not the one that was set up",
    "meter_sign": "the meter's direction looks reversed",
    "meter_frozen": "the meter repeats the same values",
    "radio_down": "the radio coordinator does not answer",
    "late_tick": "the computer was too busy",
    "tick_error": "an unforeseen error occurred",
    "frame_round_trip": "an encoded frame did not check out",
    "policy_fault": "the learned policy gave no usable answer",
    "policy_slow": "the learned policy took too long",
    "safety_violation": "the learned policy broke a safety rule",
    "violation": "the learned policy broke a safety rule",
    "anomaly": "the situation is unlike anything the policy was trained on",
    "reentry_gate": "the learned policy has to prove itself for a minute first",
    "rest_ordered": "the daemon is being stopped",
    "stopping": "the daemon is being stopped",
    "state_lost": "the saved state was lost",
}
"""What a cause of the supervisor means. An unknown one is shown by its name."""
LAWS = {"pi": "PI controller", "predictive": "predictive controller"}


@dataclass(frozen=True, slots=True)
class Saying:
    """One sentence and how it is meant: ``good``, ``quiet``, ``watch`` or ``bad``."""

    text: str
    tone: str


def power(watts: float) -> str:
    """A magnitude as people write it: 340 W, 4.2 kW."""
    watts = abs(watts)
    return f"{watts:.0f} W" if watts < 999.5 else f"{watts / 1000.0:.1f} kW"


def cause(name: str) -> str:
    """A cause of the supervisor in words."""
    return CAUSES.get(name, name.replace("_", " "))


def headline(figures: Figures) -> Saying:
    """The state of the site in one sentence."""
    decision, snapshot = figures.decision, figures.snapshot
    if decision is None or snapshot is None or decision.verdict.state is State.INIT:
        return Saying("Starting: waiting for the first good meter readings", "quiet")
    if decision.verdict.state is State.SAFE_STOP:
        return Saying("Everything rests at 0 W for safety", "bad")
    if not figures.meter_known():
        return Saying("The meter has not been read yet", "watch")
    grid_w, metering = snapshot.grid_power_w, figures.site.metering
    out_w, in_w = exported_w(grid_w, metering), imported_w(grid_w, metering)
    surplus_w = 0.0 if figures.without_w is None else exported_w(figures.without_w, metering)
    if surplus_w < NOTICEABLE_W and out_w < NOTICEABLE_W:
        return Saying(f"No solar surplus right now: {power(in_w)} drawn from the grid", "quiet")
    if figures.site.role is Role.GENERATE:
        fed = power(sum(figures.placed_w))
        return Saying(f"{power(out_w)} exported, {fed} fed in by the slaves", _tone(out_w, surplus_w))
    placed = power(sum(figures.placed_w))
    facts = f"{power(out_w)} exported, {placed} placed"
    if out_w > max(NOTICEABLE_W, PARTLY * surplus_w):
        if all(a >= c for a, c in zip(snapshot.on_air.action_w, decision.sight.capacity_w, strict=True)):
            return Saying(f"All slaves are at their limit: {facts}", "watch")
        return Saying(f"Part of the solar surplus is being used: {facts}", "watch")
    return Saying(f"Solar surplus is being used: {facts}", "good")


def who(figures: Figures) -> str:
    """Who the setpoints come from."""
    if figures.decision is None:
        return "Nobody yet"
    law = LAWS.get(figures.about.fallback_law, figures.about.fallback_law)
    return {
        Source.POLICY: "The learned policy",
        Source.FALLBACK: f"The {law}",
        Source.HOLD: "Holding the last setpoints",
        Source.REST: "All slaves rest",
    }[figures.decision.verdict.source]


def why(figures: Figures) -> str:
    """Why that one acts."""
    decision = figures.decision
    if decision is None:
        return "waiting for the first tick"
    causes = [cause(name) for name in decision.verdict.causes]
    if causes:
        return "because " + ", and ".join(causes)
    return _by_mode(figures.about.mode, decision)


def _by_mode(mode: Mode, decision: Decision) -> str:
    if decision.authority is Authority.REST:
        return "because the daemon is being stopped"
    chosen = "the policy" if decision.authority is Authority.POLICY else "the fallback"
    return {
        Mode.SHADOW: "in shadow mode: the policy is computed and recorded, not obeyed",
        Mode.AB: f"in a comparison: this quarter of an hour belongs to {chosen}",
        Mode.ROLLOUT: f"in rollout: this quarter of an hour belongs to {chosen}",
        Mode.PRODUCTION: "in production: every decision passes the safety gate",
    }[mode]


def _tone(out_w: float, surplus_w: float) -> str:
    return "watch" if out_w > max(NOTICEABLE_W, PARTLY * surplus_w) else "good"
