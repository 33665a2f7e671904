"""The report as one page: complete, self-contained, and safe whatever a name holds."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.decision import Authority, State
from core.roles import Role
from core.site import Metering
from daemon import __main__ as command_line
from daemon.history.account import Account
from daemon.history.tariff import Tariff, TimeOfUse
from daemon.monitoring.energy_ledger import EnergyTotals
from daemon.report.charts import Bar, bars
from daemon.report.comparison import Arm, Comparison, Estimate
from daemon.report.document import ReportEvent, SiteReport
from daemon.report.page import page
from daemon.report.trial import Design
from tests.daemon.report.accounts import tick
from tests.daemon.report.journals import configure, start_of, write

KWH_J = 3.6e6


class Outline(HTMLParser):
    """What is on a page: tags with their attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def an_account(used: float, exported: float, imported: float) -> Account:
    energy = EnergyTotals(
        exported_j=exported * KWH_J,
        imported_j=imported * KWH_J,
        exported_without_j=(used + exported) * KWH_J,
        imported_without_j=imported * KWH_J,
        measured_s=86400.0,
    )
    account = Account(energy=energy, recorded_s=86400.0, saved=0.22 * used, spent=0.3 * imported)
    account.state_s[State.RL_ACTIVE], account.state_s[State.SAFE_STOP] = 80000.0, 6400.0
    account.spell(State.SAFE_STOP, "meter_lost").times = 2
    return account


def a_report(name: str = "Haus Nr. 7") -> SiteReport:
    days = {date(2026, 6, 1): an_account(10.0, 1.0, 4.0), date(2026, 6, 2): an_account(5.0, 0.0, 6.0)}
    total = Account()
    for account in days.values():
        total.add(account)
    arm = Arm(20, 18000.0, 120.0, 10.0, 125.0, 2000.0, 0.98)
    found = Comparison(
        "ab" * 32, Design.PAIRS, arm, arm, 20, 0, {Authority.POLICY: 0, Authority.FALLBACK: 1},
        Estimate(-42.0, -60.0, -20.0), Estimate(-30.0, -70.0, 10.0),
    )  # fmt: skip
    noted = ReportEvent(datetime(2026, 6, 2, 9, 30, tzinfo=UTC), "boiler <1> does not answer", "Look at it.")
    return SiteReport(
        name, ZoneInfo("Europe/Berlin"), Role.ABSORB, Metering.NET, "pi", TimeOfUse(Tariff(0.3, 0.08, "EUR")),
        days, total, [], 0, 1, 0, [found], [], events=[noted],
    )  # fmt: skip


def test_the_page_tells_energy_money_who_acted_comparison_and_events() -> None:
    seen = Outline(page(a_report()))
    assert not seen.open or seen.open == ["html"]
    for said in (
        "Haus Nr. 7", "2026-06-01 to 2026-06-02 (Europe/Berlin)", "15.0 kWh", "93.8 % of the surplus",
        "3.30 EUR", "the learned policy: 44.4 h (92.6 %)", "at rest for safety: 3.6 h (7.4 %)",
        "Export: less with the policy, -42 Wh per hour (95 % interval -60 to -20)",
        "no difference shown", "At rest because the meter does not answer: 4 times",
        "2026-06-02 09:30", "boiler <1> does not answer", "Look at it.",
    ):  # fmt: skip
        assert said in seen.text, said
    labels = [attrs["aria-label"] for tag, attrs in seen.tags if tag == "svg" and "aria-label" in attrs]
    assert labels == ["Energy by day", "Money saved by day", "Who acted", "Policy less fallback"]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = page(a_report("<script>alert(1)</script>"))
    seen = Outline(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in seen.tags}
    assert not re.search(r"https?://|url\(|@import", text)
    assert not [name for _, attrs in seen.tags for name in attrs if name.startswith("on")]


def test_bars_have_the_height_of_their_energy() -> None:
    """10 kWh above and 5 below an axis from -5 to 10: two thirds and one third of the picture."""
    drawn = bars("Energy", "kWh", [Bar("1", "one", [("used", 10.0)], [("imported", 5.0)])])
    heights = {
        kind: float(h) for kind, h in re.findall(r'class="(used|imported)".*?height="([\d.]+)"', drawn)
    }
    assert heights["used"] == pytest.approx(2.0 * heights["imported"], abs=0.2)
    assert heights["used"] + heights["imported"] == pytest.approx(300 - 14 - 34, abs=0.3)


@pytest.mark.parametrize("days", [1, 31, 366])
def test_no_days_without_energy_break_the_picture(days: int) -> None:
    drawn = bars("Energy", "kWh", [Bar(str(n), str(n), [("used", 0.0)]) for n in range(days)])
    assert "nan" not in drawn
    assert drawn.count("<title>") == days


def test_the_command_writes_it_from_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first_s = datetime(2026, 6, 1, 10, tzinfo=UTC).timestamp()
    start = start_of(configure(tmp_path), first_s)
    write(tmp_path / "journal", iter([start, *(tick(first_s + n, 10.0 + n, n) for n in range(100))]))
    file = tmp_path / "report.html"
    assert command_line.main(["report", "--journal", str(tmp_path / "journal"), "--html", str(file)]) == 0
    assert capsys.readouterr().out == f"Wrote {file}.\n"
    assert "Simulated site" in Outline(file.read_text()).text
    where = tmp_path / "none" / "report.html"
    assert command_line.main(["report", "--journal", str(tmp_path / "journal"), "--html", str(where)]) != 0
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_generating_site_tells_what_was_fed() -> None:
    report = replace(a_report(), role=Role.GENERATE)
    assert "Fed by the devices" in Outline(page(report)).text
