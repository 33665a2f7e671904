"""The page in a real browser: no error, no blocked style or script, and honest when data stops."""

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from daemon.monitoring.figures import Figures
from daemon.system.clock import boottime_s
from daemon.web.server import serve
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

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
