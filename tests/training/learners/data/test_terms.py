"""The billing of a policy is that of its data, or it is refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from core.site import Metering
from models.bundle import load_bundle
from tests.training.learners.online.test_on_sites import find
from tests.training.test_export_command import write_rows
from training.commands.train import train
from training.data.dataset import MANIFEST_FILE, DatasetManifest
from training.learners.data.files import transitions_sha256
from training.learners.data.terms import metering_of, read_terms
from training.learners.data.transitions import TransitionsError
from training.run_record import read_record


def taught(data: Path, out: Path, *words: str, learner: str = "bc") -> Result:
    command = ["--learner", learner, "--data", str(data), "--out", str(out), "--steps", "1"]
    return CliRunner().invoke(train, [*command, *words])


def without_terms(path: Path) -> None:
    """As data sets were before rows said whose they are."""
    parquet.write_table(parquet.read_table(path).drop_columns(["site", "role", "metering"]), path)


def manifest(**facts: str) -> str:
    made = DatasetManifest(
        sunkeep_version="0",
        role="absorb",
        metering="net",
        lookahead_s=5,
        seed=0,
        sources={},
        files={},
        splits={},
        acted_s={},
        episodes=1,
        gaps=0,
        gap_s=0,
        repeated_s=0,
        ranges={},
    )
    return json.dumps(json.loads(made.model_dump_json()) | facts)


def test_a_policy_is_for_the_billing_of_its_data(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 1, Metering.PER_PHASE)
    told = taught(tmp_path / "rows.parquet", tmp_path / "out", "--batch", "8")
    assert told.exit_code == 0, told.output
    assert load_bundle(tmp_path / "out" / "bundle").manifest.metering == "per_phase"
    record = read_record(tmp_path / "out" / "run")
    assert record is not None
    assert record.metering == "per_phase"


def test_another_billing_than_that_of_the_data_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 1, Metering.PER_PHASE)
    told = taught(tmp_path / "rows.parquet", tmp_path / "out", "--metering", "net")
    assert told.exit_code == 1
    assert "its site is billed per_phase, and so were its rewards" in " ".join(told.output.split())
    assert not (tmp_path / "out").exists()


def test_rows_of_several_billings_make_no_policy(tmp_path: Path) -> None:
    for number, metering in enumerate(Metering):
        write_rows(tmp_path / f"{number}.parquet", number, metering)
    assert read_terms(tmp_path).meterings == {"net", "per_phase"}
    with pytest.raises(TransitionsError, match="billed net and per_phase"):
        metering_of(tmp_path, "net")


@pytest.mark.parametrize("metering", list(Metering))
def test_of_an_older_set_the_manifest_says_it(metering: Metering, tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 1)
    without_terms(tmp_path / "train.parquet")
    (tmp_path / MANIFEST_FILE).write_text(manifest(metering=metering.value))
    assert metering_of(tmp_path / "train.parquet", None) is metering
    assert metering_of(tmp_path, None) is metering


def test_slaves_that_generate_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 1)
    without_terms(tmp_path / "train.parquet")
    (tmp_path / MANIFEST_FILE).write_text(manifest(role="generate", metering="per_phase"))
    with pytest.raises(TransitionsError, match="slaves that generate; nothing is trained for such yet"):
        metering_of(tmp_path, None)


def test_data_that_do_not_say_it_need_to_be_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 1)
    without_terms(tmp_path / "rows.parquet")
    with pytest.raises(TransitionsError, match="does not say how its site is billed; give --metering"):
        metering_of(tmp_path, None)
    assert metering_of(tmp_path, "per_phase") is Metering.PER_PHASE


def test_the_days_for_the_test_do_not_teach(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 1)
    write_rows(tmp_path / "test.parquet", 2, Metering.PER_PHASE)
    (tmp_path / MANIFEST_FILE).write_text(manifest())
    assert metering_of(tmp_path, None) is Metering.NET
    assert transitions_sha256(tmp_path) == transitions_sha256(tmp_path / "train.parquet")


def test_a_learner_on_sites_practises_on_the_billing_that_it_is_for(tmp_path: Path) -> None:
    find(tmp_path)
    told = taught(tmp_path, tmp_path / "out", "--metering", "per_phase", learner="ppo")
    assert told.exit_code == 0, told.output
    assert load_bundle(tmp_path / "out" / "bundle").manifest.metering == "per_phase"
    record = read_record(tmp_path / "out" / "run")
    assert record is not None
    assert record.made_with["net_share"] == 0.0
