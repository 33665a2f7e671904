"""The figures as one JSON document: the status page and `sunkeep status` read it."""

from math import isfinite
from typing import Any

from core.metering import exported_w, imported_w
from core.site import PHASE_NAMES
from daemon.monitoring import messages, order_words
from daemon.monitoring.energy_ledger import JOULES_PER_WH, EnergyTotals
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import heard_power_w, is_silent
from daemon.monitoring.telemetry import CounterfactualComparison, PlanStanding, PolicyComparison
from daemon.words.translation import ENGLISH, Words

SECONDS_PER_HOUR = 3600.0
SCHEMA_VERSION = 3
"""Of the document. Version 2 calls the state `fallback` `pi_fallback`; version 1 names no version, and calls
`policy_action_w` of the phases `wished_w`."""


def status(figures: Figures, at_s: float, since_s: float = 0.0) -> dict[str, Any]:
    """The document. Powers in W (grid: + import), energies in Wh, times in s; what is unknown is null.

    Args:
        at_s: now, on the clock of the snapshots.
        since_s: only points of the chart younger than this instant are included.
    """
    points = [point for point in chart_points(figures) if point[0] > since_s]
    return {**age_fields(figures, at_s), **document(figures, at_s), "points": points}


def age_fields(figures: Figures, at_s: float) -> dict[str, Any]:
    """What changes between two ticks: what time it is, how old the newest tick is, and the daemon."""
    snapshot = figures.snapshot
    return {
        "at_s": at_s,
        "tick_age_s": None if snapshot is None else round(at_s - snapshot.at_s, 3),
        "uptime_s": round(at_s - figures.started_at_s, 1),
    }


def chart_points(figures: Figures) -> list[tuple[float, float, float | None]]:
    """Instant, grid power and grid power without the slaves in W, the oldest first."""
    return [
        (round(p.at_s, 2), round(p.grid_w), None if p.without_w is None else round(p.without_w))
        for p in figures.series
    ]


def document(figures: Figures, at_s: float, words: Words = ENGLISH) -> dict[str, Any]:
    """All the rest: what the newest tick has shown."""
    said = messages.headline(figures, words)
    return {
        "schema_version": SCHEMA_VERSION,
        "site": {
            "name": figures.about.site_name,
            "remark": figures.about.remark,
            "mode": figures.about.mode.value,
            "role": figures.site.role.value,
            "metering": figures.site.metering.value,
            "policy": figures.about.policy_name,
            "policy_problem": figures.about.policy_problem,
            "configuration_problem": figures.about.configuration_problem,
            "recording_problem": figures.house.journal_problem,
            "version": figures.about.version,
        },
        "pause": {"is_on": figures.pause.is_on, "until_unix_s": figures.pause.until_unix_s},
        "orders": _orders(figures, words),
        "tick": figures.ticks,
        "stale_after_s": figures.gap_s,
        "local": None if figures.local is None else figures.local.isoformat(timespec="seconds"),
        "headline": {"text": said.text, "tone": said.tone},
        "acting": _acting(figures, words),
        "total": _total(figures),
        "phases": _phases(figures),
        "slaves": _slaves(figures),
        "energy": {"today": _energy(figures.ledger.today), "total": _energy(figures.ledger.total)},
        "details": _details(figures, at_s),
        "events": [
            {
                "at_s": e.at_s,
                "local": e.local.isoformat(timespec="seconds") if e.local else None,
                "text": e.text,
            }
            for e in list(figures.events)[-10:]
        ],
    }


def _orders(figures: Figures, words: Words) -> dict[str, Any]:
    """What the owner said of devices, and what became of it; a device that is no longer there is left out."""
    orders, slots = figures.orders, {slave.name: slave.slot for slave in figures.site.slaves}
    holiday = orders.holiday
    return {
        "boosts": [
            {
                "slave": name,
                "slot": slots[name],
                "until_unix_s": until_unix_s,
                "said": order_words.boosted(figures, name, words),
            }
            for name, until_unix_s in orders.boosts.items()
            if name in slots
        ],
        "first": [name for name in orders.first if name in slots],
        "holiday": None
        if holiday is None
        else {"until_unix_s": holiday.until_unix_s, "kept": [k for k in holiday.kept if k in slots]},
    }


