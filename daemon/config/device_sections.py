"""Slaves that are devices of their own: what each driver needs beside the slave's label."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError


def _profile(value: str, info: ValidationInfo) -> str:
    """A name, or a file that belongs to the folder of the configuration."""
    if value.endswith(".toml") and info.context:
        return str(info.context["base"] / value)
    return value


def _file(value: Any, info: ValidationInfo) -> Any:
    """A file that belongs to the folder of the configuration."""
    return info.context["base"] / value if isinstance(value, str) and info.context else value


class ModbusDeviceSection(BaseModel):
    """A Modbus TCP device. `dead_man_s` is its own time-out; what is left out is the profile's."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    profile: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_profile)]
    host: Annotated[str, Field(min_length=1, max_length=256)]
    port: int = Field(default=502, ge=1, le=65535)
    device_id: int | None = Field(default=None, ge=0, le=255)
    dead_man_s: float | None = Field(default=None, ge=1.0, le=600.0)


class ShellySection(BaseModel):
    """A Shelly of generation 2 or later. `component` "switch" is a relay, "light" a dimmer.

    `dead_man_s` is the device's own timer (`toggle_after`); `password_file` is read where it has a password.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    host: Annotated[str, Field(min_length=1, max_length=256)]
    component: Literal["switch", "light"] = "switch"
    channel: int = Field(default=0, ge=0, le=15)
    password_file: Annotated[Path | None, BeforeValidator(_file)] = None
    dead_man_s: float = Field(default=20.0, ge=1.0, le=600.0)


def _ieee(text: str) -> str:
    """Eight bytes in hexadecimal, in the usual spelling."""
    digits = text.strip().lower().removeprefix("0x").replace(":", "").replace("-", "")
    if re.fullmatch("[0-9a-f]{16}", digits) is None:
        raise PydanticCustomError(
            "ieee", 'is no IEEE address. Write the 16 digits on the label, as "00:12:4b:00:1c:a1:b2:c3"'
        )
    return bytes.fromhex(digits).hex(":")


class ZigbeeDeviceSection(BaseModel):
    """A Zigbee relay or dimmer that switches itself off after a time (On/Off with timed off).

    `dead_man_s` is that time. `stays_off`: somebody has tried that it stays off after a power cut, where the
    device cannot say so itself.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    ieee: Annotated[str, AfterValidator(_ieee)]
    endpoint: int = Field(default=1, ge=1, le=240)
    dead_man_s: float = Field(default=20.0, ge=1.0, le=600.0)
    stays_off: bool = False
