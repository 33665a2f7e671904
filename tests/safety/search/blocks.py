"""Long runs in blocks: on several cores, within a time, each block again by its number alone."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class SearchRun:
    """How a campaign is to be run: processes, most minutes (0: until all is done), first block, seed."""

    seed: int = 1
    jobs: int = 1
    minutes: float = 0.0
    first: int = 0
    only: int | None = None

    def numbers(self, blocks: int) -> Iterable[int]:
        """The blocks of this run; none where none are asked for."""
        if blocks == 0:
            return ()
        return range(self.first, self.first + blocks) if self.only is None else (self.only,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a run in blocks."""
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no block after this time")
    parser.add_argument("--first-block", type=int, default=0, help="go on where another run ended")
    parser.add_argument("--block", type=int, help="run this block alone, again")
    parser.add_argument("--summary", type=Path, help="add the results to this file")


def chosen(args: argparse.Namespace) -> SearchRun:
    """The run that the options ask for."""
    return SearchRun(args.seed, args.jobs, args.minutes, args.first_block, args.block)


def tell(line: str, summary: Path | None) -> None:
    """Say a result, and keep it."""
    print(line, flush=True)
    if summary:
        summary.parent.mkdir(parents=True, exist_ok=True)
        with summary.open("a") as file:
            file.write(line + "\n")


def done(
    work: Callable[[int], ResultT], blocks: int, run: SearchRun, title: str, again: str = ""
) -> Iterator[ResultT]:
    """Work through blocks; gives the results in the order in which they come.

    Args:
        work: takes the number of a block; picklable when there are several jobs.
        blocks: how many.
        again: options that choose this kind of block when it has to be run again.

    Raises:
        Exception: what `work` raised first, with a note that says how to run this block again.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    console = Console(stderr=True)
    numbers = run.numbers(blocks)
    total = blocks if run.only is None else min(blocks, 1)
    again = f"{again} --seed {run.seed}".strip()
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(title, total=total)
        for result in (_alone if run.jobs == 1 else _together)(work, numbers, run, again):
            bar.advance(task)
            yield result


def _alone(
    work: Callable[[int], ResultT], numbers: Iterable[int], run: SearchRun, again: str
) -> Iterator[ResultT]:
    ends_s = _end_s(run)
    for number in numbers:
        if time.monotonic() >= ends_s:
            return
        try:
            yield work(number)
        except Exception as error:
            error.add_note(_note(number, again))
            raise


def _together(
    work: Callable[[int], ResultT], numbers: Iterable[int], run: SearchRun, again: str
) -> Iterator[ResultT]:
    ends_s, waiting = _end_s(run), iter(numbers)
    with ProcessPoolExecutor(run.jobs, mp_context=get_context("spawn")) as pool:
        running: dict[Future[ResultT], int] = {}
        while True:
            free = 2 * run.jobs - len(running) if time.monotonic() < ends_s else 0
            running |= {pool.submit(work, number): number for number in islice(waiting, free)}
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                number = running.pop(future)
                try:
                    yield future.result()
                except Exception as error:
                    error.add_note(_note(number, again))
                    pool.shutdown(cancel_futures=True)
                    raise


def _end_s(run: SearchRun) -> float:
    return time.monotonic() + 60.0 * run.minutes if run.minutes > 0.0 else float("inf")


def _note(number: int, again: str) -> str:
    module = getattr(sys.modules["__main__"], "__spec__", None)
    name = module.name if module else "..."
    return f"block {number}; again: python -m {name} {again} --block {number}"
