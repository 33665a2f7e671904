"""The fit of the tripping tier, from numbers to the running daemon."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.decision import Authority, State
from core.parts import cold_start
from core.roles import Role
from core.site import Metering
from core.tick import decide
from daemon import calibration as fitting
from daemon import embedded
from daemon.assembly import assemble_from
from daemon.calibration import (
    Days,
    Numbers,
    fit,
    fit_picture,
    fit_tail,
    ledoit_wolf,
    persistent,
    precision_of,
)
from daemon.calibration_file import (
    CalibrationError,
    CalibrationRecord,
    TailRecord,
    load_calibration,
    require_site,
    save_calibration,
)
from daemon.checklist import walk
from daemon.commands.calibrate import calibrate
from daemon.commands.replay import replay
from daemon.observed_days import gather
from daemon.records import Start, Tick, to_line
from daemon.settings import Settings, load_settings
from daemon.simulate import Scenario, Wires
from models.features import FEATURE_NAMES
from plant.trace import load_trace
from safety.anomaly import HOURS, CalibratedDetector, Seen, ZScoreDetector
from safety.timers import Standing, to_record
from tests.core.examples import snapshot
from tests.daemon.configuration import write_configuration
from tests.daemon.whole import until, whole

N = len(FEATURE_NAMES)
MAGNITUDE = np.array([fitting._LEAST_SCALE[fitting._kind(name)] for name in FEATURE_NAMES]) * 10.0


def wandering(days: int, seed: int, period_s: float = 20.0) -> Days:
    """Autocorrelated features (AR(1), 0.98), with a mean that follows the hour."""
    rng = np.random.default_rng(seed)
    count = int(days * 86400 / period_s)
    shocks = rng.standard_normal((count, N)) * np.sqrt(1.0 - 0.98**2)
    values = np.zeros((count, N))
    for tick in range(1, count):
        values[tick] = 0.98 * values[tick - 1] + shocks[tick]
    hour = ((np.arange(count) * period_s / 3600.0) % 24).astype(np.int8)
    values += np.sin(hour / 24.0 * 2.0 * np.pi)[:, None]
    return Days((values * MAGNITUDE).astype(np.float32), hour, period_s)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fit(wandering(16, seed=1))


def distances(fitted: fitting.Fit, days: Days) -> Numbers:
    numbers = fitted.calibration
    picture = fitting.Picture(*map(np.array, (numbers.median, numbers.scale, numbers.precision)))
    return picture.distances(days)


def test_at_most_one_false_trip_in_thirty_days_of_the_same_kind(fitted: fitting.Fit) -> None:
    beyond = np.flatnonzero(
        persistent(distances(fitted, wandering(30, seed=2))) > fitted.calibration.threshold
    )
    assert np.count_nonzero(np.diff(beyond) > 100) + bool(len(beyond)) <= 1


def test_a_picture_unlike_the_site_trips_within_ten_ticks(fitted: fitting.Fit) -> None:
    day = wandering(1, seed=3)
    strange = day.features.copy()
    strange[2000:] *= 10.0
    trips = persistent(distances(fitted, replace(day, features=strange))) > fitted.calibration.threshold
    assert not trips[:2000].any()
    assert trips[2010:2100].mean() > 0.9


def test_arrays_and_the_detector_agree_tick_by_tick(fitted: fitting.Fit) -> None:
    day = wandering(1, seed=4)
    day = Days(day.features[:400] * np.float32(3.0), day.hour[:400].copy(), day.period_s)
    day.hour[::7] = -1
    squared = distances(fitted, day)
    level = float(np.quantile(squared, 0.7)) * 1.0001
    detector = CalibratedDetector(ZScoreDetector((), (), ()), replace(fitted.calibration, threshold=level))
    memory, trips = Seen(since_s=-1e6), []
    for tick, (row, hour) in enumerate(zip(day.features.tolist(), day.hour.tolist(), strict=True)):
        seen = replace(snapshot(at_s=float(tick)), hour=None if hour < 0 else hour)
        anomaly, memory = detector.inspect(seen, row, None, memory)
        assert memory.beyond[-1] == (squared[tick] > level)
        trips.append(anomaly.trip)
    assert trips == (persistent(squared) > level).tolist()
    assert 0 < sum(trips) < 400


def test_hours_have_their_own_medians(fitted: fitting.Fit) -> None:
    median = np.array(fitted.calibration.median) / MAGNITUDE
    assert len(median) == HOURS + 1
    assert np.mean(median[6]) > 0.7
    assert np.mean(median[18]) < -0.7
    assert abs(np.mean(median[HOURS])) < 0.2


def test_an_hour_without_ticks_is_judged_like_the_whole_day() -> None:
    day = wandering(4, seed=5, period_s=10.0)
    keep = day.hour >= 6
    picture = fit_picture(Days(day.features[keep], day.hour[keep], 10.0))
    assert picture.median[2].tolist() == picture.median[HOURS].tolist()


def test_shrinkage_is_the_one_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((40, 5)) * np.array([1.0, 2.0, 3.0, 1.0, 1.0])
    sample = sum(np.outer(row, row) for row in scores) / 40
    m = np.trace(sample) / 5
    d2 = np.sum((sample - m * np.eye(5)) ** 2) / 5
    b2 = min(d2, sum(np.sum((np.outer(row, row) - sample) ** 2) for row in scores) / 40**2 / 5)
    expected = b2 / d2 * m * np.eye(5) + (1 - b2 / d2) * sample
    assert np.allclose(ledoit_wolf(scores), expected)
    assert 0.0 < b2 < d2
    assert np.allclose(ledoit_wolf(np.ones((9, 1))), 1.0)


def test_a_direction_that_stood_still_is_no_evidence() -> None:
    precision = precision_of(np.diag([1.0, 1.0, 1e-9]))
    floor = fitting.VARIANCE_FLOOR * 2.0 / 3.0
    assert np.allclose(np.diag(precision), [1.0, 1.0, 1.0 / floor], rtol=1e-6)


def test_the_level_of_a_known_tail() -> None:
    maxima = np.exp(np.random.default_rng(0).exponential(0.4, 20_000))
    maxima = maxima[np.argsort(np.random.default_rng(1).random(20_000))]
    tail = fit_tail(maxima, 1.0 / 24.0)
    exact = np.exp(0.4 * np.log(24 * 60))  # once in 60 days of 24 blocks
    assert tail.level_of(60.0) == pytest.approx(exact, rel=0.15)
    assert tail.level_of(600.0) > tail.level_of(60.0)
    assert tail.level_of(1e-6) == tail.level


def test_neighbouring_extremes_are_one_event() -> None:
    alone = np.concatenate([np.tile([1.0, 1.1, 1.2, 1.05], 45), [9.0, 9.5, 9.9], [1.0] * 5])
    tail = fit_tail(alone, 1.0)
    assert tail.events_per_day < 20 / len(alone)


def test_blocks_that_are_all_alike_have_no_tail() -> None:
    for maxima in (np.ones(50), np.zeros(50)):
        with pytest.raises(ValueError, match="alike"):
            fit_tail(maxima, 1.0)


@pytest.mark.parametrize("count", [0, 19])
def test_a_tail_needs_blocks(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} blocks"):
        fit_tail(np.ones(count), 1.0)


def test_numbers_that_are_none_are_refused() -> None:
    days = wandering(1, seed=0)
    days.features[5, 5] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        fit(days)


def test_persistence_is_the_fifth_of_ten() -> None:
    values = np.random.default_rng(3).random(300)
    expected = [sorted([0.0] * 9 + values[: i + 1].tolist())[-10:][5] for i in range(10)]
    windows = [sorted(values[i - 9 : i + 1])[5] for i in range(10, 300)]
    assert persistent(values)[10:].tolist() == windows
    assert persistent(values)[:10].tolist() == expected


def record(settings: Settings, fitted: fitting.Fit) -> CalibrationRecord:
    numbers, site, now = fitted.calibration, settings.core_site(), datetime(2026, 1, 2, tzinfo=UTC)
    tail = fitted.tail
    return CalibrationRecord(
        created_at_utc=now,
        sunkeep_version="0",
        role=site.role.value,
        metering=site.metering.value,
        period_s=site.period_s,
        days=16.0,
        first_utc=now,
        last_utc=now,
        false_trip_days=30.0,
        tail=TailRecord(
            level=tail.level, events_per_day=tail.events_per_day, shape=tail.shape, scale=tail.scale
        ),
        feature_names=numbers.names,
        median=numbers.median,
        scale=numbers.scale,
        precision=numbers.precision,
        threshold=numbers.threshold,
    )


def configured(folder: Path, calibration: str | None = "anomaly.json") -> Path:
    config = write_configuration(folder)
    if calibration is not None:
        config.write_text(config.read_text() + f'\n[anomaly]\ncalibration = "{calibration}"\n')
    return config


def test_a_record_reads_back_exactly_and_serves_the_detector(tmp_path: Path, fitted: fitting.Fit) -> None:
    settings = load_settings(configured(tmp_path))
    assert settings.anomaly.calibration == tmp_path / "anomaly.json"
    saved = save_calibration(record(settings, fitted), tmp_path / "anomaly.json")
    loaded = load_calibration(tmp_path / "anomaly.json")
    assert loaded == saved
    assert loaded.calibration() == fitted.calibration
    assembled = assemble_from(settings)
    assert isinstance(assembled.parts.detector, CalibratedDetector)
    assert (assembled.calibration, assembled.calibration_problem) == (saved, "")
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "anomaly detector")
    assert (item.ok, "calibrated on 16 days" in item.detail) == (True, True)


CHANGES = [
    (lambda text: "", "not valid"),
    (lambda text: text[:-20], "not valid"),
    (lambda text: text.replace('"days":16.0', '"days":17.0'), "changed or damaged"),
    (lambda text: text.replace('"schema_version":1', '"schema_version":2'), "schema_version"),
    (lambda text: text.replace('"days":16.0', '"days":NaN'), "not valid"),
    (lambda text: text.replace('"days":16.0', '"days":"16"'), "'days'"),
    (lambda text: text.replace('"days"', '"dais"'), "not valid"),
    (lambda text: text.replace('"median":[[', '"median":[[1.0,'), "does not fit together"),
    (lambda text: "x" * 1_000_001, "larger than"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_a_damaged_record_leaves_a_detector_that_flags_only(
    tmp_path: Path, fitted: fitting.Fit, change: Any, words: str
) -> None:
    settings = load_settings(configured(tmp_path))
    file = tmp_path / "anomaly.json"
    save_calibration(record(settings, fitted), file)
    file.write_text(change(file.read_text()))
    with pytest.raises(CalibrationError, match=words):
        load_calibration(file)
    assembled = assemble_from(settings)
    assert isinstance(assembled.parts.detector, ZScoreDetector)
    assert assembled.calibration is None
    assert words in assembled.calibration_problem
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "anomaly detector")
    assert not item.ok


def test_without_a_calibration_the_detector_flags_only_and_the_checklist_says_so(tmp_path: Path) -> None:
    settings = load_settings(configured(tmp_path, None))
    assembled = assemble_from(settings)
    assert isinstance(assembled.parts.detector, ZScoreDetector)
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "anomaly detector")
    assert (item.ok, "flags and never trips" in item.detail) == (True, True)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path / "anomaly.json")


def test_a_calibration_belongs_to_one_kind_of_site(tmp_path: Path, fitted: fitting.Fit) -> None:
    settings = load_settings(configured(tmp_path))
    made, site = record(settings, fitted), settings.core_site()
    require_site(made, site)
    for other in (
        replace(site, role=Role.GENERATE),
        replace(site, period_s=2.0),
        replace(site, metering=Metering.PER_PHASE),
    ):
        with pytest.raises(CalibrationError, match="Calibrate again"):
            require_site(made, other)
    other_features = save_calibration(
        made.model_copy(update={"feature_names": (*FEATURE_NAMES[1:], "x")}), tmp_path / "other.json"
    )
    assert other_features.sha256
    with pytest.raises(CalibrationError, match="other features"):
        load_calibration(tmp_path / "other.json")


TICKS = 700


@contextmanager
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of 30 ticks, so that minutes suffice."""
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "BLOCK_S", 30.0)
        yield


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A journal of simulated control, and what the detector was shown then."""
    folder = tmp_path_factory.mktemp("site")
    config = configured(folder, None)
    settings = load_settings(config)
    assembled = assemble_from(settings)
    shown: list[Any] = []
    inspect = assembled.parts.detector.inspect

    class Watched:
        cold = assembled.parts.detector.cold

        def inspect(self, *seen: Any) -> Any:
            shown.append(seen[1])
            return inspect(*seen)

    parts = replace(assembled.parts, detector=Watched())
    memory = cold_start(parts)
    scenario = Scenario(load_trace(), settings.core_site(), start_s=12 * 3600, end_s=12 * 3600 + TICKS)
    far_end = scenario.far_end()
    wires = Wires(scenario, far_end)
    start = Start(
        version="0",
        unix_s=1.8e9,
        run="1",
        settings_path=str(config),
        settings_toml=config.read_text(),
        bundle_sha256="",
        standing=to_record(Standing()),
    )
    lines, kept = [to_line(start)], []
    for second in range(TICKS):
        seen = replace(wires.snapshot(), hour=12)
        if second % 50 == 49:
            seen = replace(seen, meter_age_s=1.5)
        decision, memory = decide(seen, Authority.FALLBACK, memory, parts)
        wires.transmit(decision)
        far_end.step()
        tick = Tick(
            unix_s=1.8e9 + second,
            snapshot=seen,
            authority=Authority.FALLBACK,
            propensity=1.0,
            block=0,
            confounded=False,
            decision=decision,
        )
        lines.append(to_line(tick))
        if decision.sight.fresh and decision.verdict.state in (State.PI_FALLBACK, State.RL_ACTIVE):
            kept.append(shown[-1])
    (folder / "journal").mkdir()
    (folder / "journal" / "run-0000.journal").write_bytes(b"".join(lines))
    return config, np.array(kept, np.float32)


def test_the_features_are_those_that_the_detector_was_shown(journal: tuple[Path, Any]) -> None:
    config, shown = journal
    shares: list[float] = []
    gathered = gather(config.parent / "journal", load_settings(config).core_site(), shares.append)
    days = gathered.arrays()
    assert np.array_equal(days.features, shown)
    assert set(days.hour.tolist()) == {12}
    assert gathered.ticks + gathered.left_out == TICKS
    assert gathered.left_out >= TICKS // 50
    assert shares == [1.0]
    assert gathered.days == pytest.approx(len(shown) / 86400.0)


def test_days_of_another_kind_of_site_do_not_count(journal: tuple[Path, Any]) -> None:
    config, _ = journal
    site = replace(load_settings(config).core_site(), metering=Metering.PER_PHASE)
    assert gather(config.parent / "journal", site).ticks == 0


def test_the_command_refuses_too_few_days_and_says_how_many(journal: tuple[Path, Any]) -> None:
    config, _ = journal
    arguments = ["--config", str(config), "--journal", str(config.parent / "journal"), "--out"]
    out = config.parent / "refused.json"
    result = CliRunner().invoke(calibrate, [*arguments, str(out)])
    assert result.exit_code == 2
    assert "hold 0.01 days of normal control, and 14 are needed" in result.output
    assert "max_mb of at least" in result.output
    result = CliRunner().invoke(calibrate, [*arguments, str(out), "--days", "0"])
    assert (result.exit_code, "do not suffice" in result.output) == (2, True)
    assert not out.exists()


def test_the_command_writes_what_the_settings_can_name(
    journal: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, shown = journal
    out = config.parent / "anomaly.json"
    arguments = ["--config", str(config), "--journal", str(config.parent / "journal"), "--out", str(out)]
    with short_blocks(monkeypatch):
        result = CliRunner().invoke(calibrate, [*arguments, "--days", "0.005", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    written = load_calibration(out)
    assert facts["sha256"] == written.sha256
    assert written.days == pytest.approx(len(shown) / 86400.0)
    assert out.stat().st_mode & 0o777 == 0o600
    other = config.parent / "other.toml"
    other.write_text(config.read_text() + '\n[anomaly]\ncalibration = "anomaly.json"\n')
    assert isinstance(assemble_from(load_settings(other)).parts.detector, CalibratedDetector)


async def test_a_calibrated_daemon_says_so_and_replays(
    tmp_path: Path, fitted: fitting.Fit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(configured(tmp_path, None))
    site = settings.model_copy(update={"site": settings.site.model_copy(update={"period_s": 0.2})})
    saved = save_calibration(record(site, fitted), tmp_path / "anomaly.json")
    monkeypatch.setattr(embedded, "_CONFIG", embedded._CONFIG + '\n[anomaly]\ncalibration = "anomaly.json"\n')
    async with whole(tmp_path) as pair:
        await until(lambda: pair.service.figures is not None and pair.service.figures.ticks > 3, 20.0)
        assert pair.service.figures is not None
        assert pair.service.figures.about.anomaly_calibrated
        await pair.stop()
    assert pair.starts()[0].calibration_sha256 == saved.sha256
    assert "anomaly_calibrated" in "".join(capfd.readouterr())
    result = CliRunner().invoke(replay, [str(tmp_path / "journal")], standalone_mode=False)
    assert (result.return_value, " 0 different" in result.output) == (0, True), result.output
