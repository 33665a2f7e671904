"""The ablation in its short form: every trial has a row beside its plain learner, and the days are val."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.learners.online.test_on_sites import find
from training.benchmark.ablation import ENTRANTS, LONGER, PLAIN, START, TRIALS, main
from training.benchmark.experiments import RESULT_FILE, ExperimentPaths, runs_of
from training.learners.options import TAKEN_BY, flag


def test_every_option_is_tried_and_every_learner_has_a_plain_one() -> None:
    tried = {word for trial in TRIALS for word in trial.entrant.options}
    assert {flag(name) for name in TAKEN_BY} <= tried
    assert {trial.learner for trial in TRIALS if trial.label == PLAIN} == {t.learner for t in TRIALS}
    assert len({trial.entrant.name for trial in TRIALS}) == len(TRIALS)


def test_budgets_are_equal_and_nothing_is_chosen(tmp_path: Path) -> None:
    school = ExperimentPaths(tmp_path, tmp_path, tmp_path)
    names = [trial.entrant.name for trial in TRIALS if trial.label != LONGER]
    commands = [school.command(run) for run in runs_of(school, names, range(2), ENTRANTS)]
    steps: dict[str, set[str]] = {}
    for words in commands:
        learner = words[words.index("--learner") + 1]
        steps.setdefault(learner, set()).add(words[words.index("--steps") + 1])
        assert ("--choose-on" in words) == ("--plateau" in words)
    assert all(len(counts) == 1 for counts in steps.values())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    find(folder)
    words = ["--traces", str(folder), "--out", str(folder / "out"), "--short", "--seeds", "1"]
    told = CliRunner().invoke(main, [*words, "--learners", "td3bc"])
    assert told.exit_code == 0, told.output
    return folder / "out"


@pytest.mark.slow
def test_rows_stand_beside_the_plain_learner(out: Path) -> None:
    law, start, plain, *others = json.loads((out / "ablation.json").read_text())
    assert (law["learner"], start["learner"]) == ("predictive law", "bc")
    assert (plain["label"], plain["against_plain"]) == (PLAIN, [])
    assert {row["label"] for row in others} == {t.label for t in TRIALS if t.learner == "td3bc"} - {PLAIN}
    for row in others:
        assert row["against_plain"] == [pytest.approx(row["j_w"][0] / plain["j_w"][0] - 1.0)]
        assert row["figures"]["j_w"] == row["j_w"][0] > 0.0
    assert (out / "ablation.md").read_text().count("\n") == 2 + 3 + len(others)
    assert json.loads((out / "runs" / "td3bc-dyna-0" / RESULT_FILE).read_text())["updates"] == 4


def test_updates_are_those_that_were_made(out: Path) -> None:
    result = out / "runs" / f"{START}-0" / RESULT_FILE
    stopped_early = json.loads(result.read_text()) | {"updates": 3}
    result.write_text(json.dumps(stopped_early))
    words = ["--traces", str(out.parent), "--out", str(out), "--short", "--seeds", "1", "--judge-only"]
    told = CliRunner().invoke(main, [*words, "--json", "--learners", "td3bc"])
    assert told.exit_code == 0, told.output
    _, start, plain, *_ = json.loads(told.stdout)
    assert (start["updates"], plain["updates"]) == (3, 4)
    assert "| 3 |" in (out / "ablation.md").read_text().splitlines()[3]
