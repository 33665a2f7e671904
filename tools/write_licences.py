"""Write the page of licences from what is installed.

    python tools/write_licences.py [--check]

Everything that the daemon's package holds, and the tools of tests, documentation and training beside it. A
licence is what the distribution's own metadata says.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata

from marked_section import ROOT, MarkedSection

sys.path.insert(0, str(ROOT / "packaging"))

from sbom import licence_of

SECTION = MarkedSection("licences", "write_licences.py", ROOT / "docs" / "develop" / "licences.md")
LOCKS = {
    "In the package": "requirements.lock",
    "To build it": "requirements-build.lock",
    "For tests, documentation and training": "requirements-dev.lock",
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(.*)$", re.MULTILINE)
_SOME_PYTHONS = "python_full_version"
"""In the marker of what is not installed everywhere; the page must not depend on the Python."""


def tables() -> str:
    """One table for each lock; a distribution stands where it comes first."""
    seen: set[str] = set()
    lines: list[str] = []
    for title, lock in LOCKS.items():
        pins = _PIN.findall((ROOT / lock).read_text())
        everywhere = lock == "requirements.lock"
        found = {name.lower() for name, rest in pins if everywhere or _SOME_PYTHONS not in rest}
        names = sorted(found - seen)
        seen |= set(names)
        lines += [f"### {title}", "", "| distribution | licence |", "|---|---|"]
        lines += [f"| {name} | {_licence(name)} |" for name in names]
        lines.append("")
    return "\n".join(lines)


def _licence(name: str) -> str:
    try:
        licence, _ = licence_of(metadata(name))
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed. Run make setup-dev.")
    return licence.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(SECTION.run(tables, __doc__ or ""))
