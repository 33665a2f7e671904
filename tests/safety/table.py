"""The table of causes in `docs/safety.md`; ``python -m tests.safety.table`` writes it from the code."""

from pathlib import Path

from safety.causes import CAUSES, SEVERITY, Cause, Clears

DOCUMENT = Path(__file__).parents[2] / "docs" / "safety.md"
START, END = "<!-- causes: written by python -m tests.safety.table -->\n", "<!-- end -->"


def table() -> str:
    """Causes by severity, the worst first."""
    rows = ["| cause | leads to | clears |", "|---|---|---|"]
    order = sorted(CAUSES.items(), key=lambda item: -SEVERITY.index(item[1].state))
    rows += [f"| `{name}` | {cause.state.name} | {clears(cause)} |" for name, cause in order]
    return "\n".join(rows) + "\n"


def clears(cause: Cause) -> str:
    """When, in words."""
    text = str(cause.clears.value)
    return f"{text}, {cause.least_s / 3600.0:.0f} h" if cause.clears is Clears.TIME else text


def main() -> None:
    """Write the table into the document."""
    text = DOCUMENT.read_text()
    before, rest = text.split(START)
    DOCUMENT.write_text(before + START + table() + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
