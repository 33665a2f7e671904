"""The long forms: random ticks and Hypothesis steps through the shipped floor, power cuts of the state file.

    python -m tests.safety.search.campaign --ticks 100000000 --compiled --jobs 2
    python -m tests.safety.search.campaign --ticks 0 --steps 1000000 --jobs 2

One line per kind with its rate. Ticks are lived in blocks of 20,000, of which each can be lived again alone
(`--block`); `--minutes` ends a run early, `--first-block` goes on from there. Any unsafe frame ends the run
with what the referee saw and the number of its block.

With `--compiled` the sources of `core` and `safety`, unchanged, are compiled with mypyc; the first blocks are
lived interpreted as well and must come out the same, frame by frame and to the last bit of memory.
"""

import argparse
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.safety.search import compiled
from tests.safety.search.blocks import SearchRun, add_options, chosen, done, tell
from tests.safety.search.lives import LivesTally, live

BLOCK = 20_000
"""Ticks of one block."""
EXAMPLES = 40
"""Hypothesis examples of one block."""


def live_block(seed: int, number: int) -> LivesTally:
    """The ticks of one block, the same for the same seed and number."""
    return live(BLOCK, f"{seed}/{number}")


def lived(ticks: int, run: SearchRun) -> LivesTally:
    """Live at least this many ticks, if there is time."""
    total = LivesTally()
    for tally in done(partial(live_block, run.seed), -(-ticks // BLOCK), run, "ticks"):
        total.add(tally)
    return total


def search_block(seed: int, number: int) -> tuple[int, int]:
    """(rules, ticks) of one block of Hypothesis examples."""
    from tests.safety.search.test_stateful import AnyHouse, live_any_house

    AnyHouse.lived_steps = AnyHouse.lived_ticks = 0
    live_any_house(EXAMPLES, seed=1_000_003 * seed + number)
    return AnyHouse.lived_steps, AnyHouse.lived_ticks


def searched(steps: int, run: SearchRun) -> tuple[int, int]:
    """(rules, ticks) of so many examples that they come to about this many steps, if there is time."""
    rules = ticks = 0
    for more, lived_ticks in done(
        partial(search_block, run.seed), -(-steps // (EXAMPLES * 50)), run, "steps", "--ticks 0 --steps 1"
    ):
        rules, ticks = rules + more, ticks + lived_ticks
    return rules, ticks


def tell_ticks(args: argparse.Namespace, run: SearchRun) -> None:
    """Live, and say what it came to."""
    started_s = time.monotonic()
    total = lived(args.ticks, run)
    rate = total.ticks / max(time.monotonic() - started_s, 1e-9)
    first, last = run.first, run.first + total.ticks // BLOCK - 1
    place = f"blocks {first} to {last}" if run.only is None else f"block {run.only}"
    tell(
        f"shipped floor: {total.ticks:,} ticks, {total.frames:,} frames, 0 unsafe; {compiled.how()}; "
        f"seed {run.seed}, {place}; {rate:,.0f} ticks/s with {run.jobs} processes; "
        f"fingerprint {total.fingerprint:08x}",
        args.summary,
    )
    tell("  states: " + ", ".join(f"{k} {n:,}" for k, n in total.states.most_common()), args.summary)
    tell("  events: " + ", ".join(f"{k} {n:,}" for k, n in total.events.most_common()), args.summary)


def tell_compiled(args: argparse.Namespace, run: SearchRun) -> None:
    """Hold the compiled sources against the interpreted ones, then live and search with the compiled ones.

    Raises:
        AssertionError: they did not live the same.
        NotCompiledError: nothing can be compiled here.
    """
    with compiled.sources() as folder:
        held = args.same_ticks
        alone = lived(held, SearchRun(run.seed, run.jobs, 0.0, run.first))
        with tempfile.NamedTemporaryFile("r") as said:
            compiled.live(
                "tests.safety.search.campaign",
                folder,
                run,
                ["--ticks", str(held), "--summary", said.name],
                subprocess.DEVNULL,
            )
            told = said.read()
        if f"fingerprint {alone.fingerprint:08x}" not in told or "compiled by" not in told:
            raise AssertionError(f"compiled sources live otherwise: {alone.fingerprint:08x}, {told}")
        tell(f"interpreted and compiled: {alone.ticks:,} ticks, the same to the last bit", args.summary)
        more = ["--ticks", str(args.ticks), "--steps", str(args.steps), "--minutes", str(run.minutes)]
        compiled.live(
            "tests.safety.search.campaign",
            folder,
            run,
            more + (["--summary", str(args.summary)] if args.summary else []),
        )


def tell_steps(args: argparse.Namespace, run: SearchRun) -> None:
    """Let Hypothesis search, and say what it came to."""
    started_s = time.monotonic()
    rules, ticks = searched(args.steps, run)
    rate = rules / (time.monotonic() - started_s)
    tell(
        f"Hypothesis: {rules:,} steps with {ticks:,} ticks, 0 unsafe; {compiled.how()}; seed {run.seed}; "
        f"{rate:,.0f} steps/s with {run.jobs} processes",
        args.summary,
    )


def tell_power_cuts(args: argparse.Namespace, run: SearchRun) -> None:
    """Cut the power, and say what it came to."""
    from tests.campaigns.power_cuts import campaign as power_cuts

    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        found = power_cuts(Path(directory), args.power_cuts, run.seed)
    assert not any(world.wrong for world in found.values()), found
    rate = args.power_cuts / (time.monotonic() - started_s)
    tell(
        f"power cuts: {args.power_cuts:,}, 0 records lost or torn; seed {run.seed}; {rate:,.0f}/s",
        args.summary,
    )


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--power-cuts", type=int, default=0)
    parser.add_argument("--compiled", action="store_true", help="compile core and safety first")
    parser.add_argument("--same-ticks", type=int, default=400_000, help="lived both compiled and interpreted")
    add_options(parser)
    args = parser.parse_args()
    run = chosen(args)
    is_told = False
    if args.compiled:
        try:
            tell_compiled(args, run)
            is_told = True
        except compiled.NotCompiledError as error:
            tell(f"not compiled, so interpreted: {error}", args.summary)
    if args.ticks and not is_told:
        tell_ticks(args, run)
    if args.steps and not is_told:
        tell_steps(args, run)
    if args.power_cuts:
        tell_power_cuts(args, run)


if __name__ == "__main__":
    main()
