"""The long run: every part is told, a failing one too, and every part exists with its options."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.campaigns import long, table
from tests.campaigns.long import CampaignPart, alone, run, ticks, together
from tests.safety.search import blocks


def test_a_part_that_fails_is_told_with_what_it_found(tmp_path: Path) -> None:
    found = run(CampaignPart("broken", "tests.safety.search.campaign", ("--ticks", "no")), tmp_path)
    assert found.status == 2
    assert "broken: FAILED with status 2" in (tmp_path / "summary.txt").read_text()
    assert "invalid int value" in (tmp_path / "broken.log").read_text()


def test_results_of_all_parts_stand_in_one_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(CampaignPart(name, "tests.mutation", ("--list", "core/roles.py")), tmp_path).status == 0
    summary = (tmp_path / "summary.txt").read_text()
    assert summary.count("core/roles.py: ") == 2
    assert "## one: done" in summary


@pytest.mark.parametrize("part", [*alone(1), *together(1, 2), ticks(1, 2, 5.0)], ids=lambda part: part.name)
def test_every_part_takes_its_options(part: CampaignPart) -> None:
    spec = find_spec(part.module)
    assert spec is not None
    if spec.submodule_search_locations:
        spec = find_spec(f"{part.module}.__main__")
    assert spec is not None
    assert spec.origin is not None
    text = "".join(Path(str(file)).read_text() for file in (spec.origin, table.__file__, blocks.__file__))
    assert all(f'"{option}"' in text for option in part.options if option.startswith("--"))


def test_nothing_left_of_the_time_still_gives_the_ticks_a_minute() -> None:
    assert ticks(1, 2, -7.0).options[-1] == "1"


def test_a_failed_part_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(long, "FOLDER", tmp_path)
    monkeypatch.setattr(
        long,
        "together",
        lambda *_: [CampaignPart("steps", "tests.safety.search.campaign", ("--steps", "no"))],
    )
    monkeypatch.setattr(sys, "argv", ["long", "steps"])
    assert long.main() == 1
    assert "failed: steps" in (tmp_path / "summary.txt").read_text()
