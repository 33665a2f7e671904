"""A site of made-up days, its fit, and the file of it."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from daemon.calibration import fit as fitting
from daemon.calibration.file import CalibrationRecord, TailRecord
from daemon.calibration.fit import Days, fit
from daemon.config.settings import Settings
from models.features import FEATURE_NAMES
from tests.support.configuration import write_configuration

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


@cache
def site_fit() -> fitting.Fit:
    """The fit of 16 days."""
    return fit(wandering(16, seed=1))


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
