"""Retraining: the champion's weights, who wins, lineage, interruptions, and what is refused."""

import json
import re
from pathlib import Path
from shutil import copytree
from typing import Any

import click
import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from pyarrow import parquet

import training.champion.retraining
import training.champion.train
import training.commands.retrain
import training.contest.contest
import training.replay.differentiable_replay
import training.replay.trainer
from core.site import Metering
from models.bundle import builtin_bundle, load_bundle
from models.manifest import MANIFEST_FILE, POLICY_FILE
from plant.site.trace import COLUMNS, DAY_S, Trace
from safety.pi import PiGains
from tests.training.nine_heaters import SITE
from tests.training.site_days import NOON_S, ShippedDay, lived, swinging_day, write_journals
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.export import Lineage, graph_bytes
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import HOUR_S, lit_hours, rows_of
from training.batched.windows import read_days
from training.champion.own_days import (
    CHOOSE,
    JUDGE,
    TEACH,
)
from training.champion.retraining import judge, named
from training.champion.train import write_bundle
from training.commands.export import export
from training.commands.retrain import retrain
from training.data.days import data_sha256, find_days
from training.evaluation import judgement
from training.evaluation.succession import succession
from training.replay.differentiable_replay import ReplayPlan
from training.replay.from_bundle import net_of
from training.replay.network import MEMORY, ReplayNet
from training.replay.trainer import RunLength

LIVED_S = HOUR_S + 100
SHORT_S = 360
"""Four minutes are too few to tell export at equal import: they lose that criterion by chance."""


# the champion's weights


def test_the_weights_of_the_shipped_graph_give_the_same_graph_again() -> None:
    bundle = load_bundle(builtin_bundle())
    shipped = onnx.load_from_string((bundle.directory / POLICY_FILE).read_bytes())
    again = onnx.load_from_string(graph_bytes(net_of(bundle), (1, 3, MEMORY)))
    again.producer_version = shipped.producer_version  # names the build of torch
    assert again == shipped


def test_a_graph_of_another_kind_or_another_law_cannot_be_taught_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"clone 3: .* not that of a policy trained by replay"):
        net_of(load_bundle(builtin_bundle("clone")))
    monkeypatch.setattr("training.replay.network.COARSE_W", 1010.0)
    with pytest.raises(CheckpointError, match="apart from the graph"):
        net_of(load_bundle(builtin_bundle()))


# the contest


@pytest.fixture
def short_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of six minutes: the first of each day."""
    monkeypatch.setattr(training.contest.contest, "lit_hours", lambda day: (NOON_S,))
    monkeypatch.setattr(training.contest.contest, "rows_of", lambda heats, _seconds: rows_of(heats, SHORT_S))
    monkeypatch.setattr(judgement, "lit_hours", lambda day: (NOON_S,))
    monkeypatch.setattr(judgement, "HOUR_S", SHORT_S)


class Turned(ShippedDay):
    """The shipped day, turned so that another of its hours is at noon; the name says by how many."""

    def load(self) -> Trace:
        whole, hours = super().load(), int(self.path.name)
        parts = (np.roll(part, HOUR_S * hours, axis=0) for part in (whole.load_w, whole.pv_w))
        return Trace(self.path.name, *parts)


def test_the_better_bundle_wins_and_the_worse_one_loses(short_hours: None) -> None:
    """The champion that ships against the clone of the law that it is built upon, both ways."""
    days = tuple(Turned(Path(hours), JUDGE, "3ph") for hours in ("0", "1", "-1"))
    clone, builtin = (open_bundle(builtin_bundle(name)) for name in ("clone", "builtin"))
    judged = judge(clone, builtin, days, Metering.NET, PiGains(), 1, lambda *_: None)
    assert (judged.champion.name, judged.challenger.name) == (named(clone), named(builtin))
    assert {row.metering for row in judged.rows} == {"net"}
    assert judged.succession.challenger_wins, judged.succession.clauses
    assert all(change < 0.0 for change in judged.by_day.values())
    back = succession(judged.field, judged.rows, Metering.NET, judged.challenger, judged.champion)
    assert not back.challenger_wins
    assert [clause.holds for clause in back.clauses][::2] == [False, False]  # J, and J when late
    told = json.loads(json.dumps(judged.facts(), allow_nan=False))
    assert told["succession"]["clauses"][0]["holds"] is True


# the command

UPDATES = 8


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven days with an hour of swinging sun each."""
    place = tmp_path_factory.mktemp("site") / "journals"
    return write_journals(place, list(lived(SITE, 7, LIVED_S, swinging_day(2400.0))), SITE)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, short_hours: None) -> None:
    """Small windows, large steps."""
    monkeypatch.setattr(training.champion.train, "EXAMPLES", 3)
    plan = ReplayPlan(rows=3, groups=2, stretch_s=20, lead_s=5, warm_up=1)
    monkeypatch.setattr(training.champion.retraining, "SHORT_PLAN", plan)
    monkeypatch.setattr(
        training.champion.retraining, "SHORT_COURSE", RunLength(check_every=2, window_s=180, windows=2)
    )
    monkeypatch.setattr(training.champion.retraining, "LEARNING_RATE", 0.0012)
    for module in (training.contest.contest, judgement):
        monkeypatch.setattr(module, "lit_hours", lambda day: lit_hours(day)[:1])


