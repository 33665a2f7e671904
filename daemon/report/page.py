"""The report as one HTML page that needs nothing beside it: no script, no font, no picture from elsewhere."""

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from pathlib import Path

from core.decision import State
from core.roles import Role
from daemon.history.account import Account
from daemon.history.tariff import JOULES_PER_KWH
from daemon.monitoring import messages
from daemon.report.charts import Bar, DrawnInterval, bars, intervals, shares
from daemon.report.comparison import Comparison, Estimate
from daemon.report.document import SiteReport
from daemon.report.side_by_side import DESIGNS, percent, verdict
from daemon.report.summary import span_words, time_words, trouble

STYLE = Path(__file__).with_name("page.css")
ALLOWED = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is fetched and nothing runs, whatever a name in the configuration holds."""
EVENTS_SHOWN = 200
ACTING = {
    State.RL_ACTIVE: ("policy", "the learned policy"),
    State.FALLBACK: ("other", "the {law}"),
    State.HOLD: ("held", "held at the last orders"),
    State.SAFE_STOP: ("stop", "at rest for safety"),
    State.INIT: ("init", "starting"),
}
"""By state: its class in pictures, and who that is."""


def page(report: SiteReport) -> str:
    """The whole document."""
    title = f"{report.site_name}, {span_words(report)}"
    sections = [*_figures(report), _energy(report), _money(report), _acting(report)]
    sections += [_comparison(report, found) for found in report.comparisons]
    sections += [_happened(report), _table(report)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{ALLOWED}">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body><main>"
        f"<header><p>Sunkeep report</p><h1>{escape(report.site_name)}</h1>"
        f"<p>{escape(span_words(report))} ({escape(report.zone.key)})</p></header>"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _figures(report: SiteReport) -> Iterator[str]:
    total, currency = report.total, report.tariff.currency
    energy = total.energy
    tiles = [
        ("Saved", f"{_large(total.saved)} {currency}", report.tariff.told()),
        ("Exported", _kwh(energy.exported_j), f"earned {_amount(total.earned)} {currency}"),
        ("From the grid", _kwh(energy.imported_j), f"cost {_amount(total.spent)} {currency}"),
    ]
    if report.role is Role.ABSORB:
        share = "no surplus" if total.used_share is None else f"{percent(total.used_share)} of the surplus"
        tiles.insert(0, ("Used at home", _kwh(total.surplus_used_j), share))
    else:
        tiles.insert(0, ("Fed by the devices", _kwh(energy.placed_j), "instead of being bought"))
    if total.co2_g:
        tiles.append(("CO₂ not drawn", f"{total.co2_g / 1000.0:,.1f} kg", "as configured for the grid"))
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><p>{escape(note)}</p></div>"
        for name, value, note in tiles
    )
    yield f'<dl class="tiles">{cells}</dl>'


def _energy(report: SiteReport) -> str:
    rows = []
    for day, account in sorted(report.days.items()):
        energy = account.energy
        used, out, bought = _home_j(report, account), energy.exported_j, energy.imported_j
        title = (
            f"{_day(report, day, is_long=True)}: {_kwh(used)} {_home_word(report)}, {_kwh(out)} exported, "
            f"{_kwh(bought)} from the grid"
        )
        above = [("used", max(0.0, used) / JOULES_PER_KWH), ("exported", out / JOULES_PER_KWH)]
        rows.append(Bar(_day(report, day), title, above, [("imported", bought / JOULES_PER_KWH)]))
    legend = _legend(
        (("used", _home_word(report)), ("exported", "exported"), ("imported", "from the grid (downwards)"))
    )
    return _section("Energy", legend + bars("Energy " + _by(report), "kWh", rows))


def _money(report: SiteReport) -> str:
    currency = report.tariff.currency
    rows = [
        Bar(
            _day(report, day),
            f"{_day(report, day, is_long=True)}: {_amount(account.saved)} {currency} saved",
            [("saved" if account.saved >= 0.0 else "lost", account.saved)],
        )
        for day, account in sorted(report.days.items())
    ]
    said = (
        f"{_amount(report.total.saved)} {currency} saved by the devices; {_amount(report.total.spent)} "
        f"{currency} paid for import, {_amount(report.total.earned)} {currency} earned by export."
    )
    return _section("Money", f"<p>{escape(said)}</p>" + bars("Money saved " + _by(report), currency, rows))


def _acting(report: SiteReport) -> str:
    total = report.total
    law = messages.LAWS.get(report.law, report.law)
    parts = []
    for state, (kind, name) in ACTING.items():
        lasted_s = total.state_s[state]
        if lasted_s > 0.0:
            share = percent(lasted_s / total.recorded_s) if total.recorded_s > 0.0 else ""
            parts.append((kind, lasted_s, f"{name.format(law=law)}: {time_words(lasted_s)} ({share})"))
    if not parts:
        return ""
    legend = _legend([(kind, told) for kind, _, told in parts])
    return _section("Who acted", shares("Who acted", parts) + legend)


def _comparison(report: SiteReport, found: Comparison) -> str:
    law = messages.LAWS.get(report.law, report.law)
    name = f"Policy {found.policy_sha256[:8]}" if found.policy_sha256 else "Policy"
    told = "".join(f"<p>{escape(line)}</p>" for line in verdict(found))
    picture = ""
    if found.export is not None and found.j is not None:
        rows = [_interval("Export", found.export), _interval("J: export + ½ import by devices", found.j)]
        picture = intervals("Policy less fallback", rows)
        picture += (
            '<p class="hint">In Wh per hour; left of zero the policy did better. Bars are 95 % intervals.</p>'
        )
    counted = f"{DESIGNS[found.design]}; {found.policy.blocks if found.policy else 0} blocks of the policy, "
    counted += f"{found.fallback.blocks if found.fallback else 0} of the {law}"
    return _section(f"{name} against {law}", f'<p class="hint">{escape(counted)}</p>{picture}{told}')


def _interval(name: str, found: Estimate) -> DrawnInterval:
    title = f"{name}: {found.value_w:+,.0f} Wh per hour, {found.low_w:+,.0f} to {found.high_w:+,.0f}"
    return DrawnInterval(name, found.value_w, found.low_w, found.high_w, title)


def _happened(report: SiteReport) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in trouble(report))
    told = f'<ul class="lines">{lines}</ul>'
    if report.events:
        shown = report.events[:EVENTS_SHOWN]
        items = "".join(
            f"<li><time>{one.local:%Y-%m-%d %H:%M}</time> {escape(one.text)}"
            + (f"<b>{escape(one.advice)}</b>" if one.advice else "")
            + "</li>"
            for one in shown
        )
        more = len(report.events) - len(shown)
        told += f'<ol class="events">{items}</ol>' + (f"<p>and {more} older ones</p>" if more else "")
    return _section("What happened", told)


def _table(report: SiteReport) -> str:
    names = ("", _home_word(report).capitalize(), "Exported", "From the grid", "Saved", "Not measured")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(
        _row(report, f"{day:%B}" if report.by_month else f"{day:%a} {_day(report, day)}", account)
        for day, account in sorted(report.days.items())
    )
    foot = f"<tfoot>{_row(report, 'Total', report.total)}</tfoot>" if len(report.days) > 1 else ""
    return _section(
        "In figures",
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>{foot}</table></div>',
    )


def _row(report: SiteReport, name: str, account: Account) -> str:
    missing_s = account.recorded_s + account.unrecorded_s - account.energy.measured_s
    cells = (
        _kwh(_home_j(report, account)),
        _kwh(account.energy.exported_j),
        _kwh(account.energy.imported_j),
        f"{_amount(account.saved)} {report.tariff.currency}",
        time_words(missing_s) if missing_s >= 1.0 else "–",
    )
    told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{told}</tr>'


def _section(name: str, content: str) -> str:
    return f"<section><h2>{escape(name)}</h2>{content}</section>"


def _legend(parts: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 14 14" aria-hidden="true"><rect class="{kind}" width="14" height="14"/></svg>'
        f"{escape(name)}</li>"
        for kind, name in parts
    )
    return f'<ul class="legend">{items}</ul>'


def _home_j(report: SiteReport, account: Account) -> float:
    return account.surplus_used_j if report.role is Role.ABSORB else account.energy.placed_j


def _home_word(report: SiteReport) -> str:
    return "used at home" if report.role is Role.ABSORB else "fed by the devices"


def _by(report: SiteReport) -> str:
    return "by month" if report.by_month else "by day"


def _day(report: SiteReport, day: date, *, is_long: bool = False) -> str:
    if report.by_month:
        return f"{day:%B %Y}" if is_long else f"{day:%b}"
    return f"{day:%A} {day.day} {day:%B %Y}" if is_long else f"{day.day} {day:%b}"


def _kwh(joules: float) -> str:
    kwh = joules / JOULES_PER_KWH
    return f"{kwh:,.0f} kWh" if abs(kwh) >= 1000.0 else f"{kwh + 0.0:,.1f} kWh"


def _large(money: float) -> str:
    """For a tile: cents of more than a thousand are nobody's concern."""
    return f"{round(money):,}" if abs(money) >= 1000.0 else _amount(money)


def _amount(money: float) -> str:
    return f"{round(money, 2) + 0.0:,.2f}"
