"""The report as plain values: one JSON object, or one row of CSV per day."""

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.decision import State
from core.roles import Role
from core.site import Metering
from daemon.history.account import Account
from daemon.history.tariff import TimeOfUse
from daemon.monitoring.energy_ledger import JOULES_PER_WH
from daemon.monitoring.figures import Counts
from daemon.report.books import JournalGap
from daemon.report.comparison import Arm, Comparison, Estimate

STATE_NAMES = {
    State.RL_ACTIVE: "policy",
    State.FALLBACK: "fallback",
    State.HOLD: "hold",
    State.SAFE_STOP: "stop",
    State.INIT: "init",
}


@dataclass(frozen=True, slots=True)
class ReportEvent:
    """Something of note: when, what, and what to do (may be empty)."""

    local: datetime
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class SiteReport:
    """Everything that is told. `law` is the fallback's, `damaged` names what could not be read.

    With `by_month` every entry of `days` is a month, under its first day.
    """

    site_name: str
    zone: ZoneInfo
    role: Role
    metering: Metering
    law: str
    tariff: TimeOfUse
    days: dict[date, Account]
    total: Account
    gaps: list[JournalGap]
    gaps_total: int
    runs: int
    left_out: int
    comparisons: list[Comparison] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    by_month: bool = False
    events: list[ReportEvent] = field(default_factory=list)
    """The newest first."""


def document(report: SiteReport) -> dict[str, Any]:
    """The JSON object. Energies in Wh, times in s, shares 0 to 1; what is unknown is null."""
    first, last = min(report.days), max(report.days)
    return {
        "site": report.site_name,
        "timezone": report.zone.key,
        "role": report.role.value,
        "metering": report.metering.value,
        "fallback_law": report.law,
        "by": "month" if report.by_month else "day",
        "from": first.isoformat(),
        "to": last.isoformat(),
        "price_per_kwh": report.tariff.otherwise.price_per_kwh,
        "feed_in_per_kwh": report.tariff.otherwise.feed_in_per_kwh,
        "currency": report.tariff.currency,
        "total": _values(report, report.total) | {"causes": _causes(report.total)},
        "days": [
            {"day": day.isoformat(), **_values(report, account), "causes": _causes(account)}
            for day, account in sorted(report.days.items())
        ],
        "comparisons": [_comparison(found) for found in report.comparisons],
        "runs": report.runs,
        "gaps": report.gaps_total,
        "longest_gaps": [
            {
                "from_utc": datetime.fromtimestamp(gap.from_unix_s, UTC).isoformat(timespec="seconds"),
                "lasted_s": round(gap.lasted_s, 1),
                "reason": gap.reason,
            }
            for gap in sorted(report.gaps, key=lambda gap: gap.from_unix_s)
        ],
        "ticks_left_out": report.left_out,
        "damaged": report.damaged,
    }


def table(report: SiteReport) -> str:
    """One row of CSV per day, under the names that the JSON object has."""
    rows = [
        {"day": day.isoformat(), **_values(report, account)} for day, account in sorted(report.days.items())
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _values(report: SiteReport, account: Account) -> dict[str, float | int | None]:
    energy = account.energy
    joules = {
        "surplus_wh": energy.exported_without_j,
        "reachable_surplus_wh": account.reachable_j,
        "surplus_used_wh": account.surplus_used_j,
        "placed_wh": energy.placed_j,
        "avoidable_import_wh": energy.avoidable_import_j,
        "exported_wh": energy.exported_j,
        "imported_wh": energy.imported_j,
        "without_exported_wh": energy.exported_without_j,
        "without_imported_wh": energy.imported_without_j,
    }
    seconds = {
        "measured_s": energy.measured_s,
        "recorded_s": account.recorded_s,
        "unrecorded_s": account.unrecorded_s,
        "unsynchronised_s": account.unsynchronised_s,
        "radio_up_s": account.radio_up_s,
        **{f"{name}_s": account.state_s[state] for state, name in STATE_NAMES.items()},
    }
    return {
        **{name: round(value / JOULES_PER_WH, 3) for name, value in joules.items()},
        "used_share": _share(account.used_share),
        "saved": round(account.saved, 4),
        "spent": round(account.spent, 4),
        "earned": round(account.earned, 4),
        "co2_avoided_g": round(account.co2_g, 1),
        **{name: round(value, 1) for name, value in seconds.items()},
        "ticks": account.ticks,
        "missed_samples": account.missed_samples,
        "frames_sent": account.frames_sent,
        "frames_refused": account.frames_refused,
        "acknowledged_share": _share(account.acknowledged_share),
        **{name: getattr(account.counts, name) for name in Counts.__slots__},
    }


def _causes(account: Account) -> list[dict[str, Any]]:
    return [
        {
            "state": STATE_NAMES[state],
            "cause": cause,
            "times": spell.times,
            "lasted_s": round(spell.lasted_s, 1),
        }
        for (state, cause), spell in sorted(
            account.causes.items(), key=lambda item: (list(State).index(item[0][0]), -item[1].lasted_s)
        )
    ]


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "policy_sha256": found.policy_sha256 or None,
        "design": found.design.value,
        "confounded": found.confounded,
        "pairs": found.pairs,
        "policy": _arm(found.policy),
        "fallback": _arm(found.fallback),
        "without_surplus_blocks": found.without_surplus,
        "incomplete_blocks": {arm.value: count for arm, count in found.incomplete.items()},
        "export_difference": _estimate(found.export),
        "j_difference": _estimate(found.j),
        "too_few": found.too_few or None,
    }


def _arm(arm: Arm | None) -> dict[str, float | int] | None:
    """Mean powers in W are the Wh of an hour."""
    if arm is None:
        return None
    return {
        "blocks": arm.blocks,
        "measured_s": round(arm.measured_s, 1),
        "export_wh_per_h": round(arm.export_w, 2),
        "avoidable_import_wh_per_h": round(arm.avoidable_import_w, 2),
        "j_wh_per_h": round(arm.j_w, 2),
        "surplus_wh_per_h": round(arm.surplus_w, 2),
        "policy_acted_share": round(arm.acted_share, 4),
    }


def _estimate(found: Estimate | None) -> dict[str, float] | None:
    """Policy less fallback, with its 95 % interval."""
    if found is None:
        return None
    return {
        "wh_per_h": round(found.value_w, 2),
        "low_wh_per_h": round(found.low_w, 2),
        "high_wh_per_h": round(found.high_w, 2),
    }


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