@pytest.fixture
def poor(tmp_path: Path, tiny: None) -> Path:
    """A bundle that always takes 300 W too little on each phase."""
    net = ReplayNet()
    with torch.no_grad():
        net.last.bias[0] = -0.3
    out = tmp_path / "poor"
    sunshine = read_days([Turned(Path("0"), TEACH, "3ph")])
    write_bundle(net.eval(), sunshine, out, Lineage.now("poor", 3, "net", "0" * 64), 0)
    return out


def command(journals: Path, out: Path, *more: object) -> list[str]:
    words = ["--journal", journals, "--out", out, "--short", "--updates", UPDATES, *more]
    return [str(word) for word in words]


def refused(*words: object) -> str:
    """What is said, in one line, by a command that ends with 2."""
    result = CliRunner().invoke(retrain, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
def test_a_poor_champion_is_taught_and_beaten_and_the_challenger_names_it(
    journals: Path, poor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    config = tmp_path / "sunkeep.toml"
    config.write_text(SITE)
    words = command(journals, out, "--champion", poor, "--config", config)
    assert retrain.main([*words, "--json"], standalone_mode=False) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "report.json").read_text())
    assert {word: len(days) for word, days in told["days"].items()} == {"teach": 3, "choose": 1, "judge": 3}
    assert told["challenger_wins"] is True
    assert told["judged"]["succession"]["j_change"]["over_days"][1] < 0.0
    assert told["install"] == f"sunkeep model install {out / 'bundle'} --config {config}"
    parent, child = (load_bundle(folder) for folder in (poor, out / "bundle"))
    assert child.manifest.parent_sha256 == parent.sha256 == told["champion"]["sha256"]
    assert child.sha256 == told["challenger"]["sha256"]
    assert (child.manifest.name, child.manifest.bundle_version) == ("site", 4)
    lessons = [day for split in (TEACH, CHOOSE) for day in find_days(out / "days", split)]
    assert child.manifest.training_data_sha256 == data_sha256(lessons)
    # exported again from the weights, it is the same policy and names the same parent
    again = CliRunner().invoke(export, [str(out), "--out", str(tmp_path / "again"), "--json"])
    assert again.exit_code == 0, again.output
    exported = load_bundle(tmp_path / "again").manifest
    assert (exported.parent_sha256, exported.files[POLICY_FILE]) == (
        parent.sha256,
        child.manifest.files[POLICY_FILE],
    )
    # the same command says the same again, in words
    assert retrain.main(words, standalone_mode=False) == 0
    shown = capsys.readouterr().out
    assert "site 4 takes the place of poor 3" in shown
    assert f"sunkeep model install {out / 'bundle'}" in shown


