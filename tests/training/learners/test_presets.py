"""Presets: what they hold goes together, and the command line goes first."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from models.bundle import load_bundle
from tests.training.learners.online.test_on_sites import find
from tests.training.learners.test_options import BATCH, taught
from training.commands.train import train
from training.learners.options import Options
from training.learners.presets import ALL_IMPROVEMENTS, PRESETS, with_preset
from training.run_record import read_record


def test_a_preset_gives_what_is_not_given(tmp_path: Path) -> None:
    find(tmp_path)
    words = ["--learner", "ppo", "--data", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "out")]
    own = ["--preset", "all-improvements", "--horizon", "4", "--lam", "0.5"]
    told = CliRunner().invoke(train, [*words, *own])
    assert told.exit_code == 0, told.output
    record = read_record(tmp_path / "out" / "run")
    assert record is not None
    assert record.options == Options(**{**ALL_IMPROVEMENTS, "horizon": 4, "lam": 0.5})
    assert load_bundle(tmp_path / "out" / "bundle").golden_error_w <= 0.01


def test_a_preset_is_of_ppo(tmp_path: Path) -> None:
    told = taught(tmp_path, "--preset", "recommended")
    assert told.exit_code == 1
    assert "--preset is of ppo; td3bc does not take it" in told.output


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("is_judged", [False, True])
def test_every_preset_goes_together(name: str, is_judged: bool) -> None:
    options = Options(**with_preset({}, name, frozenset(), is_judged=is_judged))
    options.check("ppo", 100, BATCH, is_judged=is_judged)
    assert (options.plateau > 0) is (is_judged and name == "all-improvements")
    if name == "recommended":
        assert 64 * options.horizon == 4096  # the specification's batch