def _acting(figures: Figures, words: Words) -> dict[str, Any]:
    decision = figures.decision
    return {
        "who": messages.who(figures, words),
        "why": messages.why(figures, words),
        "source": None if decision is None else decision.verdict.source.value,
        "state": None if decision is None else decision.verdict.state.value,
        "authority": None if decision is None else decision.authority.value,
        "causes": [] if decision is None else list(decision.verdict.causes),
        "flags": [] if decision is None else list(decision.anomaly.flags),
    }


def _total(figures: Figures) -> dict[str, float | None]:
    known = figures.meter_known()
    metering, without_w = figures.site.metering, figures.without_w
    grid_w = figures.snapshot.grid_power_w if figures.snapshot is not None and known else None
    return {
        "grid_w": None if grid_w is None else round(sum(grid_w), 1),
        "exported_w": None if grid_w is None else round(exported_w(grid_w, metering), 1),
        "imported_w": None if grid_w is None else round(imported_w(grid_w, metering), 1),
        "without_w": None if without_w is None else round(sum(without_w), 1),
        "without_exported_w": None if without_w is None else round(exported_w(without_w, metering), 1),
        "placed_w": round(sum(figures.placed_w), 1),
    }


def _phases(figures: Figures) -> list[dict[str, Any]]:
    snapshot, decision, without_w = figures.snapshot, figures.decision, figures.without_w
    rows = []
    for at, name in enumerate(PHASE_NAMES):
        known = snapshot is not None and figures.meter_known()
        rows.append(
            {
                "name": name,
                "grid_w": round(snapshot.grid_power_w[at], 1) if snapshot is not None and known else None,
                "without_w": None if without_w is None else round(without_w[at], 1),
                "placed_w": round(figures.placed_w[at], 1),
                "on_air_w": None if snapshot is None else round(snapshot.on_air.action_w[at], 1),
                "policy_action_w": None
                if decision is None or decision.policy_action_w is None
                else _watts(decision.policy_action_w[at]),
                "learned": _learned(figures, at),
            }
        )
    return rows


def _learned(figures: Figures, phase: int) -> dict[str, float | bool] | None:
    """How the slaves of a phase answer by what their moves have told."""
    learned = () if figures.decision is None else figures.decision.learned
    one = learned[phase] if learned else None
    if one is None:
        return None
    return {
        "dead_time_s": round(one.dead_time_s, 2),
        "dead_time_high_s": round(one.dead_time_high_s, 2),
        "lag_s": round(one.lag_s, 2),
        "gain": round(one.gain, 3),
        "moving_s": round(one.moving_s),
        "is_in_force": one.in_force,
    }


def _slaves(figures: Figures) -> list[dict[str, Any]]:
    snapshot, decision = figures.snapshot, figures.decision
    if snapshot is None or decision is None:
        return []
    apart = {one.slave: one for one in decision.not_following}
    deviating = map(apart.get, range(len(snapshot.slaves)))
    rows = zip(figures.site.slaves, snapshot.slaves, decision.setpoints_w, deviating, strict=False)
    return [
        {
            "name": slave.name,
            "slot": slave.slot,
            "phase": slave.phase_name,
            "max_w": slave.max_w,
            "setpoint_w": setpoint_w,
            "power_w": None if (power_w := heard_power_w(state)) is None else _watts(power_w),
            "available": state.available,
            "is_heard": not is_silent(state, figures.radio.up),
            "deviation": None if one is None else one.deviation.value,
            "limit_w": None if one is None else one.limit_w,
            "report_age_s": round(state.report_age_s, 1) if isfinite(state.report_age_s) else None,
        }
        for slave, state, setpoint_w, one in rows
    ]


def _energy(energy: EnergyTotals) -> dict[str, float | None]:
    compared = energy.compared_s > 0.0
    return {
        "exported_wh": round(energy.exported_j / JOULES_PER_WH, 2),
        "imported_wh": round(energy.imported_j / JOULES_PER_WH, 2),
        "avoidable_import_wh": round(energy.avoidable_import_j / JOULES_PER_WH, 2),
        "placed_wh": round(energy.placed_j / JOULES_PER_WH, 2),
        "without_exported_wh": round(energy.exported_without_j / JOULES_PER_WH, 2) if compared else None,
        "without_imported_wh": round(energy.imported_without_j / JOULES_PER_WH, 2) if compared else None,
        "measured_s": round(energy.measured_s, 1),
        "unmeasured_s": round(energy.unmeasured_s, 1),
    }


