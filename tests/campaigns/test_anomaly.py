"""The short form of the detector's campaign: half an hour instead of weeks."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.calibration import fit as fitting
from daemon.calibration.fit import Days, fit
from plant.site.trace import load_trace
from tests.campaigns.anomaly import (
    FAULTS,
    AnomalyTrial,
    TrialVerdict,
    injure,
    lived,
    picture_of,
    table_of_days,
    table_of_faults,
)

NOON_S = 12 * 3600


def test_a_calibrated_detector_knows_its_site_and_sees_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "BLOCK_S", 60.0)
    day = load_trace()
    rows = lived(day, 0, NOON_S, NOON_S + 1800)
    days = Days(rows, np.full(len(rows), 12, np.int8))
    calibration = replace(fit(days).calibration, threshold=1000.0)  # minutes tell no level of months
    distances = picture_of(calibration).distances(days)
    assert np.max(distances) < calibration.threshold

    nonsense = injure(day, 1, "far away", NOON_S + 900, calibration)
    assert nonsense.trip_s is not None
    assert 4.0 <= nonsense.trip_s <= 10.0
    assert nonsense.first_s == nonsense.plausibility_s == 0.0
    honest = injure(day, 1, "honest", NOON_S + 900, calibration)
    assert honest == AnomalyTrial("honest", None, None, None)


@pytest.fixture(autouse=True)
def two_more_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "honest", lambda now, _: now)
    monkeypatch.setitem(FAULTS, "far away", lambda *_: (40_000.0, -40_000.0, 30_000.0))


def test_tables() -> None:
    day = TrialVerdict("a", 0, 1, 30.0, 10.0)
    text = table_of_days([day, replace(day, day="b", episodes=0, worst=5.0)])
    assert "| a | 0 | 1 | 3.00 |" in text
    assert "1 false trips in 2 simulated days (2 measured ones): 15.00 per 30 days" in text
    text = table_of_faults(
        [AnomalyTrial("frozen", 5.0, None, None), AnomalyTrial("frozen", None, None, 12.0)]
    )
    assert "| frozen | 2 | 0 % | 50 % | 0 % | 50 % | 12 |" in text
