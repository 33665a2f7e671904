"""Learners on simulated sites: the environment is the product's batch, and a bundle comes out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pyarrow import parquet

from core.site import Metering
from models.bundle import load_bundle
from models.features import FEATURE_NAMES
from plant.site.trace import load_trace
from safety.predictive import PredictiveGains
from training.batched.laws import predictive_law
from training.batched.randomization import DomainRandomization
from training.batched.simulator import billed
from training.batched.windows import SolarDay, read_days
from training.commands.train import train
from training.data.days import Day
from training.learners.data.files import write_log
from training.learners.data.logs import explore
from training.learners.online.environment import ControlVariate
from training.learners.online.site_batch import LawOnSites, Sites, Varied
from training.learners.online.training import Grounds

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[SolarDay, ...]:
    return read_days(find(tmp_path_factory.mktemp("traces")))


def find(folder: Path) -> tuple[Day, ...]:
    """The day that ships, as a folder of traces."""
    trace = load_trace()
    lines = np.column_stack([np.arange(len(trace.pv_w)), trace.load_w, trace.pv_w])
    path = folder / "day.csv"
    np.savetxt(path, lines, delimiter=",", header="t,p_a_w,p_b_w,p_c_w,pv_w", comments="", fmt="%g")
    summary = [{"file": path.name, "split": split, "pv_connection": "3ph"} for split in ("train", "val")]
    (folder / "SUMMARY.json").write_text(json.dumps(summary))
    return (Day(path, "train", "3ph"),)


def test_against_itself_a_law_gains_nothing_and_doing_nothing_loses(days: tuple[SolarDay, ...]) -> None:
    law, generator = predictive_law(PredictiveGains()), torch.Generator().manual_seed(0)
    scenery = Varied(days, DomainRandomization())
    sites = Sites(scenery, 8, 40, CPU)
    compared = ControlVariate(sites, LawOnSites(Sites(scenery, 8, 40, CPU), law))
    features = compared.reset(generator)
    assert features.shape == (8, len(FEATURE_NAMES))
    memory, steps = None, []
    for _ in range(40):
        policy_action_w, memory = law(sites.view, memory)
        steps.append(compared.step(policy_action_w))
    assert max(float(step.reward.abs().max()) for step in steps) == 0.0
    assert [float(step.truncated.sum()) for step in steps] == [0.0] * 39 + [8.0]
    compared.reset(generator)
    lost = sum(float(compared.step(torch.zeros(8, 3)).reward.mean()) for _ in range(40))
    assert lost < -1.0


@pytest.mark.parametrize("net", [0.0, 1.0])
def test_a_second_costs_what_is_exported_and_half_of_what_need_not_be_imported(
    net: float, days: tuple[SolarDay, ...]
) -> None:
    sites = Sites(Varied(days, DomainRandomization(net=net)), 8, 12, CPU)
    sites.reset(torch.Generator().manual_seed(0))
    export_ws, import_ws = torch.zeros(8), torch.zeros(8)
    for second in range(12):  # first nothing is taken, then everything, so that both are met
        step = sites.step(torch.full((8, 3), 0.0 if second < 6 else 5000.0))
        assert sites._reel is not None
        assert sites._site is not None
        export_w, avoidable_w = billed(sites._reel.rig, sites._site)
        assert step.reward.tolist() == pytest.approx((-(export_w + 0.5 * avoidable_w) / 200.0).tolist())
        export_ws, import_ws = export_ws + export_w, import_ws + avoidable_w
    assert float(export_ws.max()) > 1000.0
    assert float(import_ws.max()) > 1000.0


def test_the_same_seed_gives_the_same_rollout_and_another_seed_another(days: tuple[SolarDay, ...]) -> None:
    grounds = Grounds(days, 5, CPU, count=4)
    first, again = (grounds.survey(torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, grounds.survey(torch.Generator().manual_seed(4))[0])


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    (day,) = find(folder)
    columns = explore(day, Metering.NET, seed=1, share=0.02)
    columns["episode"] = np.zeros(len(columns["reward"]), np.int32)
    write_log(folder / "log.parquet", columns, Metering.NET)
    return folder / "log.parquet"


def test_exploring_moves_the_action_and_costs_little(log_file: Path) -> None:
    table = parquet.read_table(log_file)
    fallback_w, policy_w = (
        np.column_stack([table[f"{k}_action_w_{p}"] for p in "abc"]) for k in ("fallback", "policy")
    )
    dither_w = (policy_w - fallback_w)[fallback_w.min(axis=1) > 200.0]
    assert 10.0 < float(dither_w.std()) < 400.0
    cost_w, base_w = (np.asarray(table[name]) for name in ("cost_w", "base_cost_w"))
    assert float(cost_w.mean()) < 3.0 * float(base_w.mean()) + 20.0


@pytest.mark.parametrize("learner", ["bc", "cql"])
def test_the_command_makes_a_bundle_that_verifies(learner: str, log_file: Path, tmp_path: Path) -> None:
    command = ["--learner", learner, "--data", str(log_file), "--out", str(tmp_path), "--batch", "16"]
    first = CliRunner().invoke(train, [*command, "--steps", "3"])
    assert first.exit_code == 0, first.output
    assert load_bundle(tmp_path / "bundle").manifest.name == f"{learner}-0"
    more = CliRunner().invoke(train, [*command, "--steps", "5", "--resume"])
    assert more.exit_code == 0, more.output
    assert "5 steps" in more.output


def test_ppo_practises_on_a_folder_of_traces(tmp_path: Path) -> None:
    find(tmp_path)
    command = ["--learner", "ppo", "--data", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(train, command)
    assert told.exit_code == 0, told.output
    assert load_bundle(tmp_path / "out" / "bundle").golden_error_w <= 0.01


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    told = CliRunner().invoke(train, ["--learner", "iql", "--data", str(tmp_path), "--out", str(tmp_path)])
    assert told.exit_code == 1
    assert "no Parquet file" in told.output
