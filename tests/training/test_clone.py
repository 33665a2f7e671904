"""What is taught, how it is learnt, and that the exported graph is what was learnt."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from core.estimation.state_estimate import StateEstimate
from core.parts import Fallback
from core.site import Metering, Phases
from models.bundle import load_bundle
from models.features import FEATURE_NAMES
from plant.site.trace import load_trace
from training.artifacts.export import Lineage, export_bundle, graph_bytes
from training.data.days import Day, DaysError, data_sha256, daylight_s, find_days
from training.imitation.clone import fit, mean_error_w, shortfall_w
from training.imitation.demonstrations import (
    DemonstrationDataset,
    RecordingExpert,
    Student,
    attend,
    orders,
    vary,
)
from training.imitation.policy_net import FeatureScaling, PolicyNet
from training.imitation.scaling import scaling_of

LINEAGE = Lineage("toy", 1, datetime(2026, 6, 1, tzinfo=UTC), "absorb", "net", "0" * 40, "0" * 64, "0.1.0")


def lessons(count: int, seed: int = 0) -> DemonstrationDataset:
    """A law the network can learn: the surplus and 0.9 of its change, bounded by 0 and 5000 W."""
    rng = np.random.default_rng(seed)
    states = rng.normal(0.0, 100.0, (count, 30)).astype(np.float32)
    surplus, change = states[:, 0:27:9], states[:, 1:27:9]
    surplus += 800.0
    actions_w = np.clip(surplus + 0.9 * change, 0.0, 5000.0).astype(np.float32)
    return DemonstrationDataset(states, actions_w, np.full((count, 3), 5000.0, np.float32))


def untrained() -> PolicyNet:
    torch.manual_seed(0)
    return PolicyNet(FeatureScaling(torch.zeros(30), torch.full((30,), 100.0)))


def test_an_untrained_network_answers_with_the_surplus_within_its_bounds() -> None:
    state = torch.zeros(2, 30)
    state[0, 0], state[0, 9], state[0, 18] = 1200.0, -300.0, 9000.0
    assert untrained()(state).tolist() == [[1200.0, 0.0, 5000.0], [0.0, 0.0, 0.0]]


def test_what_lies_beyond_a_bound_is_no_error() -> None:
    answers = torch.tensor([[-400.0, 100.0, 6000.0, 900.0, 950.0]])
    taught = torch.tensor([[0.0, 0.0, 5000.0, 5000.0, 1000.0]])
    capacity = torch.full((1, 5), 5000.0)
    assert shortfall_w(answers, taught, capacity).tolist() == [[0.0, 100.0, 0.0, -4100.0, -50.0]]


def test_training_finds_a_known_law() -> None:
    taught, unseen = lessons(20_000), lessons(2_000, seed=1)
    net = PolicyNet(scaling_of(torch.from_numpy(taught.states)))
    before_w = mean_error_w(net, unseen)
    after_w = mean_error_w(fit(net, taught, unseen, epochs=6, seed=0), unseen)
    assert before_w > 60.0
    assert after_w < 10.0


def test_training_does_not_make_the_choice_worse_than_the_start() -> None:
    unseen = lessons(500, seed=1)
    wrong = DemonstrationDataset(unseen.states, unseen.actions_w + 3000.0, unseen.capacity_w)
    net = PolicyNet(scaling_of(torch.from_numpy(unseen.states)))
    chosen = fit(net, wrong, unseen, epochs=1, seed=0)
    assert mean_error_w(chosen, unseen) <= mean_error_w(net, unseen)


def test_the_same_seed_gives_the_same_graph_byte_for_byte() -> None:
    def train() -> bytes:
        torch.manual_seed(3)
        taught = lessons(3_000)
        return graph_bytes(
            fit(PolicyNet(scaling_of(torch.from_numpy(taught.states))), taught, lessons(500, 1), 1, seed=3)
        )

    assert train() == train()


def test_the_exported_bundle_answers_like_the_network(tmp_path: Path) -> None:
    taught = lessons(4_000)
    net = fit(
        PolicyNet(scaling_of(torch.from_numpy(taught.states))), taught, lessons(500, 1), epochs=1, seed=0
    )
    bundle = export_bundle(net, taught.states, taught.actions_w, LINEAGE, tmp_path / "toy").bundle
    session = ort.InferenceSession((tmp_path / "toy" / "policy.onnx").read_bytes())
    with torch.no_grad():
        answers = net(torch.from_numpy(taught.states)).numpy()
    for state, answer in zip(taught.states[:200], answers[:200], strict=True):
        (found,) = session.run(None, {"state": state[None]})
        assert np.abs(found - answer).max() <= 0.01
    assert bundle.normalization.features["surplus_hat_w_b"].mean == pytest.approx(800.0, abs=10.0)
    ranges = bundle.manifest.training_range["surplus_hat_w_a"]
    assert (ranges.low, ranges.high) == (taught.states[:, 0].min(), taught.states[:, 0].max())
    assert load_bundle(tmp_path / "toy", "0.1.0").sha256 == bundle.sha256


def test_the_graph_names_no_file_of_the_machine() -> None:
    graph = graph_bytes(untrained())
    assert b".py" not in graph
    assert str(Path(__file__).parents[2]).encode() not in graph


def test_a_lesson_holds_in_every_order_of_the_phases() -> None:
    columns, phases = orders()
    assert sorted(map(tuple, phases.tolist())) == sorted(set(map(tuple, phases.tolist())))
    for column_order, phase_order in zip(columns, phases, strict=True):
        names = [FEATURE_NAMES[i] for i in column_order]
        expected = [
            f"{name.removesuffix('_a')}_{'abc'[phase]}" for phase in phase_order for name in FEATURE_NAMES[:9]
        ]
        assert names == expected + list(FEATURE_NAMES[27:])


def test_varied_lessons_are_the_same_lessons() -> None:
    taught = lessons(500)
    varied = vary(taught, np.random.default_rng(0))
    assert mean_error_w(untrained(), varied) == pytest.approx(mean_error_w(untrained(), taught))
    assert not np.array_equal(varied.states[:, :27], taught.states[:, :27])
    assert np.array_equal(np.sort(varied.actions_w), np.sort(taught.actions_w))
    assert varied.states[:, 27].std() > 1.0


class LinearLaw:
    """Proposes a number that grows with every tick."""

    cold = 0

    def propose(self, estimate: StateEstimate, memory: int) -> tuple[Phases, int]:
        return (float(memory), 0.0, 0.0), memory + 1

    def track(self, memory: int, estimate: StateEstimate, safe_action_w: Phases) -> int:
        return memory


def test_the_student_notes_the_proposal_of_the_same_tick() -> None:
    law: Fallback = LinearLaw()
    witness = RecordingExpert(law)
    student = Student(witness, np.random.default_rng(0), None)
    estimate = StateEstimate(
        True, (0.0,) * 3, (1.0,) * 3, (0.0,) * 3, (0.0,) * 3, (10.0, 20.0, 30.0), 1.0, 2.0, 1.0
    )
    memory = witness.cold
    for tick in range(3):
        _, memory = witness.propose(estimate, memory)
        student.propose((float(tick),) * 30, ())
    assert [row[0] for row in student.rows] == [row[30] for row in student.rows] == [0.0, 1.0, 2.0]
    assert student.rows[0][33:] == (10.0, 20.0, 30.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shipped day as its only trace."""
    trace = load_trace()
    np.savez(tmp_path / "day.npz", pv_w=trace.pv_w, p_a_w=trace.load_w[:, 0], p_b_w=trace.load_w[:, 1],
             p_c_w=trace.load_w[:, 2])  # fmt: skip
    rows = [{"file": "somewhere/day.npz", "split": "train", "pv_connection": "3ph"}]
    (tmp_path / "SUMMARY.json").write_text(json.dumps(rows))
    return tmp_path


