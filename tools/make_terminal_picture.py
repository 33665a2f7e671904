"""Turn the live view of a terminal into a picture.

tmux capture-pane -e -p -t SESSION | python tools/make_terminal_picture.py docs/images/terminal.svg
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 120


def main() -> None:
    """Read a screen with its colours from standard input, write an SVG."""
    lines = sys.stdin.read().rstrip().splitlines()
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), crop=True, no_wrap=True)
    svg = console.export_svg(title="sunkeep run", font_aspect_ratio=0.61)
    # no fonts from elsewhere: a picture must not call home
    svg = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->", "", svg, flags=re.DOTALL)
    Path(sys.argv[1]).write_text(svg.replace("Fira Code", "DejaVu Sans Mono"))


if __name__ == "__main__":
    main()
