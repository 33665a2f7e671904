"""Every row of the fault table (meter, radio, policy), injected into the whole daemon; prints one table.

    python -m tests.faults                    20 trials of each row at random phases
    python -m tests.faults --rows M5 Z14      some rows
    python -m tests.faults --short            one trial each, without the rows that take long

In virtual time: real pymodbus, zigpy, bellows, ONNX Runtime and files, the daemon's own loop; see
docs/results/safety-campaigns.md. The exit status is 1 when a row misses its bound and the table does not say
why.
"""

import argparse
import sys

from tests.campaigns.table import heading
from tests.faults.report import table, unexplained
from tests.faults.whole_table import run


def main() -> int:
    """The long form."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--trials", type=int, help="of each row; 20, or 1 of the short form")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rows", nargs="*", default=[], metavar="ROW")
    options.add_argument("--short", action="store_true")
    given = options.parse_args()
    trials = given.trials or (1 if given.short else 20)
    done = run(given.rows, trials, given.seed, short=given.short)
    print(heading(given.seed) + f", {len(done)} trials")
    print(table(done))
    problems = unexplained(done)
    print(f"\n{len(problems)} rows miss a bound without an explanation")
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
