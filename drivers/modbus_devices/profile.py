"""Modbus devices that draw what they are told, as data: one TOML file per kind of device, read strictly.

Addresses are those on the wire (0-based). Only registers that a document, or somebody who tried, calls
volatile may stand where a profile is written cyclically: flash memory wears out.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.profile_files import ProfileFiles

WORDS: dict[str, int] = {"i16": 1, "u16": 1, "u32": 2, "f32": 2}
"""Registers per value, high word first."""
Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Function = Literal[3, 4]
Kind: TypeAlias = Literal["i16", "u16", "u32", "f32"]
NOMINAL_V = 230.0
"""Between phase and neutral (EN 50160), for devices that take amperes."""


class _StrictDevice(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ReadRegister(_StrictDevice):
    """A value to read: registers times `scale` gives the SI unit in the name of its table."""

    address: Address
    function: Function = 3
    type: Kind = "u16"
    scale: Annotated[float, Field(gt=0.0)] = 1.0


class RelayPower(_StrictDevice):
    """Power as the sum over the relays whose bit is set: `watts` are the registers of their ratings."""

    status: Address
    watts: Annotated[tuple[Address, ...], Field(strict=False, min_length=1, max_length=8)]
    function: Function = 3


class DeviceIdentity(_StrictDevice):
    """A register that tells this kind of device from others, and the values that it may have."""

    address: Address
    function: Function = 3
    type: Kind = "u16"
    least: int
    most: int


class SetpointRegister(_StrictDevice):
    """Where the power is told, every few seconds. `unit` is what one step of it is, divided by `scale`.

    "W": watts; "mA": milliamperes on each phase that the device draws from. `least` is the smallest number
    that the device takes beside 0. `volatile` says who knows that this register wears nothing.
    """

    address: Address
    type: Literal["i16", "u16"] = "u16"
    function: Literal[6, 16] = 16
    unit: Literal["W", "mA"] = "W"
    scale: Annotated[float, Field(gt=0.0)] = 1.0
    least: Annotated[int, Field(ge=0)] = 0
    volatile: Annotated[str, Field(min_length=10)]


class EnableRegister(_StrictDevice):
    """A switch beside the setpoint: 0 W is told by it alone."""

    address: Address
    function: Literal[6, 16] = 6
    on: int = 1
    off: int = 0
    volatile: Annotated[str, Field(min_length=10)]


class RestValue(_StrictDevice):
    """What the device falls back to, where that can be told and read back: it must be 0."""

    address: Address
    function: Literal[6, 16] = 6
    read: ReadRegister


class DeadManRegister(_StrictDevice):
    """After how long without a message the device lets go by itself, in seconds.

    With `address` it is written when a connection begins, and read back; with `read` alone it is only read;
    without both the device has a time of its own, `default_s`. `is_renewed_here`: writing this register is
    what starts its time anew. `rest` is where the device keeps what it falls back to.
    """

    default_s: Annotated[float, Field(gt=0.0, le=600.0)]
    least_s: Annotated[float, Field(gt=0.0)] = 1.0
    most_s: Annotated[float, Field(gt=0.0)] = 600.0
    address: Address | None = None
    function: Literal[6, 16] = 16
    read: ReadRegister | None = None
    is_renewed_here: bool = False
    rest: RestValue | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether the device has a time of its own that nobody can change or read."""
        return self.address is None and self.read is None


class DeviceProfile(_StrictDevice):
    """Everything the driver has to know about one kind of device.

    `levels` says that it works in steps only. `write_every_s` is the shortest time between two setpoints.
    `answer_s` is how long one request may take before the device counts as lost.
    """

    title: str
    source: str
    verified: str
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    levels: bool = False
    three_phases_only: bool = False
    write_every_s: Annotated[float, Field(ge=0.0, le=60.0)] = 0.0
    answer_s: Annotated[float, Field(gt=0.0, le=5.0)] = 1.0
    identity: DeviceIdentity | None = None
    setpoint: SetpointRegister
    enable: EnableRegister | None = None
    dead_man: DeadManRegister
    power_w: ReadRegister | RelayPower | None = None
    applied_w: ReadRegister | None = None
    temperature_c: ReadRegister | None = None

    def least_w(self, phases: int) -> int:
        """The smallest power beside 0, on so many phases."""
        return self.watts_of(self.setpoint.least, phases)

    def watts_of(self, raw: int, phases: int) -> int:
        """What a number in the setpoint register amounts to, rounded up."""
        number = raw * self.setpoint.scale
        watts = number if self.setpoint.unit == "W" else number / 1000.0 * NOMINAL_V * phases
        return -int(-watts // 1)

    def raw_of(self, watts: int, phases: int) -> int:
        """The number in the setpoint register for a power, rounded down. 0 below the smallest power."""
        number = watts if self.setpoint.unit == "W" else watts * 1000.0 / (NOMINAL_V * phases)
        raw = int(number / self.setpoint.scale)
        return raw if raw >= self.setpoint.least else 0

    @model_validator(mode="after")
    def _makes_sense(self) -> "DeviceProfile":
        dead_man = self.dead_man
        if dead_man.address is not None and dead_man.read is None:
            raise ValueError("dead_man.read: what is written must be read back")
        if not dead_man.least_s <= dead_man.default_s <= dead_man.most_s:
            raise ValueError("dead_man.default_s does not lie between least_s and most_s")
        if dead_man.is_renewed_here and dead_man.address is None:
            raise ValueError("dead_man.is_renewed_here needs dead_man.address")
        if self.setpoint.least > 0 and self.enable is None:
            raise ValueError("enable: a register that takes no 0 needs a switch beside it")
        return self


_FILES = ProfileFiles(DeviceProfile, "modbus_devices/profiles", "device profile")


def device_profile_names() -> tuple[str, ...]:
    """Names of the profiles that ship."""
    return _FILES.names()


def load_device_profile(name_or_path: str | Path) -> DeviceProfile:
    """A profile by its name, or from a file when the name ends in ``.toml``.

    Raises:
        ConfigError: unknown name, unreadable file, or a key that does not fit; names file, key and reason.
    """
    return _FILES.load(name_or_path)
