"""Hooks of the documentation site (`mkdocs.yml`): pages from outside of `docs/`, and links to source files.

Pages stand where a reader of the repository looks for them, with links that work there. On the site a link to
another page leads to that page and shows its title, and a link to a file that is no page becomes its text.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "firmware/README.md": "firmware.md",
}
"""Place in the repository, and on the site."""
PLACES = {place: name for name, place in ROOT_PAGES.items()}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
FENCE = re.compile(r"^(\s*)(```|~~~)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand outside of `docs/`."""
    for name, place in ROOT_PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turn links of the repository into links of the site."""
    place = page.file.src_uri
    source = PurePosixPath(PLACES.get(place, f"docs/{place}"))
    known = {file.src_uri for file in files}
    return "\n".join(_outside_of_code(markdown, lambda line: LINK.sub(_on_site(source, place, known), line)))


def _outside_of_code(markdown: str, change: Any) -> list[str]:
    """Lines of the page, those in fenced code as they are."""
    lines, fence = [], ""
    for line in markdown.split("\n"):
        if found := FENCE.match(line):
            fence = "" if fence == found[2] else fence or found[2]
        lines.append(line if fence else change(line))
    return lines


def _title(place: str) -> str:
    """What a page calls itself, for links that show the name of its file."""
    first = (ROOT / PLACES.get(place, f"docs/{place}")).read_text().partition("\n")[0]
    return first.removeprefix("# ")


def _on_site(source: PurePosixPath, place: str, known: set[str]) -> Any:
    """What replaces a link of the page at `source` in the repository and at `place` on the site."""

    def replace(link: re.Match[str]) -> str:
        target, _, anchor = link["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        in_repository = os.path.normpath(source.parent / target)
        there = ROOT_PAGES.get(in_repository, in_repository.removeprefix("docs/"))
        if there in known:
            path = os.path.relpath(there, PurePosixPath(place).parent)
            text = _title(there) if link["text"].endswith(".md") else link["text"]
            return f"{link['image']}[{text}]({path}{'#' + anchor if anchor else ''})"
        is_file = (ROOT / in_repository).exists() and not link["image"]
        return link["text"] if is_file else link[0]  # what does not exist is for the strict build to find

    return replace
