"""The page in a real browser: no error, no blocked style or script, and honest when data stops."""

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from core.decision import State, SupervisorDecision
from core.snapshot import SlaveState
from daemon.history.account import Account
from daemon.history.database import FILE, HistoryDatabase, open_history
from daemon.history.minutes import HistoryMinute
from daemon.history.reading import HistoryReader
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost, RadioStatistics
from daemon.system.clock import boottime_s
from daemon.web.history_answers import HistoryAnswers
from daemon.web.server import serve
from daemon.words.translation import OTHERS
from tests.daemon.words.test_words import LEFTOVERS
from tests.support.telemetry_feed import ABOUT, NOON, SITE, FedHouse, decision, feed, snapshot

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
SCRIPT = Path(__file__).parents[3] / "tools/make_screenshots.py"


@pytest.fixture(scope="module")
def devtools() -> ModuleType:
    """The script that takes the pictures; it speaks the DevTools protocol."""
    spec = importlib.util.spec_from_file_location("make_screenshots", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def tab(devtools: ModuleType, tmp_path: Path) -> AsyncIterator[ClientWebSocketResponse]:
    async with (
        devtools.browser(tmp_path) as port,
        ClientSession() as session,
        devtools.tab(session, port) as page,
    ):
        yield page


async def value(devtools: ModuleType, page: ClientWebSocketResponse, expression: str) -> Any:
    answer = await devtools.call(page, "Runtime.evaluate", expression=expression, returnByValue=True)
    return answer["result"].get("value")


async def until(
    devtools: ModuleType, page: ClientWebSocketResponse, expression: str, within_s: float
) -> None:
    """Wait for something on the page to become true."""
    async with asyncio.timeout(within_s):
        while not await value(devtools, page, expression):
            await asyncio.sleep(0.05)


async def test_the_page_lives_and_says_when_it_does_not(
    devtools: ModuleType, tab: ClientWebSocketResponse
) -> None:
    figures, house = Figures(SITE, ABOUT, boottime_s() - 400.0), FedHouse(at_s=boottime_s() - 300.0)
    feed(figures, house, "sunny", 300)
    server = await serve(figures, "127.0.0.1", 0)
    notice = (
        "window.faults = []; addEventListener('error', (e) => faults.push(e.message));"
        "addEventListener('securitypolicyviolation', (e) => faults.push(e.blockedURI + e.violatedDirective));"
    )
    await devtools.call(tab, "Page.enable")
    await devtools.call(tab, "Page.addScriptToEvaluateOnNewDocument", source=notice)
    await devtools.call(tab, "Page.navigate", url=server.url)
    await until(devtools, tab, "document.querySelectorAll('#slaves tr').length === 5", 10.0)
    assert "Solar surplus" in await value(devtools, tab, "document.getElementById('headline').textContent")
    assert await value(devtools, tab, "document.querySelectorAll('#phases tr').length") == 4
    assert (
        len(await value(devtools, tab, "document.querySelector('#chart .s-with').getAttribute('d')")) > 1000
    )
    assert (
        await value(devtools, tab, "getComputedStyle(document.querySelector('.card')).borderTopStyle")
        == "solid"
    )
    sideways = "document.documentElement.scrollWidth > innerWidth"
    await devtools.call(
        tab, "Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True
    )
    assert not await value(devtools, tab, sideways)
    feed(figures, house, "stopped", 1)  # what happens reaches the page
    await until(devtools, tab, "document.getElementById('hero').dataset.tone === 'bad'", 5.0)
    await server.stop()
    told = "document.getElementById('alarm').textContent.startsWith('No connection')"
    await until(devtools, tab, f"document.body.classList.contains('stale') && {told}", 5.0)
    assert await value(devtools, tab, "faults") == []


async def test_the_chart_ends_where_the_data_end_and_the_head_says_since_when(
    devtools: ModuleType, tab: ClientWebSocketResponse
) -> None:
    """The meter's wire is cut for six minutes; the daemon ticks on."""
    now_s = boottime_s()
    figures, house = Figures(SITE, ABOUT, now_s - 500.0), FedHouse(at_s=now_s - 480.0)
    feed(figures, house, "sunny", 120)
    blind = replace(
        snapshot(now_s, (0.0, 0.0, 0.0)),
        meter_age_s=360.0,
        slaves=tuple(SlaveState(True, 1700.0, 375.0) for _ in SITE.slaves),
    )
    resting = SupervisorDecision(State.SAFE_STOP, ("meter_lost", "radio_lost", "radio_down"))
    figures.update(blind, decision(verdict=resting), cost=Cost(), radio=RadioStatistics(False), local=NOON)
    figures.configuration_refused("sunkeep.toml:3: mode.mode: no such mode. Write shadow.")
    server = await serve(figures, "127.0.0.1", 0)
    await devtools.call(tab, "Page.enable")
    await devtools.call(tab, "Page.navigate", url=server.url)
    await until(devtools, tab, "document.querySelectorAll('#slaves tr').length === 5", 10.0)
    text = "document.getElementById('{}').textContent"
    head = text.format("live")
    await until(devtools, tab, f"{head} === 'no meter data since 12:34:00'", 5.0)
    assert "no data for 6 min" in await value(devtools, tab, text.format("chart"))
    line = "document.querySelector('#chart .s-with').getBBox()"
    right = "document.querySelector('#chart .zero').getBBox()"
    ends = await value(devtools, tab, f"{line}.x + {line}.width")
    assert ends < 0.7 * await value(devtools, tab, f"{right}.x + {right}.width")
    assert await value(devtools, tab, text.format("t-placed-note")) == "0 of 5 answer"
    assert await value(
        devtools, tab, "[...document.querySelectorAll('.draw i')].every((e) => !e.offsetWidth)"
    )
    assert "Nothing can be told" in await value(devtools, tab, text.format("headline"))
    assert "sunkeep.toml:3" in await value(devtools, tab, text.format("refused"))
    await server.stop()


async def test_days_months_and_years_are_told_and_turned_by_key(
    devtools: ModuleType, tab: ClientWebSocketResponse, tmp_path: Path
) -> None:
    """A history of two days: bars where there is data, sums in money, one step back and forth."""
    database = HistoryDatabase(open_history(tmp_path / FILE), ZoneInfo("UTC"), 92 * 86400, 10**8)
    noon_s = int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp())
    for at_s in (noon_s, noon_s + 86400):
        account = Account(ticks=60, recorded_s=60.0, saved=1.25)
        account.energy.exported_without_j, account.energy.exported_j = 7.2e6, 3.6e6
        database.write([HistoryMinute(at_s, account, {"boiler": 3.6e6}, {"boiler": 60.0})])
    figures, house = Figures(SITE, ABOUT, boottime_s() - 60.0), FedHouse(at_s=boottime_s() - 30.0)
    feed(figures, house, "sunny", 30)
    past = HistoryAnswers(HistoryReader(tmp_path / FILE, ZoneInfo("UTC")), "EUR", False, boottime_s)
    server = await serve(figures, "127.0.0.1", 0, history=past)
    await devtools.call(tab, "Page.enable")
    await devtools.call(tab, "Page.navigate", url=server.url)
    text = "document.getElementById('{}').textContent"
    await until(devtools, tab, f"{text.format('past-name')} === '2 June 2026'", 10.0)
    assert await value(devtools, tab, text.format("p-saved")) == "1.25 EUR"
    assert await value(devtools, tab, text.format("took")) == "boiler1.0 kWh"
    await devtools.call(tab, "Runtime.evaluate", expression="document.getElementById('earlier').click()")
    await until(devtools, tab, f"{text.format('past-name')} === '1 June 2026'", 5.0)
    assert await value(devtools, tab, "document.getElementById('earlier').disabled")
    await devtools.call(
        tab, "Runtime.evaluate", expression="document.querySelector('[data-span=month]').click()"
    )
    await until(devtools, tab, f"{text.format('past-name')} === 'June 2026'", 5.0)
    assert await value(devtools, tab, "document.querySelectorAll('#bars .used').length") == 2
    await devtools.call(tab, "Runtime.evaluate", expression="document.getElementById('bars').focus()")
    for kind in ("keyDown", "keyUp"):
        await devtools.call(tab, "Input.dispatchKeyEvent", type=kind, key="ArrowRight")
    told = "1 June 2026: 1.0 kWh used at home, 1.0 kWh exported, 0 Wh from the grid, 1.25 EUR saved"
    assert await value(devtools, tab, text.format("bars-readout")) == told
    await server.stop()


