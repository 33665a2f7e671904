"""Every line of the pages that an installer follows is typed by packaging/try_pages.py, or says why not."""

import re
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_commands import shell_lines

ROOT = Path(__file__).parents[2]
OPERATE = ROOT / "docs" / "operate"
PLANT = (ROOT / "daemon" / "commands" / "engineering" / "plant.py").read_text()
SCRIPT = (ROOT / "packaging" / "try_pages.py").read_text()
Script = Callable[[str], Any]


def followed() -> list[str]:
    """What stands on the pages: all of two, and the steps of the third."""
    steps = (OPERATE / "hardware.md").read_text().split("\n## Steps\n")[1].split("\n## ")[0]
    texts = [(OPERATE / name).read_text() for name in ("install.md", "commissioning.md")]
    return [line.strip() for text in [*texts, steps] for line in shell_lines(text) if line.strip()]


def test_every_line_is_typed_or_says_why_not(script: Script) -> None:
    typist = script("typist")
    typed = SCRIPT.replace("{config}", f"--config {typist.CONFIG}").replace("{METER}", typist.METER)
    lines = followed()
    assert len(lines) > 25
    assert [line for line in lines if line not in typed and line not in typist.NOT_TYPED] == []
    assert [line for line in typist.NOT_TYPED if line not in lines] == []


def test_names_of_sticks_and_labels_are_those_of_the_pages(script: Script) -> None:
    typist, pages = script("typist"), script("try_pages")
    install = (OPERATE / "install.md").read_text()
    for words in (typist.STICK, typist.NEW_STICK, typist.METER, *pages.LABELS[0][2:]):
        assert words in install


class Box:
    """A machine whose commands run here."""

    def enter(self) -> list[str]:
        return []


@pytest.mark.parametrize(("line", "code", "shown"), [
    ("read -p 'Name: ' a; read -p 'Again: ' b; [ -t 0 ] && echo $b-$a", 0, "Bob-Alice"),
    ("echo no >&2; exit 3", 3, "no"),
])  # fmt: skip
def test_a_line_is_typed_into_a_terminal(line: str, code: int, shown: str, script: Script) -> None:
    answers = [("Name", "Alice"), ("Again", lambda: "Bob")]
    done, text = script("typist").terminal(Box(), f"cd /; {line}", answers, 60.0)
    assert (done, shown in text) == (code, True)


def test_a_line_that_waits_for_ever_is_given_up(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    typist = script("typist")
    monkeypatch.setattr(select, "select", lambda *args: ([], [], []))
    with pytest.raises(script("booted").TrialError, match="did not end within 0 s"):
        typist.terminal(Box(), "read a", [], 0.0)


def test_wires_are_carried(script: Script) -> None:
    wires = script("far_end_wires")
    assert (wires.METER[1], wires.COORDINATOR[1]) == tuple(
        int(port) for port in re.findall(r'"--(?:meter|radio)-port".*?default=(\d+)', PLANT, re.DOTALL)
    )
