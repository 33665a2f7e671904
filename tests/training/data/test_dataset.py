"""Data sets: from journals, foreign logs and simulated days; equal where they tell of the same seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

import daemon.cli.command_line
from core.site import PHASE_NAMES, Metering
from daemon import __main__ as command_line
from daemon.config.settings import parse_settings
from daemon.journal.records import Tick
from models.features import FEATURE_NAMES
from models.manifest import Normalization
from plant.site.trace import DAY_S
from tests.support.configuration import CONFIGURATION as WITH_A_MINIMUM
from tests.training.site_days import MIDNIGHT_S, lived, swinging_day, write_journals
from training.commands.dataset import dataset
from training.data.dataset import DatasetManifest
from training.data.foreign_logs import BATCH_ROWS, COLUMNS, COMMANDS, METER, PI, by_second, read_batches
from training.data.lookahead import read_look_aheads
from training.data.samples import DatasetError, Grid
from training.data.table import ACTION_NAMES, NEXT_NAMES, SCHEMA

CONFIGURATION = WITH_A_MINIMUM.replace("min_w = 1380\n", "")

DAYS, TICKS = 4, 90
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def ticks() -> list[tuple[int, Tick]]:
    return list(lived(CONFIGURATION, DAYS, TICKS))


def write_logs(folder: Path, ticks: list[tuple[int, Tick]], readings_per_s: int = 4) -> Path:
    """The same seconds as the logs of another controller: meter at 4 Hz, commands as sent, the PI."""
    rows: dict[str, list[list[float]]] = {kind: [] for kind in COLUMNS}
    for second, tick in ticks:
        for n in range(readings_per_s - 1, -1, -1):  # the last one is the sample, the others are older
            rows[METER].append(
                [second - n / readings_per_s, *(w + 100.0 * n for w in tick.snapshot.grid_power_w)]
            )
        rows[PI].append([second + 0.3, *tick.decision.fallback_action_w])
        if tick.accepted:
            totals = [0.0, 0.0, 0.0]
            totals[0], totals[1] = map(float, tick.decision.setpoints_w)
            rows[COMMANDS].append([second + 0.4, *totals])
    for kind, columns in COLUMNS.items():
        (folder / kind).mkdir(parents=True)
        frame = pl.DataFrame(rows[kind], ["unix_s", *columns], orient="row")
        half = len(frame) // 2
        frame[:half].write_csv(folder / kind / "1.csv")
        frame[half:].write_parquet(folder / kind / "2.parquet")
    return folder


def made(*arguments: str | Path | float) -> DatasetManifest:
    done = RUNNER.invoke(dataset, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return DatasetManifest.model_validate_json(done.stdout)


def everything(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(folder / f"{s}.parquet") for s in ("train", "val", "test")]).sort(
        "unix_s"
    )


def config(folder: Path) -> Path:
    path = folder / "sunkeep.toml"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture(scope="module")
def from_journals(tmp_path_factory: pytest.TempPathFactory, ticks: list[tuple[int, Tick]]) -> Path:
    folder = tmp_path_factory.mktemp("journals")
    made("--journals", write_journals(folder / "in", ticks, CONFIGURATION), "--out", folder / "out")
    return folder / "out"


def test_a_journal_becomes_rows_of_what_was_seen_and_done(
    from_journals: Path, ticks: list[tuple[int, Tick]]
) -> None:
    rows = everything(from_journals)
    assert rows["unix_s"].to_list() == [second for second, _ in ticks]
    assert set(rows["source"]) == {"fallback"}
    assert set(rows["propensity"]) == {0.25}
    for name, phase in zip(PHASE_NAMES, range(3), strict=True):
        surplus = [tick.decision.estimate.surplus_w[phase] for _, tick in ticks]
        np.testing.assert_allclose(rows[f"surplus_hat_w_{name}"], surplus, rtol=1e-6)
        fallback_w = [tick.decision.fallback_action_w[phase] for _, tick in ticks]
        np.testing.assert_allclose(rows[f"fallback_action_w_{name}"], fallback_w, rtol=1e-6)
    on_air = [tick.snapshot.on_air.action_w for second, tick in ticks]
    applied = rows.select(ACTION_NAMES).to_numpy()
    for number in range(DAYS * TICKS - 1):
        if (number + 1) % TICKS:  # what was applied is what the next tick finds on air
            assert tuple(applied[number]) == on_air[number + 1]


def test_every_row_says_whose_it_is(from_journals: Path) -> None:
    settings = parse_settings(CONFIGURATION, Path("sunkeep.toml"))
    rows = everything(from_journals)
    assert set(rows["site"]) == {settings.site.name}
    assert set(rows["role"]) == {settings.site.role.value}
    assert set(rows["metering"]) == {settings.site.metering.value}


def test_targets_are_the_rows_five_seconds_later_within_an_episode(from_journals: Path) -> None:
    rows = everything(from_journals)
    features = rows.select(FEATURE_NAMES).to_numpy()
    targets = rows.select(NEXT_NAMES).to_numpy()
    has = rows["has_target"].to_numpy()
    assert has.reshape(DAYS, TICKS).sum(axis=1).tolist() == [TICKS - 5] * DAYS
    places = np.flatnonzero(has)
    np.testing.assert_array_equal(targets[places], features[places + 5])
    assert np.isnan(targets[~has]).all()
    export = rows["export_w"].to_numpy()
    ahead = rows["ahead_export_w"].to_numpy()
    for place in places[::17]:
        assert ahead[place] == pytest.approx(export[place + 1 : place + 6].mean(), rel=1e-4, abs=1e-3)


def test_days_are_whole_in_one_split_and_the_manifest_tells(from_journals: Path) -> None:
    manifest = DatasetManifest.model_validate_json((from_journals / "dataset.json").read_bytes())
    assert sum(len(split.days) for split in manifest.splits.values()) == DAYS
    assert (manifest.episodes, manifest.gaps) == (DAYS, DAYS - 1)
    assert manifest.gap_s == (DAYS - 1) * (DAY_S - TICKS)
    for name, split in manifest.splits.items():
        rows = pl.read_parquet(from_journals / f"{name}.parquet")
        assert (len(rows), rows["has_target"].sum()) == (split.rows, split.targets)
        days = pl.from_epoch(rows["unix_s"]).dt.date().cast(pl.String)
        assert tuple(days.unique().sort()) == split.days
    assert not (from_journals / "days.part").exists()
    train = pl.read_parquet(from_journals / "train.parquet")
    normalization = Normalization.model_validate_json(
        (from_journals / "normalization_params.json").read_bytes()
    )
    for name in ("surplus_hat_w_b", "in_flight_w_a"):
        assert normalization.features[name].mean == pytest.approx(
            train[name].cast(pl.Float64).mean(), rel=1e-5
        )
        assert normalization.features[name].std == pytest.approx(
            train[name].cast(pl.Float64).std(ddof=0), rel=1e-5, abs=1e-6
        )


def test_equal_sources_give_equal_bytes(tmp_path: Path, ticks: list[tuple[int, Tick]]) -> None:
    journals = write_journals(tmp_path / "in", ticks, CONFIGURATION)
    one, other = (made("--journals", journals, "--out", tmp_path / name) for name in ("one", "other"))
    assert one == other


def test_foreign_logs_of_a_site_that_is_switched_are_refused(
    tmp_path: Path, ticks: list[tuple[int, Tick]]
) -> None:
    path = tmp_path / "switched.toml"
    path.write_text(WITH_A_MINIMUM)
    arguments = ["--logs", str(write_logs(tmp_path / "in", ticks)), "--config", str(path)]
    done = RUNNER.invoke(dataset, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert "a minimum or levels" in done.output


def test_foreign_logs_of_the_same_seconds_give_the_same_rows(
    tmp_path: Path, from_journals: Path, ticks: list[tuple[int, Tick]]
) -> None:
    made(
        "--logs", write_logs(tmp_path / "in", ticks), "--config", config(tmp_path), "--out", tmp_path / "out"
    )
    theirs, ours = everything(tmp_path / "out"), everything(from_journals)
    assert theirs["unix_s"].equals(ours["unix_s"])
    unknown = ("source", "propensity", "block", "is_confounded")
    for name in SCHEMA.names:
        if name not in unknown:
            assert theirs[name].equals(ours[name]), name
    assert theirs["propensity"].is_null().all()


def test_short_gaps_are_lived_blind_and_long_ones_end_the_episode(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    seconds = [s for s in range(60) if s not in (20, 21, 40, 41, 42)]
    for day in range(3):
        for kind, columns in COLUMNS.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            start = MIDNIGHT_S + day * DAY_S
            values = [[start + s, 100.0, -50.0, 10.0 * s] for s in seconds]
            frame = pl.DataFrame(values, ["unix_s", *columns], orient="row")
            frame.with_columns(pl.from_epoch("unix_s").alias("time")).drop("unix_s").write_parquet(
                folder / kind / f"{day}.parquet"
            )
    manifest = made("--logs", folder, "--out", tmp_path / "out", "--lookahead-s", 3)
    rows = everything(tmp_path / "out").head(57)
    assert rows["is_fresh"].to_list() == [s not in (20, 21) for s in range(60) if s not in (40, 41, 42)]
    assert rows["gap_before_s"].to_list() == [0] * 40 + [3] + [0] * 16
    assert rows["episode"].to_list() == [0] * 40 + [1] * 17
    blind = {17, 18, 19, 20, 21, 37, 38, 39, *range(54, 57)}
    assert {i for i, has in enumerate(rows["has_target"]) if not has} == blind
    assert manifest.episodes == 6
    assert rows["surplus_hat_w_c"][20] == rows["surplus_hat_w_c"][19]  # nothing is interpolated
    assert rows["export_w"][20] is None


def test_commands_expire_with_their_time_to_live(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    start = MIDNIGHT_S + 100
    lines = {
        METER: [f"{start + s},0,0,0" for s in range(40)],
        COMMANDS: [f"{start + 2},900,0,0"],
    }
    for day in range(3):
        for kind, texts in lines.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shifted = [f"{int(r.split(',')[0]) + day * DAY_S},{r.split(',', 1)[1]}" for r in texts]
            header = ",".join(("unix_s", *COLUMNS[kind]))
            (folder / kind / f"{day}.csv").write_text("\n".join([header, *shifted]) + "\n")
    made("--logs", folder, "--out", tmp_path / "out")
    applied = everything(tmp_path / "out")["applied_w_a"].head(40).to_list()
    assert applied == [0.0] * 2 + [900.0] * 16 + [0.0] * 22  # 15 s by default
    path = tmp_path / "sunkeep.toml"
    path.write_text(CONFIGURATION.replace("[radio]", "[radio]\nttl_s = 20"))
    made("--logs", folder, "--out", tmp_path / "longer", "--config", path)
    assert everything(tmp_path / "longer")["applied_w_a"].head(40).to_list().count(900.0) == 21


BAD = [
    ("unix_s,grid_a_w,grid_b_w\n1780012800,1,2\n", r"1\.csv:1: no column grid_c_w"),
    ("when,grid_a_w,grid_b_w,grid_c_w\n1,1,2,3\n", r"1\.csv:1: no column unix_s or time"),
    (
        "unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012800,1,2,3\n1780012801,1,abc,3\n",
        r"1\.csv:3: column grid_b_w: .*abc",
    ),
    ("unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012800,1,2,nan\n", r"1\.csv:2: column grid_c_w"),
    ("unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012800,1,,3\n", r"1\.csv:2: column grid_b_w"),
    ("unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012800000,1,2,3\n", r"1\.csv:2: column unix_s"),
    ("unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012800,1,2,3e7\n", r"1\.csv:2: column grid_c_w"),
    (
        "time,grid_a_w,grid_b_w,grid_c_w\n2026-05-29T00:00:00Z,1,2,3\nnoon,1,2,3\n",
        r"1\.csv:3: column time: .*noon",
    ),
    (
        "unix_s,grid_a_w,grid_b_w,grid_c_w\n1780012805,1,2,3\n1780012801,1,2,3\n",
        r"1\.csv:3: time runs backwards",
    ),
]


@pytest.mark.parametrize(("text", "complaint"), BAD)
def test_what_is_wrong_in_a_log_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "1.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=complaint):
        list(by_second([path], COLUMNS[METER], up=True))


def test_a_bad_line_is_found_in_any_piece(tmp_path: Path) -> None:
    path = tmp_path / "1.csv"
    rows = [f"{1780012800 + i},1,2,3" for i in range(1000)]
    rows[777] = "1780013577,1,2,oops"
    path.write_text("\n".join(["unix_s,grid_a_w,grid_b_w,grid_c_w", *rows]) + "\n")
    with pytest.raises(DatasetError, match=r"1\.csv:779: column grid_c_w"):
        list(read_batches(path, COLUMNS[METER], rows=100))
    assert BATCH_ROWS > 1000


def test_iso_times_with_offsets_are_instants(tmp_path: Path) -> None:
    path = tmp_path / "1.csv"
    path.write_text("time,grid_a_w,grid_b_w,grid_c_w\n2026-05-29T02:00:00.5+02:00,1,2,3\n")
    assert list(by_second([path], COLUMNS[METER], up=True)) == [(MIDNIGHT_S + 1, (1.0, 2.0, 3.0))]
    assert list(by_second([path], COLUMNS[METER], up=False)) == [(MIDNIGHT_S, (1.0, 2.0, 3.0))]


def test_a_wall_clock_that_is_set_moves_the_grid_once() -> None:
    grid = Grid()
    ticks = [(100.3, 5.3), (101.4, 6.3), (102.2, 7.3), (3703.3, 8.3), (3704.4, 9.3)]
    assert [grid.second(unix_s, at_s) for unix_s, at_s in ticks] == [100, 101, 102, 3703, 3704]


def test_seconds_that_come_twice_are_left_out_and_counted(
    tmp_path: Path, from_journals: Path, ticks: list[tuple[int, Tick]]
) -> None:
    """A clock that was set back by a minute at a restart: what it tells again is not told again."""
    journals = write_journals(tmp_path / "in", ticks, CONFIGURATION)
    first = journals / "run-0.journal"
    (journals / "run-0-again.journal").write_bytes(first.read_bytes())
    manifest = made("--journals", journals, "--out", tmp_path / "out")
    assert manifest.repeated_s == TICKS
    assert everything(tmp_path / "out").equals(everything(from_journals))


def refused(*arguments: str | Path) -> str:
    done = RUNNER.invoke(dataset, list(map(str, arguments)))
    assert done.exit_code == 2, done.output
    return done.output


def test_refusals_say_what_to_do(tmp_path: Path, ticks: list[tuple[int, Tick]]) -> None:
    journals = write_journals(tmp_path / "in", ticks, CONFIGURATION)
    assert "give one of" in refused("--out", tmp_path / "out")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    assert "another --out" in refused("--journals", journals, "--out", tmp_path / "used")
    assert "no .csv or .parquet" in refused("--logs", tmp_path, "--out", tmp_path / "out")
    for day in (1, 2, 3):
        (journals / f"run-{day}.journal").unlink()
    assert "at least 3" in refused("--journals", journals, "--out", tmp_path / "out2")
    first = journals / "run-0.journal"
    first.write_bytes(first.read_bytes().replace(b'"tick":7,', b'"tick":8,', 1))
    assert "run-0.journal:10" in refused("--journals", journals, "--out", tmp_path / "out3")


def test_traces_keep_their_split_and_say_who_acted(tmp_path: Path) -> None:
    trace = swinging_day()
    t = np.arange(DAY_S)
    columns = {"t": t, "p_a_w": trace.load_w[:, 0], "p_b_w": trace.load_w[:, 1], "p_c_w": trace.load_w[:, 2]}
    lit = (t >= 43_200) & (t < 44_200)
    table = pa.table({**columns, "pv_w": np.where(lit, trace.pv_w, 0.0)})
    summary = []
    for split in ("train", "val", "test"):
        parquet.write_table(table, tmp_path / f"{split}.parquet")
        summary.append({"file": f"{split}.parquet", "split": split, "pv_connection": "3ph"})
    (tmp_path / "SUMMARY.json").write_text(json.dumps(summary))
    manifest = made(
        "--traces", tmp_path, "--out", tmp_path / "out", "--light", 0.4, "--metering", "per_phase"
    )
    assert manifest.metering == Metering.PER_PHASE.value
    rows_of = {name: split.rows for name, split in manifest.splits.items()}
    assert rows_of == {"train": 800, "val": 800, "test": 800}
    assert manifest.acted_s == {"fallback": 1200, "policy": 1200}
    rows = read_look_aheads(tmp_path / "out", "val")
    assert len(rows) == 2 * 395
    assert set(rows.sources.tolist()) == {"fallback", "policy"}


def test_without_the_training_side_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="polars")

    monkeypatch.setattr(daemon.cli.command_line, "import_module", missing)
    assert command_line.main(["dataset", "--out", "x"]) == 1
    assert "polars is not installed here" in capsys.readouterr().err


def test_the_help_of_the_command_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert "dataset" in daemon.cli.command_line.TRAINING_COMMANDS
    assert command_line.main(["dataset", "--help"]) == 0
    assert "--journals" in capsys.readouterr().out
