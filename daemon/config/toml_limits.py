"""What a configuration file may not be, looked at before it is parsed: long, deep, or of too many parts.

`tomllib` needs time that grows with the square of a key's parts. 255 slaves take some 30 kB.
"""

import re

BYTES_MAX = 256_000
LINES_MAX = 10_000
LINE_CHARS_MAX = 4_000
DOTS_MAX = 32
"""Per line, outside of quotes: keys have up to 4 parts, and a number has one dot."""
_ASIDE = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|#.*""")

Excess = tuple[int, str, str]
"""Line, why, and what to do."""


def excess(text: str) -> Excess | None:
    """The first thing that is too much, or None. Takes time in proportion to the text."""
    lines = text.split("\n")
    if len(lines) > LINES_MAX:
        return LINES_MAX, f"has more than {LINES_MAX} lines", "Name a configuration file"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_CHARS_MAX:
            return (
                number,
                f"has a line of more than {LINE_CHARS_MAX} characters",
                "Write lists in several lines",
            )
        if line.count(".") > DOTS_MAX and _ASIDE.sub("", line).count(".") > DOTS_MAX:
            return number, f"has a line of more than {DOTS_MAX} dots", "Write shorter keys"
    return None
