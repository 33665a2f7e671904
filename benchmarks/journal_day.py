"""What a day of the journal costs: ``python -m benchmarks.journal_day [--seconds N] [--keep FOLDER]``.

Lives a simulated day under the policy that ships, with the noise that a real daemon sees (registers of an
SDM630, clocks in microseconds, reports every five seconds, a tenth of a per cent of frames refused), and
writes it with the daemon's own journal. Counts bytes written, those of the compression among them, pages and
syncs; then reads the day as `sunkeep report`, `sunkeep dataset` and `sunkeep replay` do.
"""

import asyncio
import os
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import daemon.journal.segments
from core.decision import Authority, Send
from core.modes import Mode
from core.parts import Memory, initial_memory
from core.snapshot import SlaveState, Snapshot
from core.tick import decide
from daemon.commands.engineering.replay import replay
from daemon.commissioning.embedded_site import write_site
from daemon.config.settings import load_settings
from daemon.journal.records import AnyRecord, Start, Tick
from daemon.journal.segments import segments, size_bytes
from daemon.journal.writer import SYNC_EVERY_S, Journal
from daemon.report.books import JournalAccounting
from daemon.report.reading import DateRange, read
from daemon.runtime.assembly import assemble_from
from daemon.runtime.journal_completion import read_whole
from daemon.simulation.simulate import Scenario, SimulatedIO, default_site
from models.bundle import builtin_bundle, read_manifest
from plant.meters.layouts import LAYOUTS, MeterState
from plant.site.trace import DAY_S, load_trace
from safety.timers import PersistentFaults, to_record

UP_S = 1_000_000.0
"""The machine has run for some days: instants have seven digits before the point."""
MIDNIGHT_UNIX_S = 1_780_272_000.0
PAGE_BYTES = 4096
REPORT_EVERY_S = 5.0


@dataclass
class Disk:
    """Counts what the journal's own calls bring to the disk."""

    written: int = 0
    pages: int = 0
    syncs: int = 0

    def watch(self) -> None:
        """Count from now on."""
        write, sync, full_sync, pack = os.write, os.fdatasync, os.fsync, daemon.journal.segments._pack

        def counted(descriptor: int, data: Any) -> int:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            done = write(descriptor, data)
            self.written += done
            self.pages += (end + done - 1) // PAGE_BYTES - end // PAGE_BYTES + 1
            return done

        def synced(descriptor: int) -> None:
            self.syncs += 1
            sync(descriptor)

        def packed(file: Path, target: Path) -> None:
            pack(file, target)
            self.written += target.stat().st_size
            self.pages += target.stat().st_size // PAGE_BYTES + 1

        os.write, os.fdatasync = counted, synced  # type: ignore[assignment]
        daemon.journal.segments._pack = packed
        del full_sync


class Noise:
    """What a real daemon sees around a simulated site."""

    def __init__(self, slaves: int) -> None:
        self._rng = random.Random(1)
        self._heard_s = [UP_S - self._rng.random() * REPORT_EVERY_S for _ in range(slaves)]
        self._power_w = [0.0] * slaves
        self._sent_at_s = float("-inf")
        self.words: tuple[int, ...] = ()

    def upon(self, seen: Snapshot, second: int) -> Snapshot:
        """The snapshot of a second."""
        rng = self._rng
        at_s = round(UP_S + second + rng.gauss(0.004, 0.0002), 6)
        for slot, heard_s in enumerate(self._heard_s):
            if at_s - heard_s >= REPORT_EVERY_S:
                self._heard_s[slot] = round(at_s - rng.random() * 0.9, 6)
                told = seen.on_air.setpoints_w[slot]
                self._power_w[slot] = float(round(told * (1.0 + rng.gauss(0.0, 0.01))))
        if seen.on_air.age_s == 1.0:
            self._sent_at_s = round(at_s - 1.0 + 0.015 + rng.random() * 0.004, 6)
        air = seen.on_air
        if air.age_s < 1e9:
            air = replace(air, age_s=at_s - self._sent_at_s)
        return replace(
            seen,
            at_s=at_s,
            grid_power_w=self._read(seen),
            meter_age_s=at_s - round(at_s - abs(rng.gauss(0.0025, 0.0004)), 6),
            slaves=tuple(
                SlaveState(True, w, at_s - heard_s)
                for w, heard_s in zip(self._power_w, self._heard_s, strict=True)
            ),
            on_air=air,
            link_loss_rate=0.0 if second % 400 else 0.01,
            policy_latency_s=round(abs(rng.gauss(0.00025, 0.00004)), 6),
            hour=second // 3600,
        )

    def _read(self, seen: Snapshot) -> tuple[float, float, float]:
        """The watts that an SDM630 tells, out of its registers."""
        voltages = [230.0 + self._rng.gauss(0.0, 0.8) for _ in range(3)]
        state = MeterState(seen.grid_power_w, (voltages[0], voltages[1], voltages[2]))
        table = LAYOUTS["sdm630"].words(state)
        self.words = tuple(table.get(at, 0) for at in range(36))
        a, b, c = struct.unpack(">fff", struct.pack(">6H", *self.words[12:18]))
        return (a, b, c)


