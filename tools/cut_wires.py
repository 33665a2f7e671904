"""Cut every wire of a whole simulated daemon, and write down what people read: docs/operate/cut-wires.md.

    python tools/cut_wires.py [--page docs/operate/cut-wires.md] [--into docs/images] [--only meter radio]

In virtual time: real pymodbus, zigpy, bellows and files, the daemon's own loop. After 5 s, 1 min and 6 min
page, terminal, `sunkeep status`, metrics and alerts (asked of promtool) say what they say. With --into a
picture of the page after 6 min is taken of each. A full disk needs root: it mounts a small tmpfs.
"""

import argparse
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from make_screenshots import browser, call, tab  # noqa: E402 - its folder is no package
from marked_section import MarkedSection  # noqa: E402

from core.site import Slave  # noqa: E402
from daemon.commands.status import summary  # noqa: E402
from daemon.monitoring.figures import Figures  # noqa: E402
from daemon.monitoring.metrics import Exposition  # noqa: E402
from daemon.monitoring.status import status  # noqa: E402
from daemon.monitoring.terminal import line  # noqa: E402
from daemon.system.clock import boottime_s  # noqa: E402
from daemon.system.log import start_log  # noqa: E402
from daemon.words.translation import ENGLISH  # noqa: E402
from plant.simulated_site import SimulatedSite  # noqa: E402
from tests.support.full_daemon import Whole, until, whole  # noqa: E402
from tests.support.virtual_time import run  # noqa: E402

SITE = (
    Slave(0, "boiler", 0, 1700),
    Slave(1, "heater", 1, 1700),
    Slave(2, "rod", 2, 3000, driver="modbus"),
)
MODBUS = {2: "my-pv-ac-elwa-2"}
MOMENTS_S = (5, 60, 360)
SAMPLE_S = 5
BEFORE_S = 120
"""Lived before the wire is cut; alerts look back that far at least."""
DISK_MB = 6
STICK = "radio-stick"
METRICS = (
    "sunkeep_meter_sample_age_seconds",
    "sunkeep_radio_up",
    "sunkeep_slave_available",
    "sunkeep_slave_power_watts",
    "sunkeep_configuration_refused",
    "sunkeep_journal_records_dropped_total",
)
"""Those that the tables show."""
Cut = Callable[[Whole], Awaitable[None]]


@dataclass(slots=True)
class CutMoment:
    """What one moment showed."""

    at_s: int
    document: dict[str, Any]
    terminal: str
    metrics: list[str]
    truly_w: dict[str, float]
    """What each slave of the simulated site really draws."""
    alerts: list[str] = field(default_factory=list)


async def meter(pair: Whole) -> None:
    """The meter no longer answers."""
    pair.far_end.meter.faults.mute = True


async def radio(pair: Whole) -> None:
    """The radio stick is pulled out."""
    (pair.folder / STICK).unlink()
    await pair.far_end.radio.coordinator.stop()


async def slave(pair: Whole) -> None:
    """One slave behind the radio loses its power."""
    pair.far_end.radio.nodes[0].online = False


async def device(pair: Whole) -> None:
    """The network cable of the Modbus device is pulled out."""
    await pair.far_end.devices[2].stop()


async def configuration(pair: Whole) -> None:
    """Somebody saves a configuration with a mistake."""
    text = pair.service.path.read_text()
    pair.service.path.write_text(text.replace('mode = "production"', 'mode = "productive"'))
    pair.service.requests.reload.set()


