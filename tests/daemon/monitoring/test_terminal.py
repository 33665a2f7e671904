"""The terminal view on a recording console, on a real pseudo-terminal, and where there is no terminal."""

import io
import os
import pty
import select

import pytest
from rich.console import Console

from daemon.monitoring.figures import Figures
from daemon.monitoring.nonblocking_tty import Screen
from daemon.monitoring.terminal import TerminalView, line, picture
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed


@pytest.fixture
def figures() -> Figures:
    made = Figures(SITE, ABOUT, 1000.0)
    feed(made, FedHouse(), "sunny", 120)
    return made


def shown(figures: Figures, width: int) -> str:
    console = Console(file=io.StringIO(), record=True, width=width, height=40)
    console.print(picture(figures, "http://127.0.0.1:9108/", 1120.0, width))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_everything_is_in_the_picture_and_nothing_wraps(figures: Figures, width: int) -> None:
    text = shown(figures, width)
    for part in (
        "Home",
        "production · rl_active",
        "The learned policy",
        "export ◂│▸ import",
        "without",
        "boiler",
    ):
        assert part in text
    for slave in SITE.slaves:
        assert slave.name in text
    assert text.count(" export ") + text.count(" import ") >= 4
    assert "kept at home" in text
    assert "Ctrl-C stops" in text
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) < 30


@pytest.mark.parametrize("scene", ["partly", "fallback", "night", "stopped"])
def test_every_scene_can_be_drawn(scene: str) -> None:
    figures = Figures(SITE, ABOUT, 1000.0)
    feed(figures, FedHouse(), scene, 5)
    text = shown(figures, 100)
    expected = {
        "partly": "offline",
        "fallback": "PI controller",
        "night": "No solar surplus",
        "stopped": "rest",
    }
    assert expected[scene] in text


def everything(descriptor: int) -> str:
    """All that waits to be read from the far side of a pseudo-terminal."""
    taken = b""
    while select.select([descriptor], [], [], 0.2)[0]:
        taken += os.read(descriptor, 65536)
    return taken.decode()


def test_without_a_terminal_a_line_every_ten_seconds() -> None:
    figures, told = Figures(SITE, ABOUT, 1000.0), list[str]()
    house = FedHouse()
    with TerminalView(figures, stream=io.StringIO(), tell=told.append) as view:
        view.update()
        assert told == []
        for _ in range(25):
            feed(figures, house, "sunny", 1)
            view.update()
    assert len(told) == 3
    assert told[-1] != line(figures)
    assert "exported" in told[0]


def test_lines_go_to_the_stream_by_default(figures: Figures) -> None:
    stream = io.StringIO()
    with TerminalView(figures, stream=stream) as view:
        view.update()
    assert stream.getvalue() == line(figures) + "\n"


def test_on_a_terminal_the_last_picture_stays(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w") as stream:
        with TerminalView(figures, stream=stream) as view:
            view.update()
            drawn = everything(outer)
        left = everything(outer)
    os.close(outer)
    assert drawn.startswith("\x1b[?1049h")
    assert "boiler" in drawn
    assert "\x1b[?1049l" in left
    assert "boiler" in left.split("\x1b[?1049l")[1]


def test_a_terminal_that_takes_nothing_costs_frames_not_time() -> None:
    """Nobody reads the pseudo-terminal: its buffer fills, and frames are lost instead of waited for."""
    outer, inner = pty.openpty()
    screen = Screen(inner)
    frame = "x" * 4000 + "\n"
    for _ in range(20):
        screen.write(frame)
        screen.flush()
    assert screen.frames_lost > 0
    os.set_blocking(outer, False)
    taken = b""
    for _ in range(20):
        try:
            taken += os.read(outer, 65536)
        except BlockingIOError:
            screen.flush()
    assert taken.replace(b"\r\n", b"\n").count(b"\n") == len(taken.replace(b"\r\n", b"\n")) // len(frame)
    screen.close()
    screen.close()
    os.close(inner)
    os.close(outer)


@pytest.mark.parametrize("height", [21, 24, 28, 40])
def test_a_low_terminal_loses_events_before_figures(figures: Figures, height: int) -> None:
    for at in range(6):
        figures.note(1000.0, f"event {at}")
    console = Console(file=io.StringIO(), record=True, width=100, height=height)
    console.print(picture(figures, "http://127.0.0.1:9108/", 1120.0, 100, height))
    text = console.export_text()
    assert len(text.splitlines()) <= height
    assert "Ctrl-C stops" in text
    assert ("event 5" in text) == (height > 26)
