"""Logs are replayed: surplus and delay are found again, and controllers are ranked."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from core.estimation.state_estimate import EstimatorState, estimate_state
from core.site import ZERO, Metering, per_phase
from core.snapshot import OnAirState, SlaveState, Snapshot
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site
from plant.site.trace import DAY_S, load_trace
from safety.pi import PiGains
from tests.training.site_days import ShippedDay
from training.batched.day_runs import measured_w
from training.batched.laws import pi_law
from training.data.days import Day
from training.data.samples import DatasetError, simulated_samples
from training.data.table import ACTION_NAMES
from training.evaluation import agreement as agreement_module
from training.evaluation.agreement import Rank, agreement, agreements, ranks, replayed
from training.evaluation.logs import GRID_NAMES, Logged, Rebuilt, of_dataset, of_samples, rebuild

FROM_S, TO_S = 40_000, 40_400
SHIPPED = ShippedDay(Path("shipped"), "val", "3ph")


def logged(extra_s: float) -> Logged:
    site = default_site(Metering.NET)
    acting = pilot("pi", site)
    assert acting is not None
    scenario = Scenario(load_trace(), site, "3ph", FROM_S, TO_S, 3, extra_s)
    return of_samples("log", simulated_samples(scenario, acting, 0))


@pytest.mark.parametrize("extra_s", [0, 2])
def test_the_surplus_and_the_delay_are_found_again(extra_s: int) -> None:
    rebuilt = rebuild([logged(float(extra_s))])
    assert rebuilt.extra_s == extra_s
    ((day, bare_w),) = rebuilt.bare_w.items()
    known = np.isfinite(bare_w).all(1)
    assert known.sum() == TO_S - FROM_S - 8
    error_w = (bare_w - measured_w(SHIPPED))[known]
    assert abs(error_w.mean()) < 30.0
    assert np.abs(error_w).mean() < 90.0
    assert rebuilt.of(day) is bare_w


@pytest.mark.parametrize("extra_s", [0, 2])
def test_the_belief_is_that_of_the_product(extra_s: int) -> None:
    on_air_w = np.random.default_rng(0).uniform(0.0, 5000.0, (60, 3))
    day = np.full((DAY_S, 3), np.nan)
    day[100:160] = on_air_w
    believed_w = Logged("x", day, day).believed_w(slice(100, 160), extra_s)
    belief = EstimatorState()
    site, slaves = default_site(), (SlaveState(),) * 9
    for tick in range(60):
        air = OnAirState(per_phase(on_air_w[max(0, tick - 1)].tolist()), (), 1.0)
        snapshot = Snapshot(tick, float(tick), ZERO, 0.0, slaves, air, extra_delay_s=float(extra_s))
        estimate, belief = estimate_state(site, snapshot, belief)
        assert believed_w[tick].tolist() == pytest.approx(estimate.model_w)


def log_of(surplus_w: float, *gaps: slice) -> Logged:
    """Slaves at rest, so that the meter shows the surplus itself."""
    grid_w, on_air_w = np.full((DAY_S, 3), -surplus_w / 3.0), np.zeros((DAY_S, 3))
    for gap in gaps:
        grid_w[gap] = np.nan
    return Logged("2026-06-01", grid_w, on_air_w)


def test_a_sample_speaks_of_the_second_before_its_tick() -> None:
    log = log_of(3000.0)
    log.grid_w[5000] = -2000.0
    bare_w = log.bare_w(0)
    assert (bare_w[4999] == -2000.0).all()
    assert (bare_w[5000] == -1000.0).all()


def test_only_whole_sunny_hours_without_a_gap_are_replayed() -> None:
    gap = slice(10_000, 10_002)
    hours = rebuild([log_of(3000.0, gap)]).hours()
    for _, begin in hours:
        assert not (begin - 60 <= 10_001 and begin + 3600 > 9_999)
    assert len(hours) >= 21
    assert rebuild([log_of(100.0)]).hours() == []
    with pytest.raises(DatasetError, match="no whole hour"):
        replayed(rebuild([log_of(100.0)]), {}, Metering.NET)


def test_a_file_of_a_data_set_is_read_day_by_day(tmp_path: Path) -> None:
    seconds = np.arange(DAY_S - 50, DAY_S + 50)
    columns = {name: np.full(100, -700.0, np.float32) for name in GRID_NAMES}
    columns |= {name: np.full(100, 300.0, np.float32) for name in ACTION_NAMES}
    fresh = np.arange(100) != 10
    parquet.write_table(pa.table({"unix_s": seconds, "is_fresh": fresh, **columns}), tmp_path / "x.parquet")
    first, second = of_dataset(tmp_path / "x.parquet")
    assert (first.name, second.name) == ("1970-01-01", "1970-01-02")
    assert np.isfinite(first.grid_w).all(1).sum() == 49
    assert np.isfinite(second.grid_w).all(1).sum() == 50
    assert second.on_air_w[0].tolist() == [300.0] * 3
    with pytest.raises(DatasetError, match="sunkeep dataset"):
        of_dataset(tmp_path / "none.parquet")


def test_the_better_controller_is_ranked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_module, "HOUR_S", 240)
    day = Day(Path("log"), "log", "logged")
    rebuilt = Rebuilt({day: measured_w(SHIPPED)}, 0)
    monkeypatch.setattr(Rebuilt, "hours", lambda self: [(day, FROM_S), (day, FROM_S + 900)])
    laws = {"PI tuned": pi_law(PiGains()), "slow": pi_law(PiGains(0.1, 0.02, 10.0))}
    heats, again = replayed(rebuilt, laws, Metering.NET)
    rows = ranks(heats, again)
    assert [rank.controller for rank in rows] == ["PI tuned", "slow"]
    assert rows[0].replayed_change == 0.0
    assert rows[1].replayed_change > 0.1
    assert agreements(rows) == {}


def test_agreement_of_orders() -> None:
    assert agreement([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == agreement([1.0, 5.0, 6.0], [1.0, 2.0, 9.0])
    found = agreement([1.0, 2.0, 3.0], [30.0, 20.0, 10.0])
    assert (found.spearman, found.kendall) == pytest.approx((-1.0, -1.0))
    rows = [
        Rank(str(number), 10.0 + number, 0.0, (0.0, 0.0), 20.0 + number, -float(number))
        for number in range(4)
    ]
    both = agreements(rows)
    assert both["replay"].spearman == pytest.approx(1.0)
    assert both["fitted Q evaluation"].kendall == pytest.approx(1.0)
