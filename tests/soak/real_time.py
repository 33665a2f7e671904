"""The soak in real time: the daemon is a process of its own, its site and the storm are here.

Memory, descriptors and threads are those of the daemon alone, and how late its ticks were is what its own
metrics say: the machine counts.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from daemon.commissioning.embedded_site import site_key, write_site
from daemon.config.settings import load_settings
from daemon.service.service import Service
from daemon.system.clock import boottime_s
from plant.radio.channel import no_loss
from plant.simulated_site import slaves_of, start_far_end
from plant.site.trace import load_trace
from tests.campaigns.pairs import Pair
from tests.campaigns.table import heading
from tests.referee.tap import RefereeProcess, Tap
from tests.soak.leg import USABLE_S, is_unsent
from tests.soak.resources import Held, growth_mb, held
from tests.soak.storm import LANES, blow, plan
from tests.soak.visitors import Visitors, free_port, get
from tests.support.full_daemon import Whole

SAMPLE_EVERY_S = 60.0
START_S = 30.0
"""A start on a busy machine takes so long at most."""
FOLDER = Path("runs/soak")


@dataclass
class Found:
    """What was found. `lateness` counts ticks by the upper bound of their lateness in s."""

    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    samples: list[Held] = field(default_factory=list)
    ticks: float = 0.0
    lateness: dict[str, float] = field(default_factory=dict)
    compute: dict[str, float] = field(default_factory=dict)
    failed_ticks: float = 0.0
    events: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    status: int | None = None
    answered: dict[str, int] = field(default_factory=dict)
    not_answered: dict[str, int] = field(default_factory=dict)
    referee: dict[str, Any] = field(default_factory=dict)
    broken: list[dict[str, Any]] = field(default_factory=list)
    unsent: int = 0

    @property
    def problems(self) -> list[str]:
        """Why it did not hold; nothing if it did."""
        found = [f"error: {line}" for line in self.errors] + [f"unsafe: {line}" for line in self.broken]
        if self.status != 0:
            found.append(f"the daemon ended with {self.status}")
        if self.failed_ticks:
            found.append(f"{self.failed_ticks:.0f} ticks failed")
        return found


def _cumulative(metrics: str, family: str) -> dict[str, float]:
    pattern = rf'^{family}_bucket{{le="([^"]+)"}} (\S+)$'
    return {bound: float(count) for bound, count in re.findall(pattern, metrics, re.MULTILINE)}


def _value(metrics: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "daemon", "run", "--plain", "--config", str(config)]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 30.0)
        if process.poll() is None:
            process.kill()
            process.wait()


def _read_log(log: Path, found: Found) -> None:
    counts: Counter[str] = Counter()
    for line in log.read_bytes().splitlines():
        if b"{" not in line:
            found.errors.append(line.decode(errors="replace")[:200])
            continue
        event = json.loads(line[line.index(b"{") :])
        counts[str(event["event"])] += 1
        if event.get("level") in ("error", "critical"):
            found.errors.append(line.decode(errors="replace")[:300])
    found.events = dict(counts.most_common(40))


async def _ready(process: subprocess.Popen[bytes], port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            assert process.poll() is None, f"the daemon ended with {process.returncode}"
            with suppress(OSError, TimeoutError):
                await get(port, "/metrics")
                return
            await asyncio.sleep(0.2)


async def live(folder: Path, seconds: float, seed: int) -> Found:
    """So long, from the first answer of the daemon's page on."""
    found, rng, slaves = Found(seconds), Random(seed), slaves_of(6)
    spells = {name: plan(name, rng, seconds) for name in LANES}
    found.faults = dict(Counter(s.injection.name for lane in spells.values() for s in lane))
    key, port, referee = site_key(folder), free_port(), RefereeProcess()
    far_end = await start_far_end(
        load_trace(), slaves, key, clock=boottime_s, seed=seed, radio_port=0, start_s=10 * 3600.0
    )
    far_end.radio.air.loss = no_loss
    config = write_site(folder, slaves, far_end.meter_port, far_end.radio_path, status_port=port)
    tap = Tap(referee, "site", far_end, boottime_s)
    tap.attach(slaves, key, period_s=1.0)
    here = asyncio.current_task()
    assert here is not None
    pair = Pair(Whole(Service(load_settings(config), config), far_end, here, folder))
    visitors = Visitors(port)
    async with _daemon(config, folder / "log") as process:
        await _ready(process, port)
        began_s = boottime_s()
        beside = [asyncio.create_task(blow(pair, lane, Random(rng.random()))) for lane in spells.values()]
        beside.append(asyncio.create_task(visitors.visit()))
        while (now_s := boottime_s() - began_s) < seconds:
            found.samples.append(held(now_s, process.pid))
            await asyncio.sleep(min(SAMPLE_EVERY_S, seconds - now_s))
            assert process.poll() is None, f"the daemon ended with {process.returncode}"
        found.samples.append(held(boottime_s() - began_s, process.pid))
        metrics = await get(port, "/metrics")
        for task in beside:
            task.cancel()
        for error in await asyncio.gather(*beside, return_exceptions=True):
            if isinstance(error, Exception):
                found.errors.append(f"a lane of the storm ended: {error!r}")
    tap.detach()
    await far_end.stop()
    judgement = referee.finish()
    away = [(began_s + s.at_s, began_s + s.at_s + s.lasts_s + USABLE_S) for s in spells["radio"]]
    found.broken = [line for line in judgement.broken if not is_unsent(line, away)][:50]
    found.unsent = len(judgement.broken) - len(found.broken)
    found.status, found.referee = process.returncode, judgement.summary
    found.ticks = _value(metrics, "sunkeep_ticks_total")
    found.failed_ticks = _value(metrics, "sunkeep_failed_ticks_total")
    found.lateness = _cumulative(metrics, "sunkeep_tick_lateness_seconds")
    found.compute = _cumulative(metrics, "sunkeep_tick_compute_seconds")
    found.answered, found.not_answered = dict(visitors.answered), dict(visitors.failed)
    _read_log(folder / "log", found)
    return found


