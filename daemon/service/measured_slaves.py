"""At the start: what commissioning has measured is taken over, and what of it is not used is said."""

from datetime import UTC, datetime
from typing import TypeAlias

from daemon.config.settings import Settings
from daemon.identification.record import load_record, usable_numbers
from daemon.system.log import log

Numbers: TypeAlias = dict[str, dict[str, float]]
"""By name of the slave, for `Settings.with_measured`."""


def measured_numbers(settings: Settings) -> Numbers:
    """Those of the state directory that may be used."""
    record, problem = load_record(settings.state.directory)
    numbers, reasons = usable_numbers(record, settings.core_site(), settings.meter.delay_s, datetime.now(UTC))
    for reason in [problem] if problem else reasons:
        log.warning("commissioning_not_used", reason=reason)
    if numbers:
        slowest = max(numbers, key=lambda name: numbers[name]["dead_time_s"] + numbers[name]["lag_s"])
        log.info(
            "commissioned",
            slaves=len(numbers),
            of=len(settings.slaves),
            slowest=slowest,
            dead_time_s=round(numbers[slowest]["dead_time_s"], 2),
            lag_s=round(numbers[slowest]["lag_s"], 2),
        )
    return numbers
