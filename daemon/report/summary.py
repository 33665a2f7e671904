"""The report for people: a table of days, then what happened, in plain words."""

from collections.abc import Iterator
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from core.causes import Cause
from core.decision import State
from core.roles import Role
from daemon.history.account import Account
from daemon.history.tariff import JOULES_PER_KWH
from daemon.monitoring import messages
from daemon.report.document import SiteReport
from daemon.report.side_by_side import percent, side_by_side

ABSORBING = ("Surplus", "Export", "Used", "Placed", "Import", "slaves'")
GENERATING = ("Fed", "Export", "without", "Import", "without")
GAPS_SHOWN = 3
DAMAGE_SHOWN = 5


def summary(report: SiteReport) -> RenderableType:
    """What is printed."""
    lines = [*_energy(report), *_acting(report), *trouble(report)]
    parts: list[RenderableType] = [_days(report), *(Text(line) for line in lines)]
    for found in report.comparisons:
        parts.append(Text(""))
        parts.extend(side_by_side(found, _law(report)))
    return Group(*parts)


def _days(report: SiteReport) -> Table:
    table = Table(
        title=_title(report), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("in kWh", no_wrap=True)
    names = ABSORBING if report.role is Role.ABSORB else GENERATING
    for name in (*names, report.tariff.currency, "Missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for day, account in sorted(report.days.items()):
        table.add_row(f"{day:%b %Y}" if report.by_month else f"{day:%a %d %b}", *_cells(report, account))
    if len(report.days) > 1:
        table.add_section()
        table.add_row("Total", *_cells(report, report.total), style="bold")
    return table


def _title(report: SiteReport) -> str:
    return f"{report.site_name}, {span_words(report)} ({report.zone.key})"


def span_words(report: SiteReport) -> str:
    """The days or months that it is about."""
    first, last = min(report.days), max(report.days)
    if report.by_month:
        months = {f"{first:%B %Y}": None, f"{last:%B %Y}": None}
        return " to ".join(months)
    return f"{first}" if first == last else f"{first} to {last}"


def _cells(report: SiteReport, account: Account) -> tuple[str, ...]:
    energy = account.energy
    missing = time_words(account.recorded_s + account.unrecorded_s - energy.measured_s)
    money = _money(account)
    if report.role is Role.GENERATE:
        figures = (
            energy.placed_j, energy.exported_j, energy.exported_without_j, energy.imported_j,
            energy.imported_without_j,
        )  # fmt: skip
        return (*map(_kwh, figures), money, missing)
    return (
        _kwh(energy.exported_without_j), _kwh(energy.exported_j), percent(account.used_share),
        _kwh(energy.placed_j), _kwh(energy.imported_j), _kwh(energy.avoidable_import_j), money, missing,
    )  # fmt: skip


def _energy(report: SiteReport) -> Iterator[str]:
    total, tariff = report.total, report.tariff
    saved = f"{_money(total)} {tariff.currency}"
    prices = tariff.told()
    if report.role is Role.GENERATE:
        fed, less = _kwh(total.energy.placed_j), total.energy.imported_without_j - total.energy.imported_j
        yield f"The slaves fed {fed} kWh, and {_kwh(less)} kWh less were bought: {saved} saved ({prices})."
        return
    used = f"{_kwh(total.surplus_used_j)} kWh of solar surplus were used at home instead of exported"
    share = "" if total.used_share is None else f" ({percent(total.used_share)})"
    yield f"{used}{share}: {saved} saved ({prices})."
    if total.energy.exported_without_j > 0.0:
        reach = total.reachable_j / total.energy.exported_without_j
        yield f"The slaves that answered could have taken {percent(reach)} of all surplus."
    if total.energy.avoidable_import_j >= 0.005 * JOULES_PER_KWH:
        bought = _kwh(total.energy.avoidable_import_j)
        yield f"{bought} kWh that they took came from the grid: the saving is less by their price."


def _acting(report: SiteReport) -> Iterator[str]:
    named = {
        State.RL_ACTIVE: "the learned policy",
        State.FALLBACK: f"the {_law(report)}",
        State.HOLD: "held",
        State.SAFE_STOP: "at rest",
        State.INIT: "starting",
    }
    total = report.total
    shares = [
        f"{name} {time_words(total.state_s[state])} ({percent(total.state_s[state] / total.recorded_s)})"
        for state, name in named.items()
        if total.state_s[state] > 0.0
    ]
    if shares:
        yield f"Who acted: {', '.join(shares)}."


def trouble(report: SiteReport) -> list[str]:
    """What went wrong, sentence by sentence: causes, wires, and what is missing."""
    return [*_causes(report), *_wires(report), *_missing(report)]


def _causes(report: SiteReport) -> Iterator[str]:
    for state, said in ((State.SAFE_STOP, "At rest because"), (State.HOLD, "Held because")):
        yield from _because(report.total, state, said, ())
    passed = (Cause.FALLBACK_ORDERED, Cause.DWELL)  # who was told to act is no trouble
    yield from _because(report.total, State.FALLBACK, f"The {_law(report)} had to act because", passed)
    counts = report.total.counts
    safety = f"Safety rules broken by the policy's proposals: {counts.violations}"
    if counts.shadow_violations:
        safety += f", and {counts.shadow_violations} while it was not acting"
    trips = f"anomaly trips: {counts.anomaly_episodes}"
    yield f"{safety}; {trips}."


def _because(total: Account, state: State, said: str, passed: tuple[str, ...]) -> Iterator[str]:
    spells = [
        (name, spell)
        for (where, name), spell in total.causes.items()
        if where is state and name not in passed
    ]
    for name, spell in sorted(spells, key=lambda item: -item[1].lasted_s):
        yield f"{said} {messages.cause(name)}: {_times(spell.times)}, {time_words(spell.lasted_s)}."


def _wires(report: SiteReport) -> Iterator[str]:
    total = report.total
    missed = f"Meter: {total.missed_samples:,} of {total.ticks:,} samples missed."
    if total.acknowledged_share is None:
        yield f"{missed} The radio was never up."
        return
    refused = f"; a frame was refused {_times(total.frames_refused)}" if total.frames_refused else ""
    lost, sent = percent(1.0 - total.acknowledged_share), f"{total.frames_sent:,} frames sent"
    yield f"{missed} Radio: {sent}, {lost} of the devices' answers lost{refused}."


def _missing(report: SiteReport) -> Iterator[str]:
    total = report.total
    if report.gaps_total:
        longest = sorted(report.gaps, reverse=True)[:GAPS_SHOWN]
        told = "; ".join(_gap(report, gap.from_unix_s, gap.lasted_s, gap.reason) for gap in longest)
        many = "1 gap" if report.gaps_total == 1 else f"{report.gaps_total} gaps, the longest"
        yield f"Not recorded: {time_words(total.unrecorded_s)} in {many}: {told}. Nothing is guessed there."
    elif total.unrecorded_s >= 60.0:
        yield f"Not recorded: {time_words(total.unrecorded_s)}. Nothing is guessed there."
    if total.unsynchronised_s > 0.0:
        unsure = time_words(total.unsynchronised_s)
        yield f"{unsure} were recorded before the clock was set: they may stand under a wrong day."
    if report.left_out:
        yield f"{report.left_out:,} ticks left out: no configuration of this version and role is theirs."
    for damage in report.damaged[:DAMAGE_SHOWN]:
        yield f"Left out: {damage}"
    if len(report.damaged) > DAMAGE_SHOWN:
        yield f"and {len(report.damaged) - DAMAGE_SHOWN} more."


def _gap(report: SiteReport, from_unix_s: float, lasted_s: float, reason: str) -> str:
    begin = datetime.fromtimestamp(from_unix_s, report.zone)
    return f"{begin:%Y-%m-%d %H:%M} {time_words(lasted_s)} ({reason})"


def _law(report: SiteReport) -> str:
    return messages.LAWS.get(report.law, report.law)


def _money(account: Account) -> str:
    return f"{round(account.saved, 2) + 0.0:.2f}"  # no minus before zero


def _kwh(joules: float) -> str:
    return f"{round(joules / JOULES_PER_KWH, 2) + 0.0:.2f}"


def time_words(seconds: float) -> str:
    """A duration."""
    if seconds < 60.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.1f} min" if seconds < 3600.0 else f"{seconds / 3600.0:.1f} h"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