def test_when_nothing_better_is_found_the_days_that_judge_are_not_lived(
    journals: Path,
    poor: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def uphill(net: ReplayNet, *_: Any) -> float:
        with torch.no_grad():
            net.last.bias[0] -= 0.05
        return 0.0

    monkeypatch.setattr(training.replay.trainer, "update", uphill)
    monkeypatch.setattr(training.commands.retrain, "judge", None)
    words = command(journals, tmp_path / "out", "--champion", poor)
    assert retrain.main(words, standalone_mode=False) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "poor 3 stays: of 8 updates none was better on the days that choose" in shown
    assert not (tmp_path / "out" / "bundle").exists()
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (told["challenger_wins"], told["challenger"], told["install"]) == (False, None, None)


def test_an_interrupted_run_goes_on_where_it_was(
    journals: Path, poor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    update = training.replay.differentiable_replay.update

    def interrupted(*arguments: Any) -> float:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(0)
        return update(*arguments)

    monkeypatch.setattr(training.replay.trainer, "update", interrupted)
    own = copytree(journals, tmp_path / "own")
    words = command(own, tmp_path / "out", "--champion", poor)
    with pytest.raises((KeyboardInterrupt, click.Abort)):
        retrain.main(words, standalone_mode=False)
    assert not (tmp_path / "out" / "report.json").exists()
    made.append(0)
    monkeypatch.setattr(training.commands.retrain, "read_site_days", None)  # the days are kept
    assert retrain.main(words, standalone_mode=False) == 0
    assert len(made) == 6 + 4  # the checkpoint of update 4 and four more
    other = write_journals(tmp_path / "other", list(lived(SITE, 1, 30)), SITE)
    assert "days of other journals" in refused(*command(other, tmp_path / "out", "--champion", poor))
    assert "from another bundle" in refused(*command(own, tmp_path / "out"))
    in_full = refused(*(word for word in words if word != "--short"))
    windows = "check_every 2 (now 50), window_s 180 (now 1260), windows 2 (now without limit)"
    assert f"a run that was made with {windows}" in in_full
    assert "give --short and --updates as they were then, or another --out" in in_full
    assert "was made with updates 8 (now 9);" in refused(*words, "--updates", 9)
    assert retrain.main([*words, "--name", "other", "--radios", "2"], standalone_mode=False) == 0
    (own / "run-9.journal").write_bytes(b"")
    assert "own: has changed since its days were written" in refused(*words)


def test_traces_teach_and_choose_as_well_and_their_test_days_are_never_opened(
    journals: Path, poor: Path, tmp_path: Path
) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    rows = [{"file": "absent.parquet", "split": "test", "pv_connection": "3ph"}]
    for split in ("train", "val"):
        trace = swinging_day(60.0)
        columns = (np.arange(DAY_S), *trace.load_w.T, np.maximum(trace.pv_w, 0.0))
        parquet.write_table(
            pa.table(dict(zip(COLUMNS, columns, strict=True))), traces / f"measured-{split}.parquet"
        )
        rows.append({"file": f"measured-{split}.parquet", "split": split, "pv_connection": "3ph"})
    (traces / "SUMMARY.json").write_text(json.dumps(rows))
    out = tmp_path / "out"
    retrain.main(command(journals, out, "--champion", poor, "--traces", traces), standalone_mode=False)
    told = json.loads((out / "report.json").read_text())
    assert [told["days"][word][-1] for word in ("teach", "choose")] == ["measured-train", "measured-val"]
    assert not [day for day in told["days"]["judge"] if day.startswith("measured")]
    merged = [
        day
        for place in (out / "days", traces)
        for split in ("train", "val")
        for day in find_days(place, split)
    ]
    assert load_bundle(out / "bundle").manifest.training_data_sha256 == data_sha256(merged)


def test_what_cannot_be_judged_is_refused_in_words(journals: Path, tiny: None, tmp_path: Path) -> None:
    few = write_journals(tmp_path / "few", list(lived(SITE, 2, 400)), SITE)
    said = refused(*command(few, tmp_path / "1"))
    assert "0 of 2 days have a whole sunny hour without a gap: 0 to teach, 0 to choose, 0 to judge" in said
    generating = SITE.replace('name = "Home"', 'name = "Home"\nrole = "generate"')
    feeding = write_journals(tmp_path / "feeding", list(lived(generating, 1, 30)), generating)
    assert "slaves that generate" in refused(*command(feeding, tmp_path / "2"))
    assert "role or metering changed" in refused(*command(feeding, tmp_path / "3"), "--journal", journals)
    assert "not that of a policy trained by replay" in refused(
        *command(journals, tmp_path / "4", "--champion", "clone")
    )
    (tmp_path / "empty").mkdir()
    assert "no *.journal file" in refused(*command(tmp_path / "empty", tmp_path / "5"))
    assert "'gpu' is not one of 'cpu', 'cuda'" in refused(
        *command(journals, tmp_path / "6", "--device", "gpu")
    )
    (tmp_path / "6" / "bundle").mkdir(parents=True)
    assert "no run that made it" in refused(*command(journals, tmp_path / "6"))


def test_the_page_names_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "develop" / "retraining.md").read_text()
    named_there = set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE))
    assert named_there == {option.opts[0] for option in retrain.params}


def test_a_manifest_without_a_parent_says_nothing_of_one() -> None:
    bundle = load_bundle(builtin_bundle())
    assert bundle.manifest.parent_sha256 is None
    written = bundle.manifest.model_dump_json(indent=1, exclude_none=True) + "\n"
    assert written == (bundle.directory / MANIFEST_FILE).read_text()
