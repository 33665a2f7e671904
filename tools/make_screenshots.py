"""Take pictures of the status page of a running daemon, with a headless Chromium.

    python tools/make_screenshots.py [--url http://127.0.0.1:9108/] [--into docs/images] [--details]

For pictures with a past: ``python tools/make_year_of_history.py FOLDER``, then ``python -m
tests.support.telemetry_feed page --history FOLDER``.

Speaks the DevTools protocol with the aiohttp that the daemon has anyway.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PICTURES = (
    ("status-light", "light", 1160, 1.5, "day", "en"),
    ("status-dark", "dark", 1160, 1.5, "day", "en"),
    ("status-phone", "light", 390, 1.5, "day", "de"),
    ("status-phone-dark", "dark", 390, 1.5, "day", "fr"),
    ("history-year", "light", 1160, 1.5, "year", "en"),
    ("history-month-phone-dark", "dark", 390, 1.5, "month", "en"),
)
"""Name, scheme, width, scale, span, language of the browser."""
ALONE = (("light", 1160, ""), ("dark", 390, "-phone-dark"))
"""Of the login and the report: scheme, width, end of the name."""
LIVE_S = 4.0
"""Time for the page to fetch its history and a few ticks."""


async def main() -> int:
    """Take every picture; 1 when no browser is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:9108/")
    parser.add_argument("--into", type=Path, default=Path("docs/images"))
    parser.add_argument("--login", default="", help="the address of the page of the house, to show its login")
    parser.add_argument("--report", default="", help="the address of a report, such as file:///tmp/year.html")
    parser.add_argument("--details", action="store_true", help="with the engineer's part unfolded")
    arguments = parser.parse_args()
    if _program() is None:
        sys.stderr.write("no chromium found; install the package chromium\n")
        return 1
    arguments.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        async with browser(Path(profile)) as port, ClientSession() as session, tab(session, port) as page:
            for name, scheme, width, scale, span, language in PICTURES:
                address = f"{arguments.url}?lang={language}"
                picture = await _picture(page, address, scheme, width, scale, arguments.details, span)
                (arguments.into / f"{name}.png").write_bytes(picture)
                sys.stdout.write(f"{arguments.into / name}.png\n")
            for name, address in (("login", arguments.login), ("report-year", arguments.report)):
                for scheme, width, end in ALONE if address else ():
                    picture = await _picture(page, address, scheme, width, 1.0, False, "day")
                    (arguments.into / f"{name}{end}.png").write_bytes(picture)
                    sys.stdout.write(f"{arguments.into / name}{end}.png\n")
    return 0


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[int]:
    """A headless browser; gives the port of its DevTools."""
    command = (_program() or "chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank")
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    port_file = profile / "DevToolsActivePort"
    try:
        async with asyncio.timeout(30.0):
            while not port_file.exists() or "\n" not in port_file.read_text():
                await asyncio.sleep(0.1)
        yield int(port_file.read_text().split("\n")[0])
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def tab(session: ClientSession, port: int) -> AsyncIterator[ClientWebSocketResponse]:
    """The DevTools of the browser's first page."""
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        targets = await answer.json()
    address = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
    async with session.ws_connect(address, max_msg_size=64 * 2**20) as page:
        yield page


def _program() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


async def _picture(
    page: ClientWebSocketResponse, url: str, scheme: str, width: int, scale: float, details: bool, span: str
) -> bytes:
    await call(
        page, "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": width < 600}
    await call(page, "Emulation.setDeviceMetricsOverride", **size)
    await call(page, "Page.navigate", url=url)
    await asyncio.sleep(LIVE_S)
    chosen = f"document.querySelector('[data-span={span}]').click()"
    if span != "day":
        await call(page, "Runtime.evaluate", expression=chosen)
        await asyncio.sleep(LIVE_S)
    if details:
        await call(page, "Runtime.evaluate", expression="document.querySelector('details').open = true")
        await asyncio.sleep(0.5)
    clip = {"x": 0, "y": 0, "width": width, "scale": 1} | await _extent(page, span)
    shot = await call(page, "Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return b64decode(shot["data"])


async def _extent(page: ClientWebSocketResponse, span: str) -> dict[str, float]:
    """The whole page, or for longer spans the part that tells them."""
    if span == "day":
        size = (await call(page, "Page.getLayoutMetrics"))["cssContentSize"]
        return {"height": size["height"]}
    box = "(() => { const b = document.getElementById('past').getBoundingClientRect();"
    asked = f"{box} return [b.top + scrollY - 12, b.height + 24]; }})()"
    answer = await call(page, "Runtime.evaluate", expression=asked, returnByValue=True)
    top, height = answer["result"]["value"]
    return {"y": top, "height": height}


_numbers = count(1)


async def call(page: ClientWebSocketResponse, method: str, **params: Any) -> dict[str, Any]:
    """Ask the browser and wait for its answer; raises RuntimeError when it refuses."""
    number = next(_numbers)
    await page.send_json({"id": number, "method": method, "params": params})
    while True:
        answer = await page.receive_json()
        if answer.get("id") == number:
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            return dict(answer["result"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
