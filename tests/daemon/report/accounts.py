"""Ticks made by hand, and their accounts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.decision import Authority, State, SupervisorDecision
from core.roles import Role
from core.snapshot import SlaveState
from daemon.history.account import Account
from daemon.journal.records import AnyRecord, Tick
from daemon.monitoring.energy_ledger import EnergyTotals
from daemon.monitoring.figures import Counts
from daemon.report.books import JournalAccounting
from daemon.report.reading import DateRange
from tests.support.telemetry_feed import BLIND, decision, snapshot

UTC_ZONE = ZoneInfo("UTC")
MIDNIGHT_S = datetime(2026, 6, 2, tzinfo=UTC).timestamp()


def tick(unix_s: float, at_s: float, number: int = 0, **changes: Any) -> Tick:
    """A tick of nine slaves that exports 400 W and believes to have placed 600 W."""
    seen = snapshot(at_s, (-400.0, 0.0, 0.0), tick=number, hour=12, slaves=(SlaveState(),) * 9)
    told = decision(
        estimate=replace(BLIND, model_w=(600.0, 0.0, 0.0), capacity_w=(700.0, 0.0, 0.0)), setpoints_w=(0,) * 9
    )
    base = Tick(
        unix_s=unix_s, snapshot=seen, authority=Authority.POLICY, propensity=1.0, block=0, confounded=False,
        decision=told,
    )  # fmt: skip
    return replace(base, **changes)


def with_verdict(base: Tick, state: State, *causes: str) -> Tick:
    told = replace(base.decision, verdict=SupervisorDecision(state, causes))
    return replace(base, decision=told)


def booked(
    records: Iterable[AnyRecord], span: DateRange | None = None, zone: ZoneInfo = UTC_ZONE
) -> JournalAccounting:
    books = JournalAccounting(zone, Role.ABSORB, span or DateRange())
    for record in records:
        books.take(record)
    return books


def values(account: Account) -> dict[str, float]:
    """Every number of an account, by name."""
    flat = {f"energy {name}": getattr(account.energy, name) for name in EnergyTotals.__slots__}
    flat |= {f"count {name}": getattr(account.counts, name) for name in Counts.__slots__}
    flat |= {f"state {state.value}": lasted_s for state, lasted_s in account.state_s.items()}
    for (state, cause), spell in account.causes.items():
        flat |= {f"times {state.value} {cause}": spell.times, f"s {state.value} {cause}": spell.lasted_s}
    plain = ("reachable_j", "ticks", "missed_samples", "frames_sent", "frames_refused", "recorded_s",
             "unrecorded_s", "unsynchronised_s", "radio_up_s", "unanswered_s")  # fmt: skip
    return flat | {name: getattr(account, name) for name in plain}
