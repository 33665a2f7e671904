"""A calibration of the anomaly detector on disk: strict JSON, with a hash over everything in it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from core.site import Site
from daemon.system.state_file import replace_whole
from models.features import FEATURE_NAMES
from models.strict_model import StrictModel
from safety.anomaly import Calibration

FILE_MAX_BYTES = 1_000_000
"""A calibration of 30 features has 60 kB."""
Row = tuple[float, ...]
Positive = Annotated[float, Field(gt=0.0)]


class CalibrationError(Exception):
    """A calibration that must not be used. The message says why and what to do."""


class TailRecord(StrictModel):
    """How the threshold came about (`daemon.calibration.fit.Tail`)."""

    level: Positive
    events_per_day: Positive
    shape: float
    scale: float


class CalibrationRecord(StrictModel):
    """Everything in the file. `sha256` is over the canonical JSON of all other keys."""

    schema_version: Literal[1] = 1
    created_at_utc: AwareDatetime
    sunkeep_version: str
    role: Literal["absorb", "generate"]
    metering: Literal["net", "per_phase"]
    period_s: Positive
    days: Positive
    first_utc: AwareDatetime
    last_utc: AwareDatetime
    false_trip_days: Positive
    tail: TailRecord
    feature_names: tuple[str, ...]
    median: tuple[Row, ...]
    scale: tuple[Row, ...]
    precision: tuple[Row, ...]
    threshold: Positive
    sha256: str = ""

    def digest(self) -> str:
        """The hash of this record."""
        content: dict[str, Any] = self.model_dump(mode="json", exclude={"sha256"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(text.encode()).hexdigest()

    def calibration(self) -> Calibration:
        """The numbers for the detector. Raises ValueError when they do not fit together."""
        return Calibration(self.feature_names, self.median, self.scale, self.precision, self.threshold)


def save_calibration(record: CalibrationRecord, file: Path) -> CalibrationRecord:
    """Write a record with its hash, whole or not at all. Raises OSError."""
    record = record.model_copy(update={"sha256": record.digest()})
    replace_whole(file, f"{record.model_dump_json()}\n".encode())
    return record


def load_calibration(file: Path) -> CalibrationRecord:
    """Read and verify a record.

    Raises:
        CalibrationError: unreadable, changed, of another version, or of other features.
    """
    again = "Calibrate again with: sunkeep calibrate"
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CalibrationError(f"{file} cannot be read ({error.strerror}). {again}") from None
    if len(content) > FILE_MAX_BYTES:
        raise CalibrationError(f"{file} is larger than {FILE_MAX_BYTES} bytes. {again}")
    try:
        record = CalibrationRecord.model_validate_json(content)
        record.calibration()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CalibrationError(f"{file} is not valid at '{where}': {first['msg']}. {again}") from None
    except ValueError as error:
        raise CalibrationError(f"{file} does not fit together: {error}. {again}") from None
    if record.sha256 != record.digest():
        raise CalibrationError(f"{file} was changed or damaged (SHA-256 differs). {again}")
    if record.feature_names != FEATURE_NAMES:
        raise CalibrationError(f"{file} was made for other features than this version has. {again}")
    return record


def require_site(record: CalibrationRecord, site: Site) -> None:
    """Refuse a calibration of another kind of site.

    Raises:
        CalibrationError: role, metering or period differ.
    """
    here = (site.role.value, site.metering.value, site.period_s)
    there = (record.role, record.metering, record.period_s)
    if here != there:
        raise CalibrationError(
            f"The calibration is of a site with {_words(*there)}, this one has {_words(*here)}. "
            "Calibrate again with: sunkeep calibrate"
        )


def _words(role: str, metering: str, period_s: float) -> str:
    return f"role {role}, metering {metering}, period {period_s:g} s"
