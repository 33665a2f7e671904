"""The comparison from logs to the table, in its short form, and that it goes on where it was."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.bundle import load_bundle
from tests.training.learners.online.test_on_sites import find
from training.benchmark.ablation import main as ablation
from training.benchmark.comparison import main
from training.benchmark.experiments import (
    ENTRANTS,
    FORM_FILE,
    NAMES,
    RESULT_FILE,
    ExperimentPaths,
    FormError,
    runs_of,
)
from training.commands.train import train

TAUGHT = ("bc", "td3bc", "iql-discrete")


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    find(folder)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, traces: Path) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    told = compared(traces, folder)
    assert told.exit_code == 0, told.output
    return folder


def compared(traces: Path, out: Path, *more: str) -> Result:
    words = ["--traces", str(traces), "--out", str(out), "--short", "--seeds", "1"]
    words += [word for name in TAUGHT for word in ("--learners", name)]
    return CliRunner().invoke(main, [*words, *more])


@pytest.mark.slow
def test_every_learner_has_a_row_beside_the_pi_and_what_ships(out: Path) -> None:
    rows = json.loads((out / "val.json").read_text())
    named = {line["row"]["controller"]: line for line in rows}
    assert set(named) == {"pi", "predictive", "builtin", "clone", *TAUGHT}
    assert named["pi"]["row"]["j"]["value"] == 0.0
    assert named["td3bc"]["effort"]["updates"] == 10
    assert named["td3bc"]["effort"]["starts_from"] == "bc-explored"
    assert named["td3bc"]["effort"]["processor_s"] > 0.0
    table = (out / "val.md").read_text()
    assert all(f"| {name} | 1 |" in table for name in TAUGHT)


def test_what_a_learner_starts_from_is_taught_too_and_exports_a_bundle(out: Path) -> None:
    assert load_bundle(out / "runs" / "bc-explored-0" / "bundle").golden_error_w <= 0.01
    command = json.loads((out / "runs" / "td3bc-0" / RESULT_FILE).read_text())["command"]
    assert command[command.index("--start-from") + 1].endswith("bc-explored-0/run/best.safetensors")


def test_a_run_that_is_done_is_kept_and_one_that_is_not_goes_on(
    traces: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = out / "runs" / "td3bc-0" / RESULT_FILE
    before = {path: path.read_bytes() for path in out.glob("runs/*/bundle/policy.onnx")}
    result.unlink()  # as when the machine went down before it was written
    made: list[list[str]] = []
    taught = train.main

    def watched(words: list[str], **options: object) -> object:
        made.append(words)
        return taught(words, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(train, "main", watched)
    told = compared(traces, out, "--json")
    assert told.exit_code == 0, told.output
    assert len(made) == 1
    assert made[0][-1] == "--resume"
    assert json.loads(result.read_text())["updates"] == 10
    assert {path: path.read_bytes() for path in before} == before
    assert json.loads(told.stdout) == json.loads((out / "val.json").read_text())


def test_seeds_come_one_after_the_other_and_nobody_before_whom_it_starts_from(tmp_path: Path) -> None:
    school = ExperimentPaths(tmp_path, tmp_path, tmp_path)
    runs = [(run.seed, run.entrant.name) for run in runs_of(school, NAMES, range(3))]
    assert len(set(runs)) == 3 * len(ENTRANTS)
    assert [seed for seed, _ in runs] == sorted(seed for seed, _ in runs)
    for entrant in ENTRANTS:
        if entrant.starts_from is not None:
            assert runs.index((1, entrant.starts_from)) < runs.index((1, entrant.name))


@pytest.mark.parametrize(("held", "asked"), [(True, False), (False, True)])
def test_the_short_form_and_the_full_one_do_not_share_a_folder(
    held: bool, asked: bool, traces: Path, tmp_path: Path
) -> None:
    ExperimentPaths.opened(traces, tmp_path, not held)  # a folder without lessons and runs is of no form yet
    school = ExperimentPaths.opened(traces, tmp_path, held)
    (school.lessons / "log.parquet").touch()
    ExperimentPaths.opened(traces, tmp_path, held)
    for command in (main, ablation):
        words = ["--traces", str(traces), "--out", str(tmp_path), *(["--short"] if asked else [])]
        told = CliRunner().invoke(command, [*words, "--judge-only"])
        assert told.exit_code == 1
        assert "give another --out" in told.output
        assert f"holds the {'short' if held else 'full'} form" in told.output


def test_runs_of_a_folder_that_says_nothing_are_full(tmp_path: Path) -> None:
    (tmp_path / "runs" / "bc-0").mkdir(parents=True)
    with pytest.raises(FormError, match="holds the full form"):
        ExperimentPaths.opened(tmp_path, tmp_path, is_short=True)
    ExperimentPaths.opened(tmp_path, tmp_path, is_short=False)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"short": null}'])
def test_a_damaged_note_of_the_form_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "bc-0").mkdir(parents=True)
    (tmp_path / FORM_FILE).write_text(content)
    with pytest.raises(FormError, match="is damaged"):
        ExperimentPaths.opened(tmp_path, tmp_path, is_short=False)


def test_a_folder_without_days_is_refused_in_a_sentence(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["--traces", str(tmp_path), "--out", str(tmp_path / "out"), "--short"])
    assert told.exit_code == 1
    assert "SUMMARY.json" in told.output
