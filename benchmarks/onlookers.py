"""What onlookers cost the tick: ``python -m benchmarks.onlookers [--seconds N]``.

Starts `sunkeep plant` and `sunkeep run`, and reads the lateness of every tick from the metrics of one and the
same run: alone, with 64 clients that connect, ask and hang up, with 500 idle sockets, with 10,000 scrapes by
8 clients, and alone again. The clients are a process of their own. Numbers depend on the machine and on what
else it does; nothing is asserted.
"""

import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from benchmarks.life import far_end

REQUEST = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_BUCKET = re.compile(r'sunkeep_tick_lateness_seconds_bucket\{le="([^"]+)"\} (\S+)')
_STATUS = re.compile(r'"status": ?"http://127\.0\.0\.1:(\d+)/"')


def hang_up(port: int, over: threading.Event) -> None:
    """Connect, ask, read a little every second time, reset."""
    turn = 0
    while not over.is_set():
        turn += 1
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2.0) as client:
            client.sendall(REQUEST % b"/status.json")
            if turn % 2:
                client.recv(100)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def idle(port: int, over: threading.Event) -> None:
    """Connect and say nothing."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30.0):
        over.wait()


def scrape(port: int, over: threading.Event) -> None:
    """1,250 scrapes on one connection, as fast as they are answered."""
    with suppress(OSError, ValueError, IndexError), socket.create_connection(("127.0.0.1", port)) as client:
        stream = client.makefile("rb")
        for _ in range(1250):
            if over.is_set():
                return
            client.sendall(REQUEST % b"/metrics")
            length = 0
            while (line := stream.readline().lower()) not in (b"\r\n", b""):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)


LOADS: dict[str, tuple[Callable[[int, threading.Event], None], int]] = {
    "64 clients that hang up": (hang_up, 64),
    "500 idle sockets": (idle, 500),
    "10,000 scrapes": (scrape, 8),
}


@contextmanager
def onlookers(name: str, port: int) -> Iterator[None]:
    """These clients, in a process of their own."""
    if not name:
        yield
        return
    command = [sys.executable, "-c", f"from benchmarks.onlookers import crowd; crowd({name!r}, {port})"]
    with subprocess.Popen(command) as process:
        yield
        process.kill()


def crowd(name: str, port: int) -> None:
    """Run the clients of one load until the process is killed."""
    run, clients = LOADS[name]
    over = threading.Event()
    threads = [threading.Thread(target=run, args=(port, over), daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    over.wait()


def lateness(port: int) -> dict[float, float]:
    """Ticks so far by upper bound of their lateness, from the metrics; asked again until they answer."""
    for _ in range(60):
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer,
        ):
            return {float(le): float(count) for le, count in _BUCKET.findall(answer.read().decode())}
        time.sleep(0.2)
    raise click.ClickException("the daemon does not answer any more")


def late_quantile(before: dict[float, float], after: dict[float, float], q: float) -> float:
    """The least bound that a share `q` of the ticks in between kept."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = max(counts.values())
    return next(bound for bound, count in counts.items() if count >= q * total)


@click.command(help=__doc__)
@click.option("--seconds", default=60.0, show_default=True, help="Length of each part.")
def main(seconds: float) -> None:
    """Measure and print."""
    table = Table("", "ticks", "half under", "99.9 % under", "on time (1 ms)")
    with TemporaryDirectory() as folder, far_end(Path(folder)) as config:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "daemon", "run", "--plain", "--config", str(config)]
        with log.open("wb") as stream, subprocess.Popen(command, stderr=stream) as daemon:
            while (port := _STATUS.search(log.read_text())) is None:
                time.sleep(0.5)
            time.sleep(20.0)
            for name in ("", *LOADS, ""):
                measured = _measure(name, int(port[1]), seconds)
                table.add_row(name or "alone", *measured)
            daemon.terminate()
    Console().print(table)


def _measure(name: str, port: int, seconds: float) -> list[str]:
    before = lateness(port)
    with onlookers(name, port):
        time.sleep(seconds)
    after = lateness(port)
    ticks = max(after.values()) - max(before.values())
    on_time = after[0.001] - before[0.001]
    bounds = [f"{1000 * late_quantile(before, after, q):g} ms" for q in (0.5, 0.999)]
    return [f"{ticks:.0f}", *bounds, f"{on_time / ticks:.1%}"]


if __name__ == "__main__":
    main()
