"""A calibration from journals to the running daemon."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.decision import Authority, State
from core.parts import initial_memory
from core.roles import Role
from core.site import Metering
from core.tick import decide
from daemon.calibration import fit as fitting
from daemon.calibration.file import (
    CalibrationError,
    load_calibration,
    require_site,
    save_calibration,
)
from daemon.calibration.journal_features import gather
from daemon.commands.engineering.calibrate import calibrate
from daemon.commands.engineering.replay import replay
from daemon.commissioning import embedded_site
from daemon.commissioning.preflight import walk
from daemon.config.settings import load_settings
from daemon.journal.format import to_segment
from daemon.journal.records import AnyRecord, Start, Tick
from daemon.runtime.assembly import assemble_from
from daemon.simulation.simulate import Scenario, SimulatedIO
from models.features import FEATURE_NAMES
from plant.site.trace import load_trace
from safety.anomaly import CalibratedDetector, ZScoreDetector
from safety.timers import PersistentFaults, to_record
from tests.support.calibrations import configured, record, site_fit
from tests.support.full_daemon import until, whole


@pytest.fixture(scope="module")
def fitted() -> fitting.Fit:
    return site_fit()


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
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "detector")
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
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "detector")
    assert not item.ok


def test_without_a_calibration_the_detector_flags_only_and_the_checklist_says_so(tmp_path: Path) -> None:
    settings = load_settings(configured(tmp_path, None))
    assembled = assemble_from(settings)
    assert isinstance(assembled.parts.detector, ZScoreDetector)
    item = next(item for item in walk(tmp_path / "sunkeep.toml") if item.name == "detector")
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
    config.write_text(config.read_text().replace("min_w = 1380\n", ""))
    settings = load_settings(config)
    assembled = assemble_from(settings)
    shown: list[Any] = []
    inspect = assembled.parts.detector.inspect

    class WatchedLife:
        cold = assembled.parts.detector.cold

        def inspect(self, *seen: Any) -> Any:
            shown.append(seen[1])
            return inspect(*seen)

    parts = replace(assembled.parts, detector=WatchedLife())
    memory = initial_memory(parts)
    scenario = Scenario(load_trace(), settings.core_site(), start_s=12 * 3600, end_s=12 * 3600 + TICKS)
    far_end = scenario.far_end()
    wires = SimulatedIO(scenario, far_end)
    start = Start(
        version="0",
        unix_s=1.8e9,
        run="1",
        settings_path=str(config),
        settings_toml=config.read_text(),
        bundle_sha256="",
        standing=to_record(PersistentFaults()),
        watches=parts.watches.names,
    )
    records, kept = list[AnyRecord]([start]), []
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
        records.append(tick)
        if decision.estimate.fresh and decision.verdict.state in (State.FALLBACK, State.RL_ACTIVE):
            kept.append(shown[-1])
    (folder / "journal").mkdir()
    (folder / "journal" / "run-0000.journal").write_bytes(to_segment(records))
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
    monkeypatch.setattr(
        embedded_site, "_CONFIG", embedded_site._CONFIG + '\n[anomaly]\ncalibration = "anomaly.json"\n'
    )
    async with whole(tmp_path) as pair:
        await until(lambda: pair.service.figures is not None and pair.service.figures.ticks > 3, 20.0)
        assert pair.service.figures is not None
        assert pair.service.figures.about.anomaly_calibrated
        await pair.stop()
    assert pair.starts()[0].calibration_sha256 == saved.sha256
    assert "anomaly_calibrated" in "".join(capfd.readouterr())
    result = CliRunner().invoke(replay, [str(tmp_path / "journal")], standalone_mode=False)
    assert (result.return_value, " 0 different" in result.output) == (0, True), result.output


def test_a_site_that_is_switched_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path, None)
    config.write_text(config.read_text().replace("max_w = 3000", "max_w = 3000\nmin_w = 500", 1))
    arguments = ["--config", str(config), "--journal", str(tmp_path), "--out", str(tmp_path / "out.json")]
    done = CliRunner().invoke(calibrate, arguments)
    assert done.exit_code != 0
    assert "a minimum or levels" in done.output