def _details(figures: Figures, at_s: float) -> dict[str, Any]:
    snapshot = figures.snapshot
    changes, reversals = figures.changes_per_min(at_s)
    imbalance = figures.imbalance_w()
    reduction = figures.ledger.reduction_1h(at_s)
    rate, mismatch = figures.radio.ack_rate, figures.meter.energy_mismatch_ratio
    return {
        "meter_age_s": _seconds(None if snapshot is None else snapshot.meter_age_s),
        "meter_read_ms": _ms(figures.meter.read_s),
        "meter_failures": figures.meter.failures_total,
        "meter_reconnects": figures.meter.reconnects_total,
        "meter_energy_mismatch": None if mismatch is None else round(mismatch, 4),
        "radio_up": figures.radio.up,
        "radio_remark": figures.radio.remark,
        "radio_rebuilds": figures.radio.rebuilds_total,
        "frames": {send.value: count for send, count in figures.frames.items()},
        "frames_refused": figures.radio.refused_total,
        "foreign_frames": figures.radio.foreign_frames_total,
        "reports_rejected": figures.radio.reports_rejected_total,
        "ack_rate": None if rate is None else round(rate, 4),
        "changes_per_min": round(changes, 2),
        "reversals_per_min": round(reversals, 2),
        "gain_share": 1.0 if figures.decision is None else round(figures.decision.gain_share, 4),
        "imbalance_action_w": None if imbalance is None else round(imbalance[0], 1),
        "imbalance_grid_w": round(imbalance[1], 1) if imbalance and figures.meter_known() else None,
        "reduction_1h": None if reduction is None else round(reduction, 4),
        "violations": figures.counts.violations,
        "shadow_violations": figures.counts.shadow_violations,
        "fallback_activations": figures.counts.fallback_activations,
        "anomalous_ticks": figures.counts.anomalous_ticks,
        "anomaly_trips": figures.counts.anomaly_trips,
        "anomaly_calibrated": figures.about.anomaly_calibrated,
        "judge_failed": figures.judgements.failed,
        "plan": _plan(figures.plan),
        "judged": _judgement(figures.judgements.live),
        "judged_in_shadow": _judgement(figures.judgements.shadow),
        "inference_ms": [_ms(q) for q in figures.recent_inference.quantiles((0.5, 0.95, 0.99))],
        "compute_ms": [_ms(q) for q in figures.recent_compute.quantiles((0.5, 0.95, 0.99))],
        "lateness_ms": [_ms(q) for q in figures.recent_lateness.quantiles((0.5, 0.95, 0.99))],
        "failed_ticks": figures.house.failed_ticks_total,
        "log_lines_dropped": figures.house.log_lines_dropped_total,
        "journal_bytes": figures.house.journal_bytes,
        "journal_records_dropped": figures.house.journal_records_dropped_total,
    }


def _plan(standing: PlanStanding | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    return {
        "step": standing.step,
        "since_unix_s": standing.since_unix_s,
        "held": standing.held,
        "ready": standing.ready,
        "demands": [{"name": one.name, "holds": one.holds, "found": one.found} for one in standing.demands],
    }


def _judgement(told: PolicyComparison) -> dict[str, Any]:
    hours = round(told.judged_s / SECONDS_PER_HOUR)
    return {"hours": hours, "export": _beside(told.export), "j": _beside(told.j)}


def _beside(beside: CounterfactualComparison) -> dict[str, Any]:
    """The policy beside the fallback's twin."""
    return {
        "own_wh": round(beside.own_wh, 2),
        "twin_wh": round(beside.twin_wh, 2),
        "excess": None if beside.excess is None else round(beside.excess, 4),
        "low": round(beside.low, 4),
        "high": round(beside.high, 4) if isfinite(beside.high) else None,
        "verdict": beside.verdict,
    }


def _watts(value_w: float) -> float | None:
    return round(value_w, 1) if isfinite(value_w) else None


def _seconds(value_s: float | None) -> float | None:
    return round(value_s, 3) if value_s is not None and isfinite(value_s) else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 3)
