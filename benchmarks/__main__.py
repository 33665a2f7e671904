"""All benchmarks: ``python -m benchmarks``. ``python -m benchmarks.inference --help`` for one alone."""

import click

from benchmarks import inference, life


@click.command(help=__doc__)
def main() -> None:
    """One after the other."""
    inference.main([], standalone_mode=False)
    life.main([], standalone_mode=False)


main()
