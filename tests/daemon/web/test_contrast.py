"""Colours of every page that owners see, light and dark: contrast as WCAG 2.2 asks at level AA."""

import re
from pathlib import Path

import pytest

from daemon.lan.login_page import login_page

ROOT = Path(__file__).resolve().parents[3]
STYLES = {
    "status page": (ROOT / "daemon/page/index.html").read_text(),
    "report": (ROOT / "daemon/report/page.css").read_text(),
    "login": login_page(),
}
TEXT, PICTURE = 4.5, 3.0
"""Of text, and of lines and bars that carry meaning (1.4.3, 1.4.11)."""
ON_CARD = ("text", "muted", "bad", "watch")
WRITTEN = {(name, "card") for name in ON_CARD} | {("text", "ground"), ("muted", "ground"), ("text", "well")}
WRITTEN |= {("bad", "bad-ground"), ("card", "placed"), ("card", "main")}
SHAPES = [
    "import",
    "export",
    "placed",
    "good",
    "quiet",
    "used",
    "exported",
    "imported",
    "other",
    "held",
    "stop",
    "init",
    "main",
]
DRAWN = {(name, "card") for name in SHAPES}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255.0 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def schemes(style: str) -> dict[str, dict[str, str]]:
    """Colours by name, for light and dark; what dark does not name is that of light."""
    found = [
        dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{3,6})\b", block))
        for block in re.findall(r":root\s*\{(.*?)\}", style, re.S)[:2]
    ]
    return {"light": found[0], "dark": found[0] | found[1]}


def test_the_measure_is_right() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("page", STYLES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read(page: str, scheme: str) -> None:
    colours = schemes(STYLES[page])[scheme]
    asked = [(pair, TEXT) for pair in WRITTEN] + [(pair, PICTURE) for pair in DRAWN]
    seen = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair, least in asked
        if set(pair) <= set(colours) and contrast(colours[pair[0]], colours[pair[1]]) < least
    }
    assert seen == {}
