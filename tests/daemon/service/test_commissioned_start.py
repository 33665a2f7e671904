"""The daemon begins with what commissioning measured, decides with it, and its journal replays with it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner

from daemon.commands.engineering.replay import replay
from daemon.identification.record import (
    CommissioningRecord,
    MeasuredNumber,
    SlaveMeasurement,
    save_record,
)
from plant.simulated_site import slaves_of
from tests.support.full_daemon import Whole, until, whole

SLAVES = slaves_of(3)
LETTERS: tuple[Literal["a", "b", "c"], ...] = ("a", "b", "c")
DEAD_TIME_S, HIGH_S, LAG_S, GAIN = 1.3, 1.9, 0.6, 0.95


def measured(place: int, name: str) -> SlaveMeasurement:
    slave = SLAVES[place]
    letter = LETTERS[slave.phase]
    return SlaveMeasurement(
        name=name,
        slot=slave.slot,
        phases=letter,
        max_w=slave.max_w,
        at_utc=datetime.now(UTC).replace(microsecond=0),
        seconds=240.0,
        told_w=slave.max_w,
        outcome="measured",
        phase=letter,
        gain=MeasuredNumber(value=GAIN, low=0.94, high=0.96),
        dead_time_s=MeasuredNumber(value=DEAD_TIME_S, low=0.9, high=HIGH_S),
        dead_time_sd_s=0.2,
        lag_s=MeasuredNumber(value=LAG_S, low=0.5, high=0.7),
        noise_w=20.0,
        reading_interval_s=0.2,
        averages=False,
    )


async def test_measured_numbers_lead_the_daemon_from_its_start_and_its_replay(tmp_path: Path) -> None:
    """The third slave was renamed since: it is followed as one that nobody measured."""
    names = [SLAVES[0].name, SLAVES[1].name, "another name"]
    record = CommissioningRecord().with_slaves(measured(place, name) for place, name in enumerate(names))
    save_record(record, tmp_path)
    async with whole(tmp_path, slaves=SLAVES) as pair:
        await until(lambda: is_acting(pair), 30.0)
        await pair.stop()

    sure = {
        "dead_time_s": DEAD_TIME_S,
        "dead_time_high_s": HIGH_S,
        "dead_time_sd_s": 0.2,
        "lag_s": LAG_S,
        "gain": GAIN,
    }
    (start,) = pair.starts()
    assert start.measured == {name: pytest.approx(sure) for name in names[:2]}
    believed = pair.ticks()[-1].decision.estimate
    assert believed.delay_s == pytest.approx((2 * DEAD_TIME_S + 2.07) / 3, abs=0.01)
    figures = pair.service.figures
    assert figures is not None
    assert [slave.dead_time_high_s for slave in figures.site.slaves] == [HIGH_S, HIGH_S, None]
    result = CliRunner().invoke(replay, [str(tmp_path / "journal")], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert " 0 different" in result.output


def is_acting(pair: Whole) -> bool:
    return sum(pair.reference_w().values()) > 500.0
