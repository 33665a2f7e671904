"""The table of words: complete, and true to the English text in every language."""

import ast
import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest

from daemon.lan.login_page import login_page
from daemon.monitoring import event_words
from daemon.words.causes import CAUSES, ENDED
from daemon.words.translation import LANGUAGES, OTHERS, TABLE, language_of, words_in

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "daemon/page/index.html").read_text()
ROWS = tomllib.loads(TABLE.read_text())
SPOKEN = (
    "monitoring/messages.py",
    "monitoring/order_words.py",
    "monitoring/event_words.py",
    "lan/login_page.py",
)
"""Where sentences are made for owners."""
NOT_FOR_OWNERS = ("the meter's power", "\n", "<!doctype", "default-src", "PI controller", "predictive c")
"""Beginnings of what the engineer's list of events alone says, and of what is no sentence."""
LEFTOVERS = re.compile(
    r"\b(the|and|because|is|are|does|not|from|with|without|day|month|year|device|devices|used|saved)\b",
    re.I,
)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def of_the_page() -> set[str]:
    """Every text of the page: marked in its HTML, or given to `T` in its script."""
    marked = set(re.findall(r"\{\{(.+?)\}\}", PAGE))
    called = set(re.findall(r'\bT\("((?:[^"\\]|\\.)*)"', PAGE))
    chosen = set(re.findall(r'"([^"]*\{all\}[^"]*with data)"', PAGE))
    return marked | called | chosen | {"export", "import", "draws less", "draws more", "applies other"}


def of_the_program() -> set[str]:
    """Every sentence in the modules that speak to owners, but documentation."""
    found = set(CAUSES.values()) | set(ENDED.values())
    for name in SPOKEN:
        tree = ast.parse((ROOT / "daemon" / name).read_text())
        apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # documentation
        apart |= {id(n) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for n in node.values}
        texts = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in apart)
        found |= {
            n.value for n in texts if isinstance(n.value, str) and re.search("[a-z] ?[a-z ]* ", n.value)
        }
    found |= {text for pair in event_words.EVENTS.values() for text in pair if text}
    found |= set(event_words.ADVICE.values()) | set(event_words.STATES.values())
    return {text for text in found if not text.startswith(NOT_FOR_OWNERS)}


def test_no_text_is_missing_and_none_is_idle() -> None:
    said = of_the_page() | of_the_program()
    assert {text for text in said if text not in ROWS} == set()
    sources = PAGE + "".join((ROOT / "daemon" / name).read_text() for name in (*SPOKEN, "lan/server.py"))
    flat = re.sub(r'"\s*\n\s*"', "", sources)
    idle = {text for text in ROWS if text not in said and text not in flat}
    assert idle - {"The PI controller", "The predictive controller"} == set()


@pytest.mark.parametrize("text", ROWS)
def test_every_language_has_the_same_places_to_fill(text: str) -> None:
    row = ROWS[text]
    assert len(row) == len(OTHERS)
    assert all(told.strip() for told in row)
    assert [fields(told) for told in row] == [fields(text)] * len(OTHERS)


@pytest.mark.parametrize("language", OTHERS)
def test_the_page_is_whole_in_every_language(language: str) -> None:
    told = words_in(language).page(PAGE)
    assert f'<html lang="{language}">' in told
    assert "{{" not in told.split("<script>")[0]
    shown = re.sub(r"<details.*?</details>|<style>.*?</style>|<script>.*?</script>", "", told, flags=re.S)
    shown = re.sub(r"<[^>]+>", " ", re.sub(r'aria-label="([^"]+)"[^>]*>', r">\1 <", shown))
    assert LEFTOVERS.findall(shown) == []
    assert words_in("en").page(PAGE).count("{{") == 0


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_among_the_words(language: str) -> None:
    told = words_in(language).table.items()
    assert {text: said for text, said in told if LEFTOVERS.search(re.sub(r"`[^`]+`|{[^}]+}", "", said))} == {}


def test_the_login_page_speaks_the_language() -> None:
    assert "Mot de passe" in login_page("That is not the password.", words_in("fr"))
    assert "Das ist nicht das Passwort." in login_page("That is not the password.", words_in("de"))
    assert login_page().count("Password") == 1


@pytest.mark.parametrize(
    ("asked", "accepted", "configured", "language"),
    [
        ("", "", "auto", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "auto", "de"),
        ("", "it, en;q=0.4, fr-CH;q=0.5", "auto", "fr"),
        ("", "de;q=0, en;q=nonsense", "auto", "en"),
        ("", "de", "fr", "fr"),
        ("en", "de", "fr", "en"),
        ("<x>", "\x00;;q=,,", "auto", "en"),
    ],
)
def test_the_language_is_asked_configured_or_the_browsers(
    asked: str, accepted: str, configured: str, language: str
) -> None:
    assert language_of(asked, accepted, configured) == language


def test_numbers_are_written_as_people_write_them() -> None:
    assert [words_in(language).decimal(4.25, 1) for language in LANGUAGES] == ["4.2", "4,2", "4,2"]