def table(found: Found) -> str:
    """What was found."""
    first, last = found.samples[0], found.samples[-1]
    late = ", ".join(f"<= {bound} s: {count:.0f}" for bound, count in found.lateness.items())
    compute = ", ".join(f"<= {bound} s: {count:.0f}" for bound, count in found.compute.items())
    missing = found.seconds - found.ticks
    quarter_mb = growth_mb(found.samples, found.seconds / 4.0)
    return "\n".join(
        [
            f"{found.seconds / 60.0:.0f} min, {sum(found.faults.values())} faults, {found.ticks:.0f} ticks "
            f"({missing:+.0f} of one per second missing), {found.failed_ticks:.0f} failed",
            f"tick lateness: {late}",
            f"decision: {compute}",
            f"memory {first.rss_mb:.1f} to {last.rss_mb:.1f} MB ({quarter_mb:+.1f} MB after a quarter)",
            f"descriptors {first.descriptors} to {last.descriptors}, "
            f"threads {first.threads} to {last.threads}",
            f"page: answered {found.answered}, not answered {found.not_answered}",
            f"referee: {found.referee.get('frames')} frames, {found.referee.get('answers')} answers, "
            f"{len(found.broken)} rules broken; {found.unsent} releases that no radio could send",
            f"events: {found.events}",
            f"ended with status {found.status}; {len(found.problems)} problems",
            *found.problems[:20],
        ]
    )


def soak(seconds: float, seed: int) -> int:
    """Run it and tell; the exit status is 1 when something did not hold."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(live(Path(folder), seconds, seed))
    FOLDER.mkdir(parents=True, exist_ok=True)
    report = asdict(found) | {"problems": found.problems}
    (FOLDER / f"real-{seed}-{seconds / 60.0:.0f}min.json").write_text(json.dumps(report, indent=1))
    print(heading(seed))
    print(table(found))
    return 1 if found.problems else 0
