"""Slaves that are devices of their own: what each driver needs beside the slave's label."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo


def _profile(value: str, info: ValidationInfo) -> str:
    """A name, or a file that belongs to the folder of the configuration."""
    if value.endswith(".toml") and info.context:
        return str(info.context["base"] / value)
    return value


class ModbusDeviceSection(BaseModel):
    """A Modbus TCP device. `dead_man_s` is its own time-out; what is left out is the profile's."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    profile: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_profile)]
    host: Annotated[str, Field(min_length=1, max_length=256)]
    port: int = Field(default=502, ge=1, le=65535)
    device_id: int | None = Field(default=None, ge=0, le=255)
    dead_man_s: float | None = Field(default=None, ge=1.0, le=600.0)
