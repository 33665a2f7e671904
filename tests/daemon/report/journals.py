"""Journals of simulated days: what a daemon would have written had it lived them.

Run it to make a folder by hand: ``python -m tests.daemon.report.journals DIR --days 7 [--mode ab]``.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.modes import Mode, ModePlan, WallClock, assign
from core.parts import initial_memory
from core.tick import decide
from daemon.commissioning.embedded_site import write_site
from daemon.config.settings import load_settings
from daemon.journal.format import VERSION, to_line
from daemon.journal.records import AnyRecord, Continuation, Segment, Start, Tick
from daemon.journal.segments import compress
from daemon.runtime.assembly import assemble_from
from daemon.simulation.score import Score
from daemon.simulation.simulate import Scenario, SimulatedIO, default_site
from plant.site.trace import DAY_S, load_trace
from safety.timers import PersistentFaults, to_record

SEED = b"blocks of a test"
FIRST_DAY_UNIX_S = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
SEGMENT_TICKS = 24_000


def start_of(config: Path, unix_s: float, run: str = "1") -> Start:
    """The start of a run under a configuration."""
    return Start(
        version="0",
        unix_s=unix_s,
        run=run,
        settings_path=str(config),
        settings_toml=config.read_text(),
        bundle_sha256="",
        standing=to_record(PersistentFaults()),
    )


def configure(folder: Path, mode: Mode = Mode.PRODUCTION) -> Path:
    """The configuration of the site that is simulated by default."""
    folder.mkdir(parents=True, exist_ok=True)
    config = write_site(folder, default_site().slaves, 1502, "socket://127.0.0.1:6638")
    config.write_text(config.read_text().replace('mode = "production"', f'mode = "{mode.value}"'))
    return config


def lived(
    config: Path,
    plan: ModePlan,
    days: int = 1,
    start_s: int = 0,
    end_s: int = DAY_S,
    score: Score | None = None,
) -> Iterator[AnyRecord]:
    """A start and the ticks of days of the embedded trace, one after the other, each with its seed."""
    settings = load_settings(config, key=False)
    parts = assemble_from(settings).parts
    memory = initial_memory(parts)
    yield start_of(config, FIRST_DAY_UNIX_S + start_s)
    number = 0
    for day in range(days):
        scenario = Scenario(load_trace(), parts.site, start_s=start_s, end_s=end_s, seed=day, settle_s=0)
        far_end = scenario.far_end()
        wires = SimulatedIO(scenario, far_end)
        for second in range(start_s, end_s):
            unix_s = FIRST_DAY_UNIX_S + day * DAY_S + second
            seen = wires.snapshot()
            seen = replace(seen, tick=number, at_s=seen.at_s + day * DAY_S, hour=second // 3600)
            given = assign(plan, WallClock(unix_s, day % 7, second // 60))
            decision, memory = decide(seen, given.authority, memory, parts)
            sent = wires.transmit(decision)
            far_end.step()
            if score is not None:
                score.step(far_end.grid_w, far_end.slaves_w, wires.on_air.action_w)
            number += 1
            yield Tick(
                unix_s=unix_s,
                mode=plan.mode,
                snapshot=seen,
                authority=given.authority,
                propensity=given.propensity,
                block=given.block,
                confounded=given.confounded,
                decision=decision,
                frames_hex=("13",) if sent else (),
                accepted=True if sent else None,
            )


def write(
    directory: Path, records: Iterator[AnyRecord], run: str = "20260601T000000Z-1", ticks: int = SEGMENT_TICKS
) -> list[Path]:
    """Segments as `daemon.journal.writer` leaves them: full ones compressed. Returns them in order."""
    directory.mkdir(parents=True, exist_ok=True)
    first = to_line(Segment(version=VERSION))
    heading, waiting, number, count = b"", bytearray(first), 0, 0
    for record in records:
        if isinstance(record, Start):
            heading = first + to_line(Continuation.of(record))
        waiting += to_line(record)
        count += isinstance(record, Tick)
        if count == ticks:
            file = directory / f"{run}-{number:04d}.journal"
            file.write_bytes(waiting)
            compress(file)
            waiting, number, count = bytearray(heading), number + 1, 0
    if count:
        (directory / f"{run}-{number:04d}.journal").write_bytes(waiting)
    return sorted(directory.glob(f"{run}-*"))


def main() -> None:
    """Write a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--mode", type=Mode, default=Mode.PRODUCTION)
    parser.add_argument("--percent", type=float, default=25.0)
    arguments = parser.parse_args()
    plan = ModePlan(arguments.mode, arguments.percent, site_seed=SEED)
    config = configure(arguments.folder, arguments.mode)
    write(arguments.folder / "journal", lived(config, plan, arguments.days))


if __name__ == "__main__":
    main()
