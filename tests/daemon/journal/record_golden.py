"""Records golden files: `python -m tests.daemon.journal.record_golden FOLDER`, as root on a fresh machine.

Five short runs of the real daemon against the simulated site. What an older version wrote is never recorded
again: it is there to be read for ever.
"""

import asyncio
import gzip
import json
import shutil
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import daemon.journal.writer
from core.decision import State
from core.roles import Role
from core.site import Metering, Site
from daemon.bundles.store import ModelStore
from daemon.calibration.file import load_calibration, save_calibration
from daemon.config.settings import load_settings
from daemon.journal.artifact_archive import ArtifactArchive
from daemon.journal.segments import COMPRESSED, lines_of, name_of, segments
from drivers.errors import Transient, Unconfirmed
from drivers.zigbee.radio import ZigbeeRadio
from tests.support.calibrations import record, site_fit
from tests.support.configuration import write_configuration
from tests.support.full_daemon import Whole, until, whole
from tests.support.toy_bundles import plain_model, recurrent_model, write_bundle

SITE = Path("/site")
"""Where every site lies while it is recorded: the journals name it."""
PERIOD_S = 0.1
SEGMENT_BYTES = 200_000
INSTALLED = '\n[policy]\nbundle = "installed"\n'
GENERATE = {'"absorb"': '"generate"', '"net"': '"per_phase"'}


@dataclass(frozen=True)
class Run:
    """One journal: what happens, and what the site is like. `changes` are made to the configuration."""

    act: Callable[[Whole], Awaitable[None]]
    changes: dict[str, str]
    more: str = INSTALLED
    role: Role = Role.ABSORB
    metering: Metering = Metering.NET
    with_policy: bool = True
    is_calibrated: bool = False

    def adapt(self, text: str, _far_end: object) -> str:
        """The configuration."""
        for old, new in self.changes.items():
            assert old in text, old
            text = text.replace(old, new)
        return text + self.more


def state(pair: Whole) -> State | None:
    figures = pair.service.figures
    return None if figures is None or figures.decision is None else figures.decision.verdict.state


async def reach(pair: Whole, wanted: State) -> None:
    await until(lambda: state(pair) is wanted, 60.0)


async def every_state(pair: Whole) -> None:
    """A missed sample, another policy, a refused frame, one of unknown fate, a lost meter."""
    await reach(pair, State.RL_ACTIVE)
    pair.far_end.meter.faults.drop = 2
    await reach(pair, State.HOLD)
    await reach(pair, State.RL_ACTIVE)
    ModelStore(SITE).activate("toy@2", Site((), period_s=PERIOD_S))
    await reach(pair, State.FALLBACK)
    await reach(pair, State.RL_ACTIVE)
    for error in (Transient("busy"), Unconfirmed("late")):
        await fail_one_frame(error)
        await asyncio.sleep(2.0)
    pair.far_end.meter.faults.mute = True
    await reach(pair, State.SAFE_STOP)
    await asyncio.sleep(1.0)
    pair.far_end.meter.faults.mute = False
    await reach(pair, State.RL_ACTIVE)


async def fail_one_frame(error: Exception) -> None:
    """The next frame is refused, or goes out and nobody says so."""
    send, failed = ZigbeeRadio.send, asyncio.Event()

    async def once(radio: ZigbeeRadio, frame: Any) -> None:
        if failed.is_set() or isinstance(error, Unconfirmed):
            await send(radio, frame)
        if not failed.is_set():
            failed.set()
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZigbeeRadio, "send", once)
        await failed.wait()


async def every_mode(pair: Whole) -> None:
    """From shadow over randomised blocks to production, by reloads."""
    await steady(pair)
    file = pair.folder / "site.toml"
    for old, new in (("shadow", "ab"), ("ab", "rollout"), ("rollout", "production")):
        file.write_text(file.read_text().replace(f'mode = "{old}"', f'mode = "{new}"'))
        await asyncio.sleep(5.0)
    await reach(pair, State.RL_ACTIVE)


async def steady(pair: Whole) -> None:
    await reach(pair, State.FALLBACK)
    await asyncio.sleep(8.0)


RUNS = {
    "production": Run(every_state, {}),
    "modes": Run(
        every_mode,
        GENERATE | {'"production"': '"shadow"\nrollout_percent = 50'},
        INSTALLED + '[fallback]\nlaw = "predictive"\n',
        Role.GENERATE,
        Metering.PER_PHASE,
    ),
    "fallback": Run(
        steady,
        {'"absorb"': '"generate"'},
        '\n[limits]\nimbalance_of = "grid"\n',
        with_policy=False,
    ),
    "calibrated": Run(
        steady, {}, INSTALLED + '\n[anomaly]\ncalibration = "anomaly.json"\n', is_calibrated=True
    ),
    "ab": Run(steady, {'"production"': '"ab"'}),
}


def prepare(run: Run) -> None:
    """A new site: toy@1 is active, and there is toy@2, which remembers."""
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir()
    if run.is_calibrated:
        made_up = SITE / "made up"
        made_up.mkdir()
        fitted = record(load_settings(write_configuration(made_up)), site_fit())
        save_calibration(fitted.model_copy(update={"period_s": PERIOD_S}), SITE / "anomaly.json")
        shutil.rmtree(made_up)
    if not run.with_policy:
        return
    site, store = Site((), role=run.role, metering=run.metering, period_s=PERIOD_S), ModelStore(SITE)
    facts = {"role": run.role.value, "metering": run.metering.value, "period_s": PERIOD_S}
    for number, graph in ((1, plain_model()), (2, recurrent_model())):
        bundle = write_bundle(SITE / "bundle", graph, number == 2, bundle_version=number, **facts)
        store.install(bundle, site)
        shutil.rmtree(bundle)
    store.activate("toy@1", site)


def collect(target: Path, name: str) -> None:
    """The journal, packed, and what else was kept; the artifacts of all runs in one folder."""
    folder, archive = target / name, ArtifactArchive(target)
    for file in segments(SITE / "journal"):
        packed = folder / (name_of(file) + COMPRESSED)
        packed.write_bytes(gzip.compress(b"".join(lines_of(file)), 9, mtime=0))
    for copy in ("standing.a", "standing.b"):
        (folder / f"{copy}.gz").write_bytes(gzip.compress((SITE / copy).read_bytes(), 9, mtime=0))
    shutil.copy(SITE / "totals.json", folder)
    for bundle in ModelStore(SITE).installed():
        shutil.copytree(bundle.directory, archive.bundle(bundle.sha256), dirs_exist_ok=True)
    if (SITE / "anomaly.json").exists():
        sha256 = load_calibration(SITE / "anomaly.json").sha256
        shutil.copy(SITE / "anomaly.json", archive.calibration(sha256))


def status_of(pair: Whole) -> bytes:
    """What its page is told."""
    lines = (line for file in segments(pair.folder / "journal") for line in lines_of(file))
    records = (json.loads(line.partition(b" ")[2]) for line in lines)
    address = next(r["detail"]["status"] for r in records if r.get("event") == "started")
    with urllib.request.urlopen(f"{address.rstrip('/')}/status.json") as answer:
        return bytes(answer.read())


async def main(target: Path) -> None:
    daemon.journal.writer.SEGMENT_BYTES = SEGMENT_BYTES
    for name, run in RUNS.items():
        prepare(run)
        async with whole(SITE, period_s=PERIOD_S, adapt=run.adapt) as pair:
            await run.act(pair)
            status = await asyncio.to_thread(status_of, pair)
            await pair.stop()
        (target / name).mkdir(parents=True)
        (target / name / "status.json").write_bytes(status)
        collect(target, name)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
