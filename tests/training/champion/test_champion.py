"""The champion's bundle, the command that makes it, and the contest it is judged in."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from pyarrow import parquet

import training.champion.train
import training.contest.contest
from core.site import Metering
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site, simulate
from models.bundle import load_bundle
from models.features import FEATURE_NAMES
from plant.site.trace import load_trace
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.export import Lineage, sequence_error_w
from training.batched.day_runs import DayScenario, beyond_ws, rows_of
from training.batched.laws import predictive_law
from training.batched.simulator import View
from training.batched.windows import read_days
from training.champion.train import EXAMPLE_S, examples, record_run, write_bundle
from training.contest.contest import compete
from training.contest.relative_to_pi import MARGINS_W, export_at
from training.contest.results import as_table, standings
from training.data.days import data_sha256, find_days
from training.replay.differentiable_replay import ReplayPlan
from training.replay.network import HIDDEN, MEMORY, ReplayNet
from training.replay.trainer import RunLength

LIT_S = (40_000, 40_800)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days with 13 minutes of light and a load that switches."""
    where = tmp_path_factory.mktemp("days")
    second = np.arange(86_400)
    rows = []
    for number, split in enumerate(("train", "val")):
        load = {f"p_{phase}_w": np.full(86_400, 250.0) for phase in "abc"}
        load["p_b_w"] = load["p_b_w"] + 1400.0 * (second // (37 + number) % 2)
        lit = (second >= LIT_S[0]) & (second < LIT_S[1])
        columns = {"t": second, **load, "pv_w": np.where(lit, 8000.0, 0.0)}
        parquet.write_table(pa.table(columns), where / f"{split}.parquet")
        rows.append({"file": f"{split}.parquet", "split": split, "pv_connection": "3ph"})
    (where / "SUMMARY.json").write_text(json.dumps(rows))
    return where


def lively() -> ReplayNet:
    torch.manual_seed(4)
    net = ReplayNet()
    torch.nn.init.normal_(net.last.weight, std=0.05)
    return net.eval()


def test_an_untrained_network_is_the_predictive_law() -> None:
    net, states = ReplayNet(), torch.randn(50, 30) * 800.0
    memory = net.cold(1)
    law, cell = predictive_law(PredictiveGains()), None
    for state in states.split(1):  # type: ignore[no-untyped-call]
        action_w, memory = net(state, memory)
        surplus_w = state[:, 0:27:9]
        view = View(state, surplus_w, surplus_w, surplus_w, torch.full((1, 3), 5000.0))
        expected_w, cell = law(view, cell)
        assert action_w[0].tolist() == pytest.approx(expected_w[0].tolist(), abs=0.01)


def test_the_phases_are_treated_alike() -> None:
    net, state = lively(), torch.randn(4, 30) * 500.0
    turned = torch.cat([state[:, 9:27], state[:, :9], state[:, 27:]], 1)
    with torch.no_grad():
        answer, memory = net(state, net.cold(4))
        other, turned_memory = net(turned, net.cold(4))
    assert torch.allclose(answer.roll(-1, 1), other, atol=1e-2)
    assert torch.allclose(memory.roll(-1, 1), turned_memory, atol=1e-2)


@pytest.mark.slow
def test_the_bundle_answers_like_the_network_along_a_sequence_with_a_restart(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.champion.train, "EXAMPLES", 3)
    net, days = lively(), find_days(folder, "train")
    sunshine = read_days(days)
    write_bundle(net, sunshine, tmp_path, Lineage.now("toy", 7, "net", data_sha256(days)), seed=0)
    bundle = load_bundle(tmp_path)
    (tensor,) = bundle.manifest.memory
    assert tensor.shape == (1, 3, MEMORY) == (1, 3, HIDDEN + 4)
    assert bundle.manifest.bundle_version == 7
    assert (tmp_path / "policy.onnx").stat().st_size < 2_000_000
    states, actions_w = examples(net, sunshine, 4, seed=1)
    assert sequence_error_w(net, bundle, states[:600], tensor.shape) <= 0.01
    assert states.shape[1] == len(FEATURE_NAMES)
    assert states[:, 0].std() == pytest.approx(states[:, 9].std(), rel=1e-3)
    assert 0.0 <= actions_w.min() <= actions_w.max() <= 5000.0


def test_the_first_examples_are_one_site_second_by_second(folder: Path) -> None:
    sunshine = read_days(find_days(folder, "train"))
    states, _ = examples(lively(), sunshine, 4, seed=1)
    surplus = FEATURE_NAMES.index("surplus_hat_w_a")
    change = FEATURE_NAMES.index("surplus_change_1s_w_a")
    first = states[: EXAMPLE_S - 1]
    assert np.diff(first[:, surplus]) == pytest.approx(first[1:, change], abs=0.01)


def test_the_command_trains_exports_and_judges(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.champion.train, "EXAMPLES", 3)
    monkeypatch.setattr(
        training.champion.train, "SHORT_PLAN", ReplayPlan(rows=3, groups=2, stretch_s=20, lead_s=5)
    )
    course = RunLength(updates=2, check_every=1, window_s=120, windows=2)
    monkeypatch.setattr(training.champion.train, "SHORT_COURSE", course)
    arguments = ["--traces", str(folder), "--out", str(tmp_path), "--short"]
    result = CliRunner().invoke(training.champion.train.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"bundle", "best.safetensors", "last.safetensors"}
    site = default_site()
    scenario = Scenario(load_trace(), site, start_s=40_000, end_s=40_200)
    run = simulate(scenario, pilot("policy", site, bundle=tmp_path / "bundle"))
    assert run.score.unsafe_actions == 0
    assert {source.value: ticks for source, ticks in run.acted.items() if ticks} == {"policy": 200}


def test_a_folder_with_another_run_is_refused(folder: Path, tmp_path: Path) -> None:
    days = find_days(folder, "train")
    record_run(tmp_path, folder, days, seed=0)
    record_run(tmp_path, folder, days, seed=0)
    for others, seed in ((find_days(folder, "val"), 0), (days, 1)):
        with pytest.raises(CheckpointError, match="give another --out"):
            record_run(tmp_path, folder, others, seed)
    made_with = {"window_s": 1260, "windows": None, "learning_rate": 3e-4}
    with pytest.raises(CheckpointError, match=r"window_s unknown \(now 1260\), windows unknown"):
        record_run(tmp_path, folder, days, 0, made_with=made_with)
    other = tmp_path / "other"
    record_run(other, folder, days, 0, made_with=made_with)
    record_run(other, folder, days, 0, made_with=made_with)
    with pytest.raises(CheckpointError, match=r"was made with windows without limit \(now 12\); give"):
        record_run(other, folder, days, 0, made_with=made_with | {"windows": 12})


def test_a_contest_shows_every_controller_at_equal_import(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.contest.contest, "lit_hours", lambda day: (LIT_S[0], LIT_S[0] + 300))
    monkeypatch.setattr(training.contest.contest, "rows_of", lambda heats, _seconds: rows_of(heats, 240))
    field = compete(find_days(folder, "val"), (0,), {"champion": ReplayNet().policy}, PiGains())
    rows = standings(field)
    assert len(rows) == 2 * 3 * 3
    by_name = {(row.controller, row.metering, row.extra_delay_s): row for row in rows}
    pi, law, net = (by_name[name, "net", 0] for name in ("pi", "predictive", "champion"))
    assert pi.j_change.value == 0.0
    assert pi.export_change.value == pytest.approx(0.0, abs=1e-9)
    assert net.j_wh == pytest.approx(law.j_wh, rel=1e-2)  # untrained
    low, high = law.j_change.over_hours
    assert low <= law.j_change.value <= high
    assert by_name["pi", "net", 2].j_wh > pi.j_wh
    assert pi.beyond_wh == 0.0
    assert pi.j_wh == pytest.approx(pi.export_wh + 0.5 * pi.avoidable_wh)
    assert len(field.heats["pi"]) == 2 * 2 * (len(MARGINS_W) + 2)
    assert as_table(rows).row_count == len(rows)


def test_export_is_compared_between_margins_and_never_beyond() -> None:
    exports, imports = (30.0, 10.0, 20.0), (100.0, 300.0, 200.0)
    assert export_at(150.0, exports, imports) == 25.0
    assert np.isnan(export_at(350.0, exports, imports))
    assert np.isnan(export_at(50.0, exports, imports))


@pytest.mark.parametrize(("metering", "expected_w"), [(Metering.NET, 3000.0), (Metering.PER_PHASE, 4000.0)])
def test_what_exceeds_all_slaves_is_nobodys_doing(
    metering: Metering, expected_w: float, folder: Path
) -> None:
    day = find_days(folder, "val")[0]
    rows = rows_of([DayScenario(day, LIT_S[0], metering, 0, 0)], 100)
    rows.bare_w[1:] = torch.tensor([-9000.0, -5000.0, -4000.0])
    assert float(beyond_ws(rows)[0]) == pytest.approx(100 * expected_w)
