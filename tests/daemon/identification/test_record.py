"""The record of what was measured: strict, bound to the slaves, filled into the configuration."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.site import Site, Slave
from daemon.config.settings import Settings, parse_settings
from daemon.identification.fit import IntervalEstimate, ResponseFit
from daemon.identification.record import (
    RECORD_FILE,
    CommissioningRecord,
    SlaveMeasurement,
    load_record,
    measurement,
    save_record,
    unusable_reason,
    usable_numbers,
)
from daemon.identification.verdict import judge_fit

BOILER = Slave(3, "boiler", 1, 1700)
SITE = Site((BOILER,))
FIT = ResponseFit(
    phase=1,
    gain=1.02,
    gain_sd=0.01,
    gains=(0.0, 1.02, 0.01),
    gain_sds=(0.01, 0.01, 0.01),
    dead_time_s=IntervalEstimate(2.4, 2.2, 2.6),
    dead_time_sd_s=0.3,
    lag_s=IntervalEstimate(1.2, 1.1, 1.3),
    noise_w=20.0,
    reading_interval_s=1.0,
    averages=True,
    switchings=12,
)
TOML = """
[meter]
profile = "sdm630"
[meter.transport]
type = "tcp"
host = "127.0.0.1"
[radio]
path = "/dev/null"
key_file = "site.key"
[[slaves]]
name = "boiler"
slot = 3
phases = "b"
max_w = 1700
"""


def _measured() -> SlaveMeasurement:
    return measurement(BOILER, SITE, FIT, judge_fit(FIT, BOILER, SITE), 1700, 120.0)


def _settings(extra: str = "") -> Settings:
    return parse_settings(TOML + extra, Path("site.toml"))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    record = CommissioningRecord().with_slaves([_measured()])
    save_record(record, tmp_path)
    assert load_record(tmp_path) == (record, "")
    again = record.with_slaves([_measured()])
    assert len(again.slaves) == 1


@pytest.mark.parametrize("spoil", [lambda text: text[:-20], lambda text: text.replace('"slot"', '"place"')])
def test_a_damaged_record_is_not_used_and_said(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    save_record(CommissioningRecord().with_slaves([_measured()]), tmp_path)
    file = tmp_path / RECORD_FILE
    file.write_text(spoil(file.read_text()))
    record, problem = load_record(tmp_path)
    assert record.slaves == ()
    assert "sunkeep commission" in problem


@pytest.mark.parametrize(
    ("slave", "word"),
    [
        (None, "not in the configuration"),
        (Slave(3, "car", 1, 1700), "is car on phase b"),
        (Slave(3, "boiler", 2, 1700), "on phase c"),
        (Slave(3, "boiler", 1, 2000), "2000 W now"),
        (BOILER, ""),
    ],
)
def test_a_changed_slave_loses_its_numbers(slave: Slave | None, word: str) -> None:
    reason = unusable_reason(_measured(), slave, datetime.now(UTC))
    assert word in reason
    assert bool(word) == bool(reason)


def test_numbers_expire() -> None:
    late = datetime.now(UTC) + timedelta(days=366)
    assert "too long ago" in unusable_reason(_measured(), BOILER, late)


def test_what_contradicts_the_configuration_is_not_used() -> None:
    other = Slave(3, "boiler", 0, 1700)
    measured = measurement(other, SITE, FIT, judge_fit(FIT, other, SITE), 1700, 120.0)
    assert unusable_reason(measured, other, datetime.now(UTC)) == "boiler is on phase b, the file says a."


def test_measured_numbers_fill_what_the_configuration_leaves_open() -> None:
    record = CommissioningRecord().with_slaves([_measured()])
    numbers, reasons = usable_numbers(record, _settings().core_site(), 0.0, datetime.now(UTC))
    assert reasons == []
    (slave,) = _settings().with_measured(numbers).core_site().slaves
    assert (slave.dead_time_s, slave.lag_s, slave.gain) == (2.4, 1.2, 1.02)
    assert slave.dead_time_high_s == 2.6
    (own,) = _settings("dead_time_s = 1.0\n").with_measured(numbers).core_site().slaves
    assert (own.dead_time_s, own.dead_time_high_s, own.lag_s) == (1.0, None, 1.2)
    (told,) = _settings("lag_s = 3.0\n").with_measured(numbers).core_site().slaves
    assert (told.dead_time_s, told.lag_s) == (2.4, 3.0)
    assert json.loads(json.dumps(numbers)) == numbers


def test_a_reading_that_is_held_makes_the_loop_wait_for_half_of_it() -> None:
    held = replace(FIT, reading_interval_s=5.0)
    measured = measurement(BOILER, SITE, held, judge_fit(held, BOILER, SITE), 1700, 120.0)
    record = CommissioningRecord().with_slaves([measured])
    numbers, _ = usable_numbers(record, SITE, 0.5, datetime.now(UTC))
    assert numbers["boiler"]["dead_time_s"] == pytest.approx(2.4 + 2.0 - 0.5)
    assert numbers["boiler"]["dead_time_high_s"] == pytest.approx(2.6 + 2.0 - 0.5)
