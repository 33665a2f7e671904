"""Terminal view: one screen, updated once a second, and plain lines where there is no terminal."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from daemon.monitoring import messages
from daemon.monitoring.figures import Figures
from daemon.monitoring.nonblocking_tty import Screen
from daemon.monitoring.status import status

LINE_EVERY_S = 10.0
BAR_CELLS = 10
"""Cells on each side of the zero of a phase's bar."""
NAME_CELLS = 14
FIXED_ROWS = 22
"""Rows of the view beside slaves and events, with the empty lines between its parts."""
MIDDLE_CELLS = 2 * BAR_CELLS + 1
TRACE_TICKS = 60
"""Readings that the lines of export show."""
TONES = {"good": "green", "quiet": "cyan", "watch": "yellow", "bad": "red"}
EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = " ▁▂▃▄▅▆▇█"


class TerminalView:
    """Shows the figures on a terminal; where `stream` is none, one line every ten seconds.

    Args:
        figures: what to show.
        address: of the status page, shown at the bottom.
        stream: where to show it.
        tell: takes the lines when the stream is no terminal; by default they are printed to it.
    """

    def __init__(
        self,
        figures: Figures,
        *,
        address: str = "",
        stream: TextIO | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._figures, self._address = figures, address
        self._stream = stream or sys.stdout
        self._tell = tell or self._print
        self._shown_at_s = float("-inf")
        self._screen: Screen | None = None
        self._live: Live | None = None

    def __enter__(self) -> "TerminalView":
        if self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            self._screen = Screen(self._stream.fileno())
            console = Console(file=self._screen, force_terminal=True)  # type: ignore[arg-type]
            self._live = Live(
                console=console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is None or self._screen is None:
            return
        self._live.stop()
        self._screen.close()
        self._live = None
        if self._figures.snapshot is not None:  # the last picture stays in the scroll-back
            console = Console(file=self._stream)
            console.print(picture(self._figures, self._address, self._now_s(), console.width))

    def update(self) -> None:
        """Show the newest figures, if it is time. Never waits for the terminal."""
        if self._figures.snapshot is None:
            return
        now_s = self._now_s()
        if self._live is not None:
            width, height = self._live.console.size
            drawn = picture(self._figures, self._address, now_s, width, height)
            self._live.update(drawn, refresh=True)
        elif now_s - self._shown_at_s >= LINE_EVERY_S - 0.5 * self._figures.site.period_s:
            self._shown_at_s = now_s
            self._tell(line(self._figures))

    def _now_s(self) -> float:
        return 0.0 if self._figures.snapshot is None else self._figures.snapshot.at_s

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def line(figures: Figures) -> str:
    """The site in one line."""
    clock = figures.local.strftime("%H:%M:%S  ") if figures.local else ""
    today = figures.ledger.today
    energy = f"exported {_wh(today.exported_j / 3600.0)}"
    if today.compared_s > 0.0:
        energy += f", without Sunkeep {_wh(today.exported_without_j / 3600.0)}"
    return f"{clock}{messages.headline(figures).text} | {messages.who(figures)} | {energy}"


def picture(
    figures: Figures, address: str, at_s: float, width: int = 100, height: int = 99
) -> RenderableType:
    """The whole view, for a terminal of `width` cells; a low one gets fewer events and no empty lines.

    Rows are set by hand: rich's tables take several times as long, and this runs in the loop.
    """
    seen = status(figures, at_s, since_s=at_s - TRACE_TICKS * figures.site.period_s)
    cells = max(14, min(22, (width - NAME_CELLS - MIDDLE_CELLS - 2) // 3))
    body = Text(no_wrap=True, overflow="crop")
    spare = height - FIXED_ROWS - len(seen["slaves"])
    seen["events"] = seen["events"][-max(0, min(4, spare)) :] if spare > 0 else []
    for part in (_phases, _slaves, _energy, _events):
        part(seen, _TerminalRows(body, cells))
        body.append("\n" if spare > 0 else "")
    _foot(seen, address, body)
    return Group(_head(seen, width), _said(seen), body)


@dataclass(frozen=True, slots=True)
class _TerminalRows:
    """Appends rows of a name, a picture of fixed width and up to three columns at the right."""

    body: Text
    cells: int

    def add(self, name: str, middle: Text | str, *columns: Text | str, style: str = "") -> None:
        self.body.append(" " + name[:NAME_CELLS].ljust(NAME_CELLS) + " ", style)
        self.body.append(middle) if isinstance(middle, Text) else self.body.append(middle, style)
        for column in columns:
            self.body.append(" " * (self.cells - len(column)))
            self.body.append(column) if isinstance(column, Text) else self.body.append(column, style)
        self.body.append("\n")


def _head(seen: dict[str, Any], width: int) -> RenderableType:
    site = seen["site"]
    head = Text.assemble((" Sunkeep ", "bold black on green"), " ", (site["name"], "bold"), no_wrap=True)
    right = f"{site['mode']} · {seen['acting']['state']}  {_clock(seen['local'])}"
    room = width - head.cell_len - len(right)
    head.append(f"  {site['remark']}"[: max(0, room - 2)].ljust(max(0, room)), "dim").append(right)
    return head


def _said(seen: dict[str, Any]) -> RenderableType:
    tone = TONES[seen["headline"]["tone"]]
    said = seen["acting"]
    acting = Text.assemble((said["who"], "bold"), " ", said["why"], no_wrap=True, overflow="ellipsis")
    headline = Text(seen["headline"]["text"], f"bold {tone}", no_wrap=True, overflow="ellipsis")
    return Panel(Group(headline, acting), border_style=tone, box=box.ROUNDED)


def _phases(seen: dict[str, Any], rows: _TerminalRows) -> None:
    side = BAR_CELLS
    axis = f"{'export ◂':>{side}}│{'▸ import':<{side}}"
    rows.add("Phase", axis, "at the meter", "without", "placed", style="dim")
    total = seen["total"] | {"name": "Sum"}
    phases = [*seen["phases"], total]
    scale_w = max([1000.0, *(abs(p["grid_w"]) for p in phases if p["grid_w"] is not None)])
    for p in phases:
        bold = "bold" if p is total else ""
        power, without = _flow(p["grid_w"], bold), _flow(p["without_w"], "dim")
        rows.add(p["name"].capitalize(), _bar(p["grid_w"], scale_w), power, without, _w(p["placed_w"]))


def _slaves(seen: dict[str, Any], rows: _TerminalRows) -> None:
    verb = "feeds" if seen["site"]["role"] == "generate" else "draws"
    rows.add("Slave", " " * MIDDLE_CELLS, "setpoint", verb, "heard", style="dim")
    for slave in seen["slaves"]:
        share = (slave["power_w"] or 0.0) / max(1, slave["max_w"])
        filled = Text.assemble(f"{slave['phase'].upper()}  ", (_fill(share, MIDDLE_CELLS - 3), "cyan"))
        told = Text(_w(slave["setpoint_w"])) if slave["is_heard"] else Text("offline", "yellow")
        heard = "never" if slave["report_age_s"] is None else f"{slave['report_age_s']:.0f} s ago"
        if slave["is_heard"] and slave["deviation"]:
            heard = slave["deviation"].replace("_", " ")
        rows.add(slave["name"], filled, told, _w(slave["power_w"]), heard)


def _energy(seen: dict[str, Any], rows: _TerminalRows) -> None:
    today = seen["energy"]["today"]
    exported_w = [max(0.0, -point[1]) for point in seen["points"]]
    would_w = [max(0.0, -(point[2] or 0.0)) for point in seen["points"]]
    scale_w = max([500.0, *exported_w, *would_w])
    rows.add(
        "Export", f"last {TRACE_TICKS} readings".ljust(MIDDLE_CELLS), "today", "kept at home", style="dim"
    )
    would_wh = today["without_exported_wh"]
    share = None if not would_wh or would_wh < 10.0 else 100.0 * (1.0 - today["exported_wh"] / would_wh)
    kept = Text("–" if share is None else f"{share:.1f} %", "bold green")
    exported = Text(_wh(today["exported_wh"]), "bold")
    rows.add("with Sunkeep", Text(_trace(exported_w, scale_w), "yellow"), exported, kept)
    would = Text("–" if would_wh is None else _wh(would_wh), "bold")
    rows.add("without", Text(_trace(would_w, scale_w), "dim yellow"), would)


def _events(seen: dict[str, Any], rows: _TerminalRows) -> None:
    for event in seen["events"]:
        rows.body.append(f" {_clock(event['local'])}  {event['text']}\n", "dim")


def _foot(seen: dict[str, Any], address: str, body: Text) -> None:
    details = seen["details"]
    age_s, rate = details["meter_age_s"], details["ack_rate"]
    refused = seen["site"]["policy_problem"]
    facts = [
        "meter " + ("unknown" if age_s is None else f"{age_s:.1f} s old"),
        "radio up" if details["radio_up"] else "radio down",
        "reports " + ("–" if rate is None else f"{100 * rate:.0f} %"),
        f"frames {sum(details['frames'].values())}",
        f"policy {seen['site']['policy'] or 'none'}" + (" (another was refused)" if refused else ""),
    ]
    body.append(" " + " · ".join(facts) + "\n")
    if seen["site"]["configuration_problem"]:
        body.append(f" configuration refused: {seen['site']['configuration_problem']}\n", "bold red")
    if seen["site"]["recording_problem"]:
        body.append(f" nothing can be recorded: {seen['site']['recording_problem']}\n", "bold red")
    body.append(" " + " · ".join([*([address] if address else []), "Ctrl-C stops"]), "dim")


def _bar(watts: float | None, scale_w: float) -> Text:
    """A bar from the middle: export to the left, import to the right."""
    share = 0.0 if watts is None else min(1.0, abs(watts) / scale_w)
    full = round(share * BAR_CELLS)
    if watts is not None and watts < 0.0:
        return Text.assemble(" " * (BAR_CELLS - full), ("█" * full, "yellow"), "│", " " * BAR_CELLS)
    return Text.assemble(" " * BAR_CELLS, "│", ("█" * full, "blue"), " " * (BAR_CELLS - full))


def _trace(values_w: list[float], scale_w: float) -> str:
    """A line of heights over time, the newest at the right, a peak never lost."""
    step = max(1, -(-len(values_w) // MIDDLE_CELLS))
    first = len(values_w) % step
    slices = [values_w[:first]] * bool(first) + [
        values_w[at : at + step] for at in range(first, len(values_w), step)
    ]
    return "".join(HEIGHTS[round(8 * max(part) / scale_w)] for part in slices).rjust(MIDDLE_CELLS)


def _fill(share: float, cells: int) -> str:
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells, "·")


def _flow(watts: float | None, style: str = "") -> Text:
    if watts is None:
        return Text("–", "dim")
    word = "export" if watts < -messages.EVEN_W else "import" if watts > messages.EVEN_W else "      "
    return Text(f"{_w(watts)} {word}", style)


def _w(watts: float | None) -> str:
    return "–" if watts is None else messages.power(watts)


def _wh(energy_wh: float) -> str:
    return f"{energy_wh:.0f} Wh" if energy_wh < 9999.5 else f"{energy_wh / 1000.0:.2f} kWh"


def _clock(local: str | None) -> str:
    return local[11:19] if local else ""
