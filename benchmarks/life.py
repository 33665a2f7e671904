"""What a running daemon costs: ``python -m benchmarks.life [--seconds N]``.

Starts `sunkeep plant` and `sunkeep run` as processes of their own, lets them live, and reads the journal and
``/proc``. Numbers depend on the machine and on what else it does; nothing is asserted.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from daemon.journal.records import Tick
from daemon.runtime.journal_completion import read_whole


@dataclass(frozen=True)
class ProcessFigures:
    """Figures of one run."""

    first_frame_s: float
    resident_mb: float
    cpu_percent: float
    stop_s: float
    ticks: int
    late_ticks: int


@contextmanager
def far_end(folder: Path) -> Iterator[Path]:
    """A simulated site; gives the configuration for a daemon."""
    command = [sys.executable, "-m", "daemon", "plant", "--meter-port", "0", "--radio-port", "0"]
    command += ["--status-port", "0", "--write-config", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in iter(process.stdout.readline, ""):
            if line.startswith("day"):
                break
        yield folder / "site.toml"
        process.terminate()


def live(config: Path, seconds: float) -> ProcessFigures:
    """Run a daemon for so long and stop it."""
    command = [sys.executable, "-m", "daemon", "run", "--plain", "--config", str(config)]
    started_unix_s = time.time()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        status = Path(f"/proc/{process.pid}/status").read_text()
        stat = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        process.send_signal(signal.SIGINT)
        asked_s = time.monotonic()
        process.wait()
        stop_s = time.monotonic() - asked_s
    ticks = [r for r in read_whole(config.parent / "journal") if isinstance(r, Tick)]
    first = next(tick for tick in ticks if tick.accepted)
    cpu_s = (int(stat[11]) + int(stat[12])) / 100.0
    return ProcessFigures(
        first_frame_s=first.unix_s - started_unix_s,
        resident_mb=int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6,
        cpu_percent=100.0 * cpu_s / seconds,
        stop_s=stop_s,
        ticks=len(ticks),
        late_ticks=sum("late_tick" in tick.snapshot.alarms for tick in ticks[1:]),
    )


@click.command()
@click.option("--seconds", type=click.FloatRange(5.0), default=60.0, show_default=True)
def main(seconds: float) -> None:
    """Print a table of what a daemon costs."""
    with TemporaryDirectory() as folder, far_end(Path(folder)) as config:
        life = live(config, seconds)
    table = Table("figure", "value", title=f"a daemon of {seconds:g} s", title_justify="left")
    table.add_row("start to first safe frame", f"{life.first_frame_s:.1f} s")
    table.add_row("resident memory", f"{life.resident_mb:.0f} MB")
    table.add_row("processor, start included", f"{life.cpu_percent:.1f} % of one core")
    table.add_row("Ctrl-C to exit", f"{life.stop_s:.1f} s")
    table.add_row("ticks, of them late", f"{life.ticks}, {life.late_ticks}")
    Console().print(table)


if __name__ == "__main__":
    main()
