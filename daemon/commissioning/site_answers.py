"""What `sunkeep setup` has to know: from a file of answers or from questions, and kept between runs."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from daemon.errors import InputError
from daemon.system.state_file import replace_whole
from drivers.zigbee.joining import parse_ieee, parse_install_code

DRAFT_FILE = "setup-draft.json"
"""Beside the configuration, for its owner alone: install codes are in it."""
BYTES_MAX = 256_000
Phases: TypeAlias = Literal["a", "b", "c", "all"]
Words = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Answered(BaseModel):
    """Strict, and complete only at the end: everything may still be open."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_assignment=True)


class SiteAnswers(Answered):
    """Name, time zone and role."""

    name: Words | None = None
    timezone: Words | None = None
    role: Literal["absorb", "generate"] = "absorb"


class MeterAnswers(Answered):
    """Where the meter is; `lines` are those of the configuration, once it was found."""

    host: Words | None = None
    port: int = Field(default=502, ge=1, le=65535)
    device_id: int = Field(default=1, ge=0, le=255)
    serial: Words | None = None
    invert: bool = False
    lines: list[Words] = []

    @property
    def is_placed(self) -> bool:
        """Whether it is known where to look."""
        return self.host is not None or self.serial is not None


class RadioAnswers(Answered):
    """Where the stick is."""

    path: Words | None = None
    channel: int = Field(default=15, ge=11, le=26)


class SlaveAnswers(Answered):
    """One slave. Address and install code are on its label, and left out when it is in the network."""

    name: Words
    slot: int = Field(ge=0, le=254)
    phases: Phases
    max_w: int = Field(gt=0)
    min_w: int | None = None
    levels_w: list[int] | None = None
    min_on_s: float | None = None
    min_off_s: float | None = None
    priority: int | None = None
    ieee: str | None = None
    install_code: str | None = None

    @field_validator("ieee")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else parse_ieee(value)

    @field_validator("install_code")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        return None if value is None else parse_install_code(value).hex()

    @model_validator(mode="after")
    def _both_or_none(self) -> "SlaveAnswers":
        if (self.ieee is None) != (self.install_code is None):
            raise ValueError("address and install code belong together; both are on the label")
        return self


class ClosingAnswers(Answered):
    """What happens at the end; None: asked."""

    measure: bool | None = None
    start: bool | None = None


class Answers(Answered):
    """Everything that is known so far."""

    site: SiteAnswers = Field(default_factory=SiteAnswers)
    meter: MeterAnswers = Field(default_factory=MeterAnswers)
    radio: RadioAnswers = Field(default_factory=RadioAnswers)
    slaves: list[SlaveAnswers] = []
    end: ClosingAnswers = Field(default_factory=ClosingAnswers)

    def configuration(self, state: Path) -> str:
        """The text of the configuration; everything must be answered."""
        site, radio = self.site, self.radio
        lines = [
            "# Written by `sunkeep setup`. Every key is explained in sunkeep.example.toml.",
            "",
            "[site]",
        ]
        lines += [f"name = {quoted(site.name)}", f"timezone = {quoted(site.timezone)}"]
        lines += [f'role = "{site.role}"', "", *self._meter_lines(), ""]
        lines += ["[radio]", f"path = {quoted(radio.path)}", f"channel = {radio.channel}"]
        for slave in self.slaves:
            told = slave.model_dump(exclude={"ieee", "install_code"}, exclude_none=True)
            lines += ["", "[[slaves]]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
        lines += ["", "[mode]", 'mode = "shadow"', "", "[journal]"]
        lines += [f"directory = {quoted(str(state / 'journal'))}", "", "[state]"]
        return "\n".join([*lines, f"directory = {quoted(str(state))}", ""])

    def _meter_lines(self) -> list[str]:
        lines = list(self.meter.lines)
        if self.meter.invert:
            lines.insert(1, "invert = true")
        return lines


def quoted(text: str | None) -> str:
    """A text of TOML; JSON's escapes are TOML's, too."""
    return json.dumps(text, ensure_ascii=False)


def read_answers(file: Path) -> Answers:
    """The answers of a TOML file.

    Raises:
        InputError: with every problem, by its key.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read ({getattr(error, 'strerror', None) or 'no text'})."
        ) from None
    if len(text) > BYTES_MAX:
        raise InputError(f"{file} is no file of answers: it is larger than {BYTES_MAX // 1000} kB.")
    try:
        return Answers.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise InputError("\n".join(_problem(file, item) for item in error.errors())) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {str(error).splitlines()[0]}. Correct the line.") from None


def _problem(file: Path, item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    why = str(item["msg"]).removeprefix("Value error, ")
    return f"{file}: {where}: {why}."


def load_draft(folder: Path) -> Answers:
    """What an earlier run has asked; nothing when there was none, or it is of another version."""
    try:
        return Answers.model_validate_json((folder / DRAFT_FILE).read_bytes())
    except (OSError, ValueError):
        return Answers()


def keep_draft(answers: Answers, folder: Path) -> None:
    """Keep what was answered, in one step.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        replace_whole(folder / DRAFT_FILE, answers.model_dump_json(indent=1).encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Run this as root.") from None
