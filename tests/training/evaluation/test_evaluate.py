"""`sunkeep evaluate`: the whole command on a few minutes of two days, and what it refuses."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from subprocess import run as run_process
from sys import executable

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from daemon.__main__ import main
from training.batched.day_runs import rows_of
from training.batched.scenarios import FaultScenario, far_end
from training.commands import evaluate as command
from training.contest import contest
from training.contest.relative_to_pi import MARGINS_W
from training.evaluation import gap, judgement, words
from training.evaluation.page import page

FROM_S = 40_000


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three val days, and one for tests, whose load switches under a steady sun."""
    where = tmp_path_factory.mktemp("days")
    second = np.arange(86_400)
    rows = []
    for number in range(4):
        load = {f"p_{phase}_w": np.full(86_400, 250.0) for phase in "abc"}
        load["p_b_w"] = load["p_b_w"] + 1400.0 * (second // (37 + 9 * number) % 2)
        parquet.write_table(
            pa.table({"t": second, **load, "pv_w": np.full(86_400, 8000.0)}), where / f"day{number}.parquet"
        )
        split = "val" if number < 3 else "test"
        rows.append({"file": f"day{number}.parquet", "split": split, "pv_connection": "3ph"})
    (where / "SUMMARY.json").write_text(json.dumps(rows))
    return where


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[judgement.BundleEvaluation]]:
    """Minutes in the place of hours, and few conditions; gives what was judged."""
    for module in (contest, judgement, gap):
        monkeypatch.setattr(module, "lit_hours", lambda day: (FROM_S, FROM_S + 3600))
    monkeypatch.setattr(contest, "rows_of", lambda heats, _seconds: rows_of(heats, 60))
    monkeypatch.setattr(judgement, "HOUR_S", 60)
    monkeypatch.setattr(judgement, "TROUBLES", (FaultScenario.NONE, FaultScenario.MISSING_SLAVE))
    monkeypatch.setattr(gap, "WINDOW_S", 30)
    seen: list[judgement.BundleEvaluation] = []
    whole = judgement.judge

    def watched(*arguments: object) -> judgement.BundleEvaluation:
        seen.append(whole(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(command, "judge", watched)
    yield seen
    far_end.cache_clear()


class _Links(HTMLParser):
    """Collects what a page would fetch, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#"):
                self.fetched.append(value)


def test_the_whole_command(
    traces: Path, tmp_path: Path, brief: list[judgement.BundleEvaluation], capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "x.json", tmp_path / "x.html"
    outputs = ("--json", str(files[0]), "--html", str(files[1]))
    code = main(
        ["evaluate", "--bundle", "builtin", "--traces", str(traces), "--bound-windows", "2", *outputs]
    )
    (judged,) = brief
    assert code == (0 if judged.holds else 1)
    shown = capsys.readouterr().out
    assert "criteria" in shown
    assert "closes" in shown
    plain = json.loads(files[0].read_text())
    assert plain["holds"] is judged.holds
    assert plain["criteria"]["net"][0]["name"] == "Export at equal import"
    assert {row["trouble"] for row in plain["standings"]} == {"none", "a slave missing"}
    assert len(plain["frontier"]["net"]) == len(MARGINS_W)
    assert [gap_["windows"] for gap_ in plain["gaps"]] == [2, 2]
    assert all(gap_["least_excess_wh"] > 0.0 for gap_ in plain["gaps"])
    for hour in plain["product"]:
        assert hour["policy_s"] == 60
        assert hour["unsafe"] == 0
        assert hour["batch_j_wh"] == pytest.approx(hour["j_wh"], rel=0.02, abs=0.02)
    _check_page(files[1].read_text(encoding="utf-8"), judged)


def _check_page(text: str, judged: judgement.BundleEvaluation) -> None:
    links = _Links()
    links.feed(text)
    assert links.fetched == []
    assert "script" not in links.tags
    assert links.tags.count("svg") == 7
    assert text.index("verdict") < text.index("<h2>Criteria")
    for row in judged.standings:
        assert words.BILLED[row.metering] in text
    assert page(judged) == text  # nothing of the day it is written


def test_a_failed_criterion_is_the_exit_code(
    traces: Path,
    brief: list[judgement.BundleEvaluation],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.evaluation.criteria.CHANGES_MAX_PER_MIN", 0.0)
    arguments = ["evaluate", "--bundle", "clone", "--traces", str(traces), "--bound-windows", "0"]
    assert main([*arguments, "--json", "-"]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain["holds"] is False
    failed = [criterion["name"] for criterion in plain["criteria"]["net"] if not criterion["holds"]]
    assert "Setpoint changes above 50 W" in failed
    assert plain["gaps"] == []
    assert "Not computed" in page(brief[0])
    assert "misses" in words.verdict(brief[0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "train"], "no day has the split 'train'"),
        (["--split", "test"], "1 of the days of the split 'test' have light; figures over days need at"),
        (["--bundle", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(
    options: list[str], said: str, traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--traces", str(traces), "--bundle", "builtin", *options]
    assert main(arguments) in (2, 78)
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_traces_without_a_summary_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--bundle", "builtin", "--traces", str(tmp_path)]) == 2
    assert "SUMMARY.json" in capsys.readouterr().err


def test_a_broken_bundle_is_refused(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert main(["evaluate", "--bundle", str(tmp_path), "--traces", str(traces)]) == 78
    assert "has no policy.onnx" in capsys.readouterr().err


def test_the_help_and_other_commands_need_no_torch() -> None:
    """Of the command line, evaluate is a name and a sentence until it is asked for."""
    code = (
        "import sys; from daemon.__main__ import main; main(['--help']); main(['status', '--help']);"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert run_process([executable, "-c", code], check=False, capture_output=True).returncode == 0
