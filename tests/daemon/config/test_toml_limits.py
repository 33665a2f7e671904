"""A configuration that is too much: refused before it costs time, with a line and what to do."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.config.sections import SLAVES_MAX
from daemon.config.settings import PROBLEMS_MAX, Settings, SettingsError, load_settings, parse_settings
from daemon.config.toml_limits import excess
from daemon.monitoring.figures import Figures
from daemon.service import config_reload
from daemon.service.config_reload import Reloader
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.telemetry_feed import ABOUT, SITE

LINES = CONFIGURATION.count("\n")
SLAVE = '\n[[slaves]]\nname = "n{0}"\nslot = {0}\nphase = "a"\nmax_w = 3000\n'


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("[" + ".".join("a" * 50_000) + "]\n", LINES + 1, "has a line of more than 4000 characters"),
        (".".join("a" * 34) + " = 1\n", LINES + 1, "has a line of more than 32 dots"),
        ('"".' * 34 + "a = 1\n", LINES + 1, "has a line of more than 32 dots"),
        ("\n" * 10_000, 10_000, "has more than 10000 lines"),
        (
            "".join(SLAVE.format(slot % 255) for slot in range(2, SLAVES_MAX + 2)),
            18,
            "slaves: are more than 255",
        ),
        ("x = " + "[" * 900, 1, "is nested too deeply"),
        ("x = " + "[\n" * 2_000, 1, "is nested too deeply"),
        ("x = " + "{a = " * 700, 1, "is nested too deeply"),
    ],
    ids=["long line", "long key", "quoted key", "lines", "slaves", "arrays", "open lines", "inline tables"],
)
def test_what_is_too_much_is_refused_where_it_stands(more: str, line: int, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(CONFIGURATION + more, Path("site.toml"))
    assert [problem.line for problem in caught.value.problems] == [line]
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "line", ['a = "' + "." * 99 + '"', "a = 1  # " + "." * 99, "a = 'C:" + "." * 99 + "'"]
)
def test_dots_in_texts_and_remarks_are_no_parts_of_a_key(line: str) -> None:
    assert excess(line) is None


def test_255_slaves_are_not_too_many() -> None:
    text = CONFIGURATION + "".join(SLAVE.format(slot) for slot in range(2, SLAVES_MAX))
    with pytest.raises(SettingsError) as caught:  # the air does not carry nine frames; that is another matter
        parse_settings(text, Path("site.toml"))
    assert {problem.key for problem in caught.value.problems} == {"radio.airtime.burst_frames"}


def test_not_more_problems_are_told_than_anybody_reads() -> None:
    text = CONFIGURATION + "".join(f"[t{at}]\n" for at in range(1000))
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, Path("site.toml"))
    assert len(caught.value.problems) == PROBLEMS_MAX


async def test_a_configuration_is_read_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on while a large file, or a slow disk, takes its time."""
    path = write_configuration(tmp_path)
    settings = load_settings(path)
    reloader = Reloader(path, settings, b"seed")
    read_in: list[int] = []
    turns = 0

    def slow(file: Path) -> Settings:
        began = turns
        time.sleep(0.3)
        read_in.append(turns - began)
        return load_settings(file)

    monkeypatch.setattr(config_reload, "load_settings", slow)
    told: list[Any] = []
    watching = asyncio.create_task(
        reloader.watch(lambda name, **_: told.append(name), Figures(SITE, ABOUT, 0.0))
    )
    reloader.now.set()
    while not told:
        turns += 1
        await asyncio.sleep(0.01)
    watching.cancel()
    assert told == ["configuration_reloaded"]
    assert read_in[0] >= 3