async def disk(pair: Whole) -> None:
    """The disk fills up: journal, history, state and totals."""
    with suppress(OSError), (pair.folder / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


CUTS: dict[str, Cut] = {cut.__name__: cut for cut in (meter, radio, slave, device, configuration, disk)}


def truly_drawn(pair: Whole) -> dict[str, float]:
    """By name, from the physics."""
    site = pair.far_end.site
    site.advance(boottime_s())
    return {slave.name: site.slave_power_w(slave.slot) for slave in SITE}


def samples(figures: Figures) -> dict[str, float]:
    """Every series of a scrape, by its text."""
    found = {}
    for family in text_string_to_metric_families(Exposition(figures).render(boottime_s()).decode()):
        for one in family.samples:
            labels = {**one.labels, "instance": "site", "job": "sunkeep"}
            inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
            found[f"{one.name}{{{inside}}}"] = one.value
    return found


def lived(cut: Cut, folder: Path) -> tuple[list[CutMoment], list[dict[str, float]]]:
    """A site that runs well, then the cut: what was told at each moment, and every scrape."""
    told: list[CutMoment] = []
    scrapes: list[dict[str, float]] = []

    def by_name(text: str, far_end: SimulatedSite) -> str:
        """The radio under a name of its own, as in /dev/serial/by-id: it goes with the stick."""
        (folder / STICK).symlink_to(far_end.radio_path)
        return text.replace(far_end.radio_path, str(folder / STICK))

    async def body() -> None:
        async with whole(folder, period_s=1.0, slaves=SITE, modbus=MODBUS, adapt=by_name) as pair:
            await until(lambda: pair.service.figures is not None, 60.0)
            figures = pair.service.figures
            assert figures is not None
            await until(lambda: sum(figures.placed_w) > 2000.0, 300.0)
            for second in range(0, BEFORE_S + MOMENTS_S[-1] + 1, SAMPLE_S):
                if second == BEFORE_S:
                    await cut(pair)
                after_s = second - BEFORE_S
                scrapes.append(samples(figures))
                if after_s in MOMENTS_S:
                    now_s = boottime_s()
                    shown = [
                        f"{name} {value:g}" for name, value in scrapes[-1].items() if name.startswith(METRICS)
                    ]
                    said = json.dumps(status(figures, now_s)).replace(str(folder), "/etc/sunkeep")
                    document = json.loads(said)
                    told.append(CutMoment(after_s, document, line(figures), shown, truly_drawn(pair)))
                await asyncio.sleep(SAMPLE_S)

    with suppress(SystemExit):
        run(body())
    return told, scrapes


def fired(scrapes: list[dict[str, float]], moments_s: tuple[int, ...]) -> dict[int, list[str]]:
    """By moment: which alerts fire, as promtool evaluates the rules on these scrapes."""
    names = sorted({name for scrape in scrapes for name in scrape})
    series = [
        {"series": name, "values": " ".join(_value(scrape.get(name)) for scrape in scrapes)} for name in names
    ]
    series.append({"series": 'up{instance="site",job="sunkeep"}', "values": f"1x{len(scrapes)}"})
    rules = (ROOT / "dashboards/alerts.yml").resolve()
    alerts = re.findall(r"- alert: (\w+)", rules.read_text())
    asked = [
        {"eval_time": f"{BEFORE_S + at_s}s", "alertname": name, "exp_alerts": []}
        for at_s in moments_s
        for name in alerts
    ]
    lived_through = {"interval": f"{SAMPLE_S}s", "input_series": series, "alert_rule_test": asked}
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{SAMPLE_S}s",
        "tests": [lived_through],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump(test, file)  # JSON is YAML
        file.flush()
        command = ["promtool", "test", "rules", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    said = done.stdout + done.stderr
    found: dict[int, list[str]] = {at_s: [] for at_s in moments_s}
    for name, time in re.findall(r"alertname: (\w+), time: (\S+?),", said):
        minutes, _, seconds = time.rpartition("m")
        at_s = 60 * int(minutes or 0) + int(seconds.removesuffix("s") or 0) - BEFORE_S
        found[at_s].append(name)
    if "unmarshal" in said or "yaml" in said:
        raise RuntimeError(said[:2000])
    return found


def _value(value: float | None) -> str:
    return "_" if value is None else "NaN" if value != value else f"{value:.12g}"


def rows(name: str, told: list[CutMoment], doc: str) -> list[str]:
    """The part of the page about one wire."""
    lines = [f"### {doc}", "", f"![The page six minutes later](../images/cut-{name}.png)", ""]
    lines += [
        "| after | headline; who acts | meter and devices, truly in brackets | alerts |",
        "|---|---|---|---|",
    ]
    for one in told:
        d = one.document
        grid = d["total"]["grid_w"]
        parts = ["no meter data" if grid is None else f"meter {grid:.0f} W"]
        parts += [
            f"{s['name']} {_w(s['power_w']) if s['is_heard'] else 'offline'} ({one.truly_w[s['name']]:.0f} W)"
            for s in d["slaves"]
        ]
        said = f"{d['headline']['text']}; {d['acting']['who']} {d['acting']['why']}"
        fired_now = ", ".join(one.alerts) or "none"
        lines.append(f"| {_time(one.at_s)} | {said} | {', '.join(parts)} | {fired_now} |")
    last = told[-1]
    status_lines = [line for line in summary(last.document) if line.startswith(("refused", "remark", "disk"))]
    plain = [f"terminal: {last.terminal}", f"status: {summary(last.document)[0]}"]
    plain += [f"status: {line}" for line in status_lines]
    plain += [f"metric: {_bare(one)}" for one in last.metrics]
    return [*lines, "", "After 6 min:", "", "```text", *plain, "```", ""]


def _bare(sample: str) -> str:
    """Without the labels that a scraper adds."""
    return re.sub(r',?(instance|job)="[^"]*"', "", sample).replace("{,", "{").replace("{}", "")


def _w(power_w: float | None) -> str:
    return "–" if power_w is None else f"{power_w:.0f} W"


def _time(at_s: int) -> str:
    return f"{at_s} s" if at_s < 60 else f"{at_s // 60} min"


async def pictures(told: dict[str, CutMoment], into: Path) -> None:
    """The page with each document, as it stood."""
    page = ENGLISH.page((ROOT / "daemon/page/index.html").read_text())
    shown: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response(text=page, content_type="text/html")
        if request.path != "/status.json":
            return web.Response(status=404)
        since_s = float(request.query["since"])
        young = [point for point in shown["points"] if point[0] > since_s]
        return web.json_response({**shown, "points": young})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    with tempfile.TemporaryDirectory() as profile:
        async with (
            browser(Path(profile)) as devtools,
            ClientSession() as session,
            tab(session, devtools) as window,
        ):
            size = {"width": 1000, "height": 1000, "deviceScaleFactor": 1.0, "mobile": False}
            await call(window, "Emulation.setDeviceMetricsOverride", **size)
            for name, one in told.items():
                shown.clear()
                shown.update(one.document)
                await call(window, "Page.navigate", url=f"http://127.0.0.1:{port}/")
                await asyncio.sleep(2.5)
                shot = await call(window, "Page.captureScreenshot", format="png")
                (into / f"cut-{name}.png").write_bytes(b64decode(shot["data"]))
    await runner.cleanup()


def tried(names: list[str]) -> tuple[str, dict[str, CutMoment]]:
    """Every cut: the text of the page, and what was told last of each."""
    lines: list[str] = []
    last: dict[str, CutMoment] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            if name == "disk":
                if os.geteuid() != 0:
                    sys.stderr.write("disk: not tried, it needs root\n")
                    continue
                mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", made]
                subprocess.run(mount, check=True)  # noqa: S603
            try:
                told, scrapes = lived(CUTS[name], folder)
            finally:
                if name == "disk":
                    subprocess.run(["umount", made], check=True)  # noqa: S603, S607
        alerts = fired(scrapes, MOMENTS_S)
        for one in told:
            one.alerts = alerts[one.at_s]
        last[name] = told[-1]
        lines += rows(name, told, (CUTS[name].__doc__ or name).rstrip("."))
        sys.stderr.write(f"{name}: done\n")
    return "\n".join(lines), last


def main() -> int:
    """Write the page's section and the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs/operate/cut-wires.md")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(CUTS), default=list(CUTS))
    arguments = parser.parse_args()
    start_log(level=logging.CRITICAL)
    text, last = tried(arguments.only)
    if arguments.only == list(CUTS):
        section = MarkedSection("cut wires", "cut_wires.py", arguments.page)
        arguments.page.write_text(section.replaced(arguments.page.read_text(), text))
    else:
        sys.stdout.write(text + "\n")
    if arguments.into is not None:
        asyncio.run(pictures(last, arguments.into))
    return 0


if __name__ == "__main__":
    sys.exit(main())
