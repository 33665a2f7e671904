"""What ships was trained on data that anybody may use, and says so."""

import json
from pathlib import Path

import pytest

from models.bundle import SHIPPED, builtin_bundle, read_manifest

ARTIFACTS = builtin_bundle().parent
SOURCES = {row["id"]: row for row in json.loads((ARTIFACTS / "sources.json").read_text(encoding="utf-8"))}
MAY_SHIP = {"MIT", "Apache-2.0", "BSD-3-Clause", "ODbL-1.0", "GPL-3.0-or-later"}
"""SPDX names of licences that allow commercial use."""


@pytest.mark.parametrize("name", SHIPPED)
def test_a_bundle_names_its_data_and_all_of_it_may_ship(name: str) -> None:
    manifest, _ = read_manifest(builtin_bundle(name))
    assert manifest.training_sources
    assert set(manifest.training_sources) <= set(SOURCES)
    assert manifest.parent_sha256 is None  # what a parent was trained on would count as well


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_has_a_licence_and_its_notice_ships(name: str) -> None:
    source = SOURCES[name]
    assert source["licence"] in MAY_SHIP
    shown = " ".join((ARTIFACTS / "ATTRIBUTION.md").read_text(encoding="utf-8").replace("\n>", "\n").split())
    assert source["notice"] in shown
    assert f"**{name}.**" in shown


def test_the_notice_of_the_open_database_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/results/data-sources.md").read_text(encoding="utf-8")
    assert SOURCES["tracebase"]["notice"] in " ".join(page.split())
    for name, source in SOURCES.items():
        assert f"| `{name}` |" in page, source["name"]