@pytest.mark.parametrize("language", OTHERS)
async def test_a_browser_reads_the_page_in_its_language(
    devtools: ModuleType, tab: ClientWebSocketResponse, language: str
) -> None:
    """Live, in a fault, and asked by the browser alone: no English but for the engineer, nothing sideways."""
    figures, house = Figures(SITE, ABOUT, boottime_s() - 100.0), FedHouse(at_s=boottime_s() - 60.0)
    feed(figures, house, "sunny", 60)
    server = await serve(figures, "127.0.0.1", 0)
    asking = {"userAgent": "a browser", "acceptLanguage": f"{language},en;q=0.5"}
    await devtools.call(tab, "Emulation.setUserAgentOverride", **asking)
    await devtools.call(
        tab, "Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True
    )
    await devtools.call(tab, "Page.navigate", url=server.url)
    await until(devtools, tab, "document.querySelectorAll('#slaves tr').length === 5", 10.0)
    shown = (
        "[...document.querySelectorAll('main > :not(#living), #living > :not(details), header .live')]"
        ".map((e) => e.innerText).join(' ') + document.title"
    )
    assert LEFTOVERS.findall(await value(devtools, tab, shown)) == []
    assert await value(devtools, tab, "document.documentElement.lang") == language
    assert not await value(devtools, tab, "document.documentElement.scrollWidth > innerWidth")
    feed(figures, house, "stopped", 1)
    await until(devtools, tab, "document.getElementById('hero').dataset.tone === 'bad'", 5.0)
    assert LEFTOVERS.findall(await value(devtools, tab, shown)) == []
    await server.stop()
