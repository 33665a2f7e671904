"""Pictures of the report as SVG: bars over days or months, shares of a whole, intervals around zero.

Every function returns whole markup; colours and fonts are those of the page around it (`page.css`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 960, 300
"""Units of the view box; the page scales it."""
LEFT, RIGHT, TOP, BOTTOM = 108, 8, 14, 34
LABEL_WIDTH = 74
"""Room that one label below the axis needs."""
TICKS_WISHED = 5
NARROW = 480
"""View box of what must be read on a phone without moving it."""
ROW_HEIGHT, EDGE = 58, 34
SHARES_HEIGHT = 17


@dataclass(frozen=True, slots=True)
class Bar:
    """One place on the axis: its short label, what is read out, and its values by class, from zero upwards.

    `below` hangs from zero downwards.
    """

    label: str
    title: str
    above: Sequence[tuple[str, float]]
    below: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class DrawnInterval:
    """A difference with its bounds, in the unit of the axis."""

    name: str
    value: float
    low: float
    high: float
    title: str


def bars(name: str, unit: str, rows: Sequence[Bar]) -> str:
    """Stacked bars. `name` is what a reader of the screen says first."""
    high = max((sum(max(0.0, value) for _, value in row.above) for row in rows), default=0.0)
    low = -max((sum(max(0.0, value) for _, value in row.below) for row in rows), default=0.0)
    low = min(low, min((value for row in rows for _, value in row.above), default=0.0))
    step = _step((high - low) / TICKS_WISHED)
    top, bottom = max(step, ceil(high / step) * step), floor(low / step) * step
    inner = HEIGHT - TOP - BOTTOM

    def y(value: float) -> float:
        return TOP + (top - value) / (top - bottom) * inner

    parts = []
    for number in range(round(bottom / step), round(top / step) + 1):
        value = number * step
        kind = "zero" if number == 0 else "grid"
        shown = abs(value) if any(row.below for row in rows) else value
        told = "0" if number == 0 else f"{shown:,.10g} {unit}"
        parts.append(_line(kind, LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(_text(LEFT - 8, y(value) + 4, told, "end"))
    each = (WIDTH - LEFT - RIGHT) / max(1, len(rows))
    wide, every = min(48.0, 0.72 * each), max(1, ceil(LABEL_WIDTH / each))
    for at, row in enumerate(rows):
        left = LEFT + each * at + (each - wide) / 2
        parts.append(f"<g><title>{escape(row.title)}</title>")
        parts.append(_rect("touch", LEFT + each * at, TOP, each, inner))
        parts += _stack(row.above, left, wide, y, 1.0) + _stack(row.below, left, wide, y, -1.0)
        if at % every == 0:
            parts.append(_text(left + wide / 2, HEIGHT - 12, row.label, "middle"))
        parts.append("</g>")
    return _svg(name, HEIGHT, parts)


def shares(name: str, parts_of: Sequence[tuple[str, float, str]]) -> str:
    """One bar of shares of a whole: class, size, what is read out."""
    whole = sum(size for _, size, _ in parts_of)
    parts, at = [], 0.0
    for kind, size, title in parts_of:
        wide = NARROW * size / whole if whole > 0.0 else 0.0
        parts.append(f"<g><title>{escape(title)}</title>{_rect(kind, at, 0.0, wide, SHARES_HEIGHT)}</g>")
        at += wide
    return _svg(name, SHARES_HEIGHT, parts, NARROW)


def intervals(name: str, rows: Sequence[DrawnInterval]) -> str:
    """Points with their bounds around a line at zero."""
    most = max((max(abs(row.low), abs(row.high)) for row in rows), default=0.0)
    step = _step(2.0 * most / TICKS_WISHED)
    edge = max(step, ceil(most / step) * step)
    height = ROW_HEIGHT * len(rows) + BOTTOM

    def x(value: float) -> float:
        return EDGE + (value + edge) / (2.0 * edge) * (NARROW - 2 * EDGE)

    parts = []
    for number in range(-round(edge / step), round(edge / step) + 1):
        value = number * step
        parts.append(_line("grid" if number else "zero", x(value), 0.0, x(value), height - BOTTOM))
        parts.append(_text(x(value), height - 12, f"{value:+,.10g}" if number else "0", "middle"))
    for at, row in enumerate(rows):
        middle = ROW_HEIGHT * (at + 0.68)
        bounds = _line("bounds", x(row.low), middle, x(row.high), middle)
        point = f'<circle class="point" cx="{x(row.value):.1f}" cy="{middle}" r="7"/>'
        name_of = f'<text class="row" x="0" y="{middle - 18:.1f}">{escape(row.name)}</text>'
        parts.append(f"<g><title>{escape(row.title)}</title>{name_of}{bounds}{point}</g>")
    return _svg(name, height, parts, NARROW)


def _stack(
    values: Sequence[tuple[str, float]], left: float, wide: float, y: Callable[[float], float], sign: float
) -> list[str]:
    parts, reached = [], 0.0
    for kind, value in values:
        if value == 0.0:
            continue
        ends = sorted((y(reached), y(reached + sign * value)))
        reached += sign * value
        parts.append(_rect(kind, left, ends[0], wide, max(0.5, ends[1] - ends[0])))
    return parts


def _step(wished: float) -> float:
    """The round number at or above: 1, 2 or 5 of a power of ten."""
    if not wished > 0.0:
        return 1.0
    power = 10.0 ** floor(log10(wished))
    return next(n * power for n in (1.0, 2.0, 5.0, 10.0) if n * power >= wished * (1.0 - 1e-9))


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, told: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}</text>'


def _svg(name: str, height: float, parts: Sequence[str], width: float = WIDTH) -> str:
    kind = "wide" if width == WIDTH else "narrow"
    box = f'class="{kind}" viewBox="0 0 {width} {height:g}"'
    return (
        f'<div class="picture"><svg {box} role="img" aria-label="{escape(name)}">{"".join(parts)}</svg></div>'
    )
