"""A part of a page that a program writes, between two marks; a test checks that it is current."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class MarkedSection:
    """One section. `script` is named in the mark, so that a reader knows what to run."""

    name: str
    script: str
    page: Path

    @property
    def start(self) -> str:
        """The mark before the section."""
        return f"<!-- {self.name}: written by python tools/{self.script} -->\n"

    @property
    def end(self) -> str:
        """The mark behind it."""
        return f"<!-- end of {self.name} -->\n"

    def replaced(self, page: str, text: str) -> str:
        """The page with `text` between the marks. Raises ValueError where a mark is missing."""
        before, found, rest = page.partition(self.start)
        _, closed, after = rest.partition(self.end)
        if not (found and closed):
            raise ValueError(f"the page needs the marks {self.start.strip()} and {self.end.strip()}")
        return f"{before}{self.start}\n{text.strip()}\n\n{self.end}{after}"

    def run(self, text: Callable[[], str], description: str) -> int:
        """The command line: write the section, or with `--check` say whether it is current (1 if not)."""
        parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--page", type=Path, default=self.page, help="the page that holds the section")
        parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is not current")
        arguments = parser.parse_args()
        page = arguments.page.read_text()
        current = self.replaced(page, text())
        if arguments.check and page != current:
            sys.stderr.write(f"{self.page.name} is not current: run python tools/{self.script}\n")
            return 1
        if not arguments.check:
            arguments.page.write_text(current)
        return 0
