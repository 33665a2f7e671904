"""Tuning: what is read, what is scored, where candidates come from, and that better gains win."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.site import Metering
from daemon.simulate import default_site
from plant.trace import COLUMNS, DAY_S
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training import tune


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sunny training day with passing clouds, a dark one, and a test day that cannot be read."""
    place = tmp_path_factory.mktemp("traces")
    t = np.arange(DAY_S)
    clouds = 5000 + 2500 * np.sign(np.sin(t * 2 * np.pi / 90)) * np.clip(
        np.abs(np.sin(t * 2 * np.pi / 90)) * 3, 0, 1
    )
    for name, pv in (("sunny", clouds), ("dark", np.zeros(DAY_S))):
        loads = [np.full(DAY_S, 250.0)] * 3
        np.savetxt(
            place / f"{name}.csv",
            np.column_stack([t, *loads, pv]),
            "%.7g",
            ",",
            header=",".join(COLUMNS),
            comments="",
        )
    days = [
        {"file": "elsewhere/sunny.csv", "split": "train", "pv_connection": "3ph"},
        {"file": "elsewhere/dark.csv", "split": "train", "pv_connection": "3ph"},
        {"file": "elsewhere/absent.csv", "split": "test", "pv_connection": "A"},
    ]
    (place / "SUMMARY.json").write_text(json.dumps(days))
    return place


def test_only_sunny_parts_of_training_days_are_used(folder: Path) -> None:
    stretches = tune.training_stretches(folder, default_site(), 3, stretch_s=300, per_day=2)
    assert len(stretches) == 2
    assert {s.scenario.trace.name for s in stretches} == {str(folder / "sunny.csv")}
    assert {s.scenario.end_s - s.scenario.start_s for s in stretches} == {300}
    assert stretches[0].scenario.seed != stretches[1].scenario.seed
    again = tune.training_stretches(folder, default_site(), 3, stretch_s=300, per_day=2)
    assert [s.scenario.start_s for s in again] == [s.scenario.start_s for s in stretches]


@pytest.mark.parametrize(("metering", "beyond_w"), [(Metering.NET, 1000.0), (Metering.PER_PHASE, 11000.0)])
def test_what_nobody_can_place_is_not_scored(folder: Path, metering: Metering, beyond_w: float) -> None:
    (stretch,) = tune.training_stretches(folder, default_site(metering), 3, stretch_s=60)
    flat = np.full(DAY_S, 16_750.0)
    trace = type(stretch.scenario.trace)("flat", stretch.scenario.trace.load_w, flat)
    scenario = replace(stretch.scenario, trace=trace, connection="A")
    assert tune._beyond_w(scenario) == pytest.approx(
        beyond_w + (500.0 if metering is Metering.PER_PHASE else 0.0)
    )


def test_lame_gains_lose(folder: Path) -> None:
    stretches = tune.training_stretches(folder, default_site(), 3, stretch_s=300)
    good, lame = (tune.judge(gains, stretches) for gains in (PiGains(), PiGains(0.1, 0.02, 10.0)))
    assert good.j_w < 0.8 * lame.j_w
    assert good.j_w == pytest.approx(good.export_w + 0.5 * good.avoidable_import_w)


def test_candidates_stay_in_their_ranges() -> None:
    luck = np.random.default_rng(2)
    for law, default in (("pi", PiGains()), ("predictive", PredictiveGains())):
        for _ in range(50):
            for gains in (tune.draw(law, luck), tune.near(default, law, luck, share=2.0)):
                for name, (low, high) in tune.RANGES[law].items():
                    assert low <= getattr(gains, name) <= high
        assert all(low <= getattr(default, name) <= high for name, (low, high) in tune.RANGES[law].items())


def test_a_whole_search(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "candidates.json"
    tune.main(
        [
            str(folder),
            "--law",
            "predictive",
            "--minutes",
            "2",
            "--rounds",
            "2",
            "1",
            "--processes",
            "1",
            "--json",
            str(out),
        ]
    )
    rows = json.loads(out.read_text())
    assert len(rows) == 4
    assert [row["j_w"] for row in rows] == sorted(row["j_w"] for row in rows)
    assert "default" in capsys.readouterr().out