def test_the_split_of_the_summary_is_kept(folder: Path) -> None:
    (day,) = find_days(folder, "train")
    assert day == Day(folder / "day.npz", "train", "3ph")
    with pytest.raises(DaysError, match="test"):
        find_days(folder, "test")
    first = data_sha256((day,))
    day.path.write_bytes(day.path.read_bytes() + b" ")
    assert data_sha256((day,)) != first


def test_a_folder_without_a_summary_is_named(tmp_path: Path) -> None:
    with pytest.raises(DaysError, match=r"SUMMARY\.json"):
        find_days(tmp_path, "train")


@pytest.mark.parametrize("teacher", ["predictive", "pi"])
def test_lessons_come_from_the_products_own_loop(folder: Path, teacher: str) -> None:
    (day,) = find_days(folder, "train")
    first_s, end_s = daylight_s(day.load())
    noted = attend(day, teacher, Metering.NET, seed=1, share=0.02)
    again = attend(day, teacher, Metering.NET, seed=1, share=0.02)
    assert len(noted) == pytest.approx(0.02 * (end_s - first_s), abs=2)
    assert np.array_equal(noted.states, again.states)
    assert np.array_equal(noted.actions_w, again.actions_w)
    assert (noted.capacity_w == 5000.0).all()
    assert np.isfinite(noted.states).all()
    followed = noted.states[:, 5:27:9] + noted.states[:, 0:27:9]
    assert followed.max() > 100.0  # somebody acted