def lived(config: Path, seconds: int) -> Iterator[tuple[AnyRecord, Memory | None]]:
    """The records of a day, ticks with the memory before them."""
    settings = load_settings(config, key=False)
    parts = assemble_from(settings).parts
    memory = initial_memory(parts)
    bundle = builtin_bundle()
    yield (
        Start(
            version="0",
            unix_s=MIDNIGHT_UNIX_S,
            run="1",
            settings_path=str(config),
            settings_toml=config.read_text(),
            bundle_sha256=read_manifest(bundle)[1],
            bundle_directory=str(bundle),
            standing=to_record(PersistentFaults()),
            watches=parts.watches.names,
        ),
        None,
    )
    scenario = Scenario(load_trace(), parts.site, end_s=seconds, settle_s=0)
    far_end = scenario.far_end()
    wires, noise, rng = SimulatedIO(scenario, far_end), Noise(len(parts.site.slaves)), random.Random(2)
    for second in range(seconds):
        seen = noise.upon(wires.snapshot(), second)
        before = memory
        decision, memory = decide(seen, Authority.POLICY, memory, parts)
        is_sent = wires.transmit(decision)
        far_end.step()
        frame = struct.pack(">BIB", 0x51, second, 15) + rng.randbytes(8)
        frame += b"".join(struct.pack("<h", w) for w in decision.setpoints_w)
        tick = Tick(
            unix_s=round(MIDNIGHT_UNIX_S + seen.at_s - UP_S + second * 2e-5, 3),
            mode=Mode.PRODUCTION,
            snapshot=seen,
            authority=Authority.POLICY,
            propensity=1.0,
            block=int((MIDNIGHT_UNIX_S + second) // 900),
            confounded=False,
            decision=decision,
            frames_hex=(frame.hex(),) if decision.send is not Send.NOTHING else (),
            accepted=True if is_sent else None,
            meter_raw=noise.words,
        )
        yield tick, before


async def write(config: Path, seconds: int) -> float:
    """Seconds of processor time that the lines took."""
    journal = Journal(config.parent / "journal", "20260601T000000Z-1", 10**10)
    spent_s = 0.0
    for number, (record, before) in enumerate(lived(config, seconds)):
        journal.put(record, before)
        is_transition = False
        if number % SYNC_EVERY_S == 0 or is_transition:
            began_s = time.process_time()
            journal._write()
            spent_s += time.process_time() - began_s
    await journal.close()
    return spent_s


def report(folder: Path, zone: Any, role: Any) -> int:
    """As `sunkeep report` reads."""
    books = JournalAccounting(zone, role, DateRange())
    for record in read(segments(folder), print):
        books.take(record)
    return books.total().ticks


def timed(name: str, work: Any) -> None:
    """Run one reader and say how long it took."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    result = work()
    told = f"{time.perf_counter() - began_s:7.1f} s, {time.process_time() - cpu_s:7.1f} s of processor time"
    print(f"{name:<34} {told}   {result}")


@click.command()
@click.option("--seconds", type=click.IntRange(60, DAY_S), default=DAY_S, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Leave the journal in this folder.")
@click.option("--read-only", is_flag=True, help="Read the journal that a run before has kept.")
def main(seconds: int, keep: Path | None, read_only: bool) -> None:
    """Write and read a day."""
    with TemporaryDirectory() as passing:
        folder = keep or Path(passing)
        folder.mkdir(exist_ok=True)
        config = write_site(folder, default_site().slaves, 1502, "socket://127.0.0.1:6638")
        config.write_text(config.read_text() + '\n[policy]\nbundle = "builtin"\n')
        journal = folder / "journal"
        if not read_only:
            disk = Disk()
            disk.watch()
            spent_s = asyncio.run(write(config, seconds))
            kept = size_bytes(segments(journal))
            day = DAY_S / seconds
            print(f"written {disk.written * day / 1e6:.1f} MB a day in {disk.syncs * day:.0f} syncs,")
            print(f"{disk.pages * PAGE_BYTES * day / 1e6:.1f} MB in whole pages of {PAGE_BYTES} bytes;")
            newest = segments(journal)[-1]
            daemon.journal.segments.compress(newest)
            kept = size_bytes(segments(journal))
            print(f"kept {kept * day / 1e6:.2f} MB a day once all is compressed;")
            print(f"lines took {spent_s / seconds * 1e6:.0f} us of processor time a tick, with compression")
        settings = load_settings(config, key=False)
        site = settings.core_site()
        timed("report", lambda: report(journal, settings.zone(), site.role))
        timed("dataset, retrain (whole decisions)", lambda: sum(1 for _ in read_whole(journal)))
        timed("replay (with the policy)", lambda: replay.main([str(journal)], standalone_mode=False))


if __name__ == "__main__":
    main()
