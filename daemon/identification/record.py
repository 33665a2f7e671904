"""What commissioning has measured, in the state directory: strict JSON, with intervals and dates."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from core.roles import sign
from core.site import PHASE_NAMES, Site, Slave
from daemon.identification.fit import IntervalEstimate, ResponseFit
from daemon.identification.verdict import IdentificationOutcome, SlaveVerdict
from daemon.system.state_file import replace_whole
from models.strict_model import StrictModel

RECORD_FILE = "commissioning.json"
FILE_MAX_BYTES = 1_000_000
EXPIRES_AFTER = timedelta(days=365)
"""Heaters scale up, radios get busier: after so long the numbers are not believed any more."""
Text = Annotated[str, Field(max_length=1000)]


class MeasuredNumber(StrictModel):
    """A number and the interval in which the true one lies, 95 of 100 times."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: IntervalEstimate) -> "MeasuredNumber":
        """As found."""
        return cls(value=round(estimate.value, 3), low=round(estimate.low, 3), high=round(estimate.high, 3))


class SlaveMeasurement(StrictModel):
    """One slave as it was labelled when it was measured, and what was found.

    `dead_time_s` is from the command on air to the first effect at the meter, the meter's own lateness in it;
    `dead_time_sd_s` by how much it differs from command to command. `gain` is in watts drawn (fed in, where
    the role is generate) per watt told. `seconds` is for how long it was switched, `told_w` to how much.
    """

    name: Text
    slot: int
    phases: Literal["a", "b", "c", "abc"]
    max_w: int
    at_utc: AwareDatetime
    seconds: float
    told_w: int
    outcome: Literal["measured", "draws nothing", "too restless"]
    phase: Literal["a", "b", "c"] | None
    gain: MeasuredNumber
    dead_time_s: MeasuredNumber
    dead_time_sd_s: Annotated[float, Field(ge=0.0)]
    lag_s: MeasuredNumber
    noise_w: float
    reading_interval_s: float
    averages: bool
    contradictions: tuple[Text, ...] = ()
    remarks: tuple[Text, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether its numbers may lead a controller."""
        return self.outcome == IdentificationOutcome.MEASURED.value and not self.contradictions


class DeadManOutcome(Enum):
    """What a device did when nobody spoke to it any more."""

    LET_GO = "let go"
    WENT_ON = "went on"
    DRAWS_NOTHING = "draws nothing"


class DeadManProof(StrictModel):
    """One device was told `told_w`, then nothing; after `fell_after_s` the grid meter saw its power gone.

    `device` is what it was, and where; `dead_man_s` the time-out that it was given; `version` that of its
    firmware, empty where it does not tell it.
    """

    name: Text
    slot: int
    device: Text
    version: Text = ""
    at_utc: AwareDatetime
    told_w: int
    dead_man_s: Annotated[float, Field(gt=0.0)]
    outcome: Literal["let go", "went on", "draws nothing"]
    fell_after_s: Annotated[float, Field(ge=0.0)]

    def why_not(self, device: str, dead_man_s: float, now_utc: datetime) -> str:
        """Why it proves nothing for the device as it is configured now, a sentence; "" when it does."""
        again = f"Prove it again with: sunkeep commission {self.name!r}"
        if self.outcome != DeadManOutcome.LET_GO.value:
            went_on = self.outcome == DeadManOutcome.WENT_ON.value
            found = (
                f"still drew power {self.fell_after_s:g} s after the last message"
                if went_on
                else self.outcome
            )
            return f"{self.name}: it {found}, so nothing but 0 W is told to it."
        if (self.device, self.dead_man_s) != (device, dead_man_s):
            return (
                f"{self.name}: its dead-man of {self.dead_man_s:g} s was proven as {self.device}, and it is "
                f"{device} with {dead_man_s:g} s now. {again}"
            )
        if not timedelta(0) <= now_utc - self.at_utc + timedelta(days=1) <= EXPIRES_AFTER:
            return f"{self.name}: its dead-man was proven on {self.at_utc:%Y-%m-%d}, too long ago. {again}"
        return ""


class CommissioningRecord(StrictModel):
    """Everything in the file."""

    schema_version: Literal[1] = 1
    slaves: tuple[SlaveMeasurement, ...] = ()
    dead_men: tuple[DeadManProof, ...] = ()

    def with_dead_man(self, proof: DeadManProof) -> "CommissioningRecord":
        """The newest proof of a device takes the place of the one before, whatever it shows."""
        kept = [one for one in self.dead_men if one.slot != proof.slot]
        dead_men = sorted([*kept, proof], key=lambda one: one.slot)
        return self.model_copy(update={"dead_men": tuple(dead_men)})

    def with_slaves(self, measured: Iterable[SlaveMeasurement]) -> "CommissioningRecord":
        """What was measured now takes the place of what was known of the same slaves."""
        new = {one.slot: one for one in measured}
        kept = [one for one in self.slaves if one.slot not in new]
        slaves = sorted([*kept, *new.values()], key=lambda one: one.slot)
        return self.model_copy(update={"slaves": tuple(slaves)})


def measurement(
    slave: Slave, site: Site, fit: ResponseFit, verdict: SlaveVerdict, told_w: int, seconds: float
) -> SlaveMeasurement:
    """What is kept of one slave."""
    gain = sign(site.role) * fit.gain
    reach = 2.0 * fit.gain_sd
    return SlaveMeasurement(
        name=slave.name,
        slot=slave.slot,
        phases=_phases(slave),
        max_w=slave.max_w,
        at_utc=datetime.now(UTC).replace(microsecond=0),
        seconds=round(seconds, 1),
        told_w=told_w,
        outcome=_word(verdict.outcome),
        phase=None if fit.phase is None else _letter(fit.phase),
        gain=MeasuredNumber.of(IntervalEstimate(gain, gain - reach, gain + reach)),
        dead_time_s=MeasuredNumber.of(fit.dead_time_s),
        dead_time_sd_s=round(fit.dead_time_sd_s, 3),
        lag_s=MeasuredNumber.of(fit.lag_s),
        noise_w=round(fit.noise_w, 1),
        reading_interval_s=round(fit.reading_interval_s, 2),
        averages=fit.averages,
        contradictions=verdict.contradictions,
        remarks=verdict.remarks,
    )


def load_record(directory: Path) -> tuple[CommissioningRecord, str]:
    """The record of a state directory, empty without one; and a sentence when it cannot be used."""
    file = directory / RECORD_FILE
    again = "Nothing of it is used. Measure again with: sunkeep commission"
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return CommissioningRecord(), ""
    except OSError as error:
        return CommissioningRecord(), f"{file} cannot be read ({error.strerror}). {again}"
    if len(content) > FILE_MAX_BYTES:
        return CommissioningRecord(), f"{file} is larger than {FILE_MAX_BYTES} bytes. {again}"
    try:
        return CommissioningRecord.model_validate_json(content), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return CommissioningRecord(), f"{file} is not valid at '{where}': {first['msg']}. {again}"


def save_record(record: CommissioningRecord, directory: Path) -> None:
    """Replace the file in one step. Raises OSError."""
    replace_whole(directory / RECORD_FILE, f"{record.model_dump_json(indent=1)}\n".encode())


def unusable_reason(measured: SlaveMeasurement, slave: Slave | None, now_utc: datetime) -> str:
    """Why the numbers of one slave are not used, a sentence; "" when they are."""
    again = f"Measure it again with: sunkeep commission {measured.name!r}"
    if slave is None:
        return f"{measured.name} (slot {measured.slot}) is not in the configuration any more."
    if (slave.name, _phases(slave), slave.max_w) != (measured.name, measured.phases, measured.max_w):
        return (
            f"slot {slave.slot} was {measured.name} on phase {measured.phases} with {measured.max_w} W when "
            f"it was measured, and is {slave.name} on phase {_phases(slave)} with {slave.max_w} W now. "
            f"Measure it again with: sunkeep commission {slave.name!r}"
        )
    if measured.contradictions:
        return measured.contradictions[0]
    if not measured.is_usable:
        return measured.remarks[0] if measured.remarks else f"{measured.name}: {measured.outcome}."
    if not timedelta(0) <= now_utc - measured.at_utc + timedelta(days=1) <= EXPIRES_AFTER:
        return f"{measured.name} was measured on {measured.at_utc:%Y-%m-%d}, which is too long ago. {again}"
    return ""


def usable_numbers(
    record: CommissioningRecord, site: Site, meter_delay_s: float, now_utc: datetime
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The numbers for `Settings.with_measured` by name of the slave, and why others are not used.

    Args:
        site: as configured.
        meter_delay_s: what the configuration says of the meter's lateness; what was measured has it.
    """
    by_slot = {slave.slot: slave for slave in site.slaves}
    numbers, reasons = {}, []
    for measured in record.slaves:
        reason = unusable_reason(measured, by_slot.get(measured.slot), now_utc)
        if reason:
            reasons.append(reason)
            continue
        # a slow meter was counted at its new readings only; a loop sees them held, half of that on average
        held_s = max(0.0, 0.5 * (measured.reading_interval_s - site.period_s))
        late_s = held_s - meter_delay_s
        numbers[measured.name] = {
            "dead_time_s": max(0.0, measured.dead_time_s.value + late_s),
            "dead_time_high_s": max(0.0, measured.dead_time_s.high + late_s),
            "dead_time_sd_s": measured.dead_time_sd_s,
            "lag_s": measured.lag_s.value,
            "gain": measured.gain.value,
        }
    return numbers, reasons


def _phases(slave: Slave) -> Literal["a", "b", "c", "abc"]:
    return "abc" if slave.is_three_phase else _letter(slave.phase)


def _letter(phase: int) -> Literal["a", "b", "c"]:
    letters: tuple[Literal["a"], Literal["b"], Literal["c"]] = ("a", "b", "c")
    assert letters == PHASE_NAMES
    return letters[phase]


def _word(outcome: IdentificationOutcome) -> Literal["measured", "draws nothing", "too restless"]:
    if outcome is IdentificationOutcome.MEASURED:
        return "measured"
    return "draws nothing" if outcome is IdentificationOutcome.DRAWS_NOTHING else "too restless"
