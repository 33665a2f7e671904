"""Sentences for owners in their language, from one table (`words.toml`) by their English text."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

TABLE = Path(__file__).with_name("words.toml")
OTHERS = ("de", "fr")
"""The columns of the table."""
LANGUAGES = ("en", *OTHERS)
PAGE_WORDS = "{/* by the English text */}"
"""Where the page takes its words."""


@dataclass(frozen=True, slots=True)
class Words:
    """One language: called with an English sentence, gives the same in it.

    A sentence that the table does not have stays as it is: what devices and configurations say is nobody's to
    translate.
    """

    language: str = "en"
    table: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, text: str, **values: object) -> str:
        template = self.table.get(text, text)
        return template.format_map(values) if values else template

    def decimal(self, value: float, digits: int) -> str:
        """A number as people of this language write it."""
        told = f"{value:.{digits}f}"
        return told if self.language == "en" else told.replace(".", ",")

    def page(self, html: str) -> str:
        """A page in this language: its `{{English}}` texts, the table for its script, its language."""
        told = re.sub(r"\{\{(.+?)\}\}", lambda found: escape(self(found[1]), quote=True), html)
        told = told.replace('<html lang="en">', f'<html lang="{self.language}">', 1)
        script_words = json.dumps(dict(self.table), ensure_ascii=False).replace("</", "<\\/")
        return told.replace(PAGE_WORDS, script_words, 1)


ENGLISH = Words()


@cache
def words_in(language: str) -> Words:
    """The words of one of `LANGUAGES`; English for any other."""
    if language not in OTHERS:
        return ENGLISH
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    column = OTHERS.index(language)
    return Words(language, {text: row[column] for text, row in rows.items()})


def language_of(asked: str, accepted: str, configured: str = "auto") -> str:
    """One of `LANGUAGES`: what is asked by name, what is configured, else what the browser likes best.

    Args:
        asked: of the address, may be anything.
        accepted: the header Accept-Language (RFC 9110, 12.5.4), may be anything.
        configured: one of `LANGUAGES`, or ``auto``.
    """
    if asked in LANGUAGES:
        return asked
    if configured in LANGUAGES:
        return configured
    liked: list[tuple[float, str]] = []
    for part in accepted[:200].split(","):
        name, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        language = name.strip().lower().split("-")[0]
        if language in LANGUAGES and quality > 0.0:
            liked.append((-quality, language))
    return min(liked, key=lambda one: one[0])[1] if liked else "en"
