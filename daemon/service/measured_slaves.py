"""At the start: what commissioning has measured is taken over, and what of it is not used is said."""

from datetime import UTC, datetime
from typing import TypeAlias

from core.site import SUNKEEP
from daemon.config.settings import Settings
from daemon.identification.record import CommissioningRecord, load_record, usable_numbers
from daemon.runtime.slave_wires import dead_man_s_of
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
    for name, dead_man_s in proven_dead_men(record, settings, datetime.now(UTC)).items():
        numbers.setdefault(name, {})["dead_man_s"] = dead_man_s
    return numbers


def proven_dead_men(record: CommissioningRecord, settings: Settings, now_utc: datetime) -> dict[str, float]:
    """By name, after how long each device lets go that has proven it as configured now; says why not."""
    by_slot = {slave.slot: slave for slave in settings.slaves if slave.driver != SUNKEEP}
    found = {}
    for proof in record.dead_men:
        slave = by_slot.get(proof.slot)
        if slave is None or slave.name != proof.name:
            continue
        reason = proof.why_not(slave.device, dead_man_s_of(slave), now_utc)
        if reason:
            log.warning("dead_man_not_proven", reason=reason)
        else:
            found[slave.name] = proof.fell_after_s
    return found
