"""The description of a true site: what is really there, from one TOML file.

Used by simulation, virtual plant, training and evaluation. Numbers in brackets, `[low, high]`, are drawn
anew from the seed for every slave. What the controller may know of it is `Description.site`: what stands
on the labels, never what is drawn.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.roles import Role
from core.site import DEFAULT_PRIORITY, PHASE_NAMES, SUNKEEP, Airtime, Metering, Site, Slave
from plant.devices.modbus_models import MODELS
from plant.radio.link import NOISE_W
from plant.site.physics import GAIN_RANGE, LAG_RANGE_S, RAMP_W_PER_S, TTL_S

MEMBERS = "members"
"""Where the descriptions that ship lie, beside this file."""
WATER_WH_PER_L_K = 1.163
"""Heat capacity of water."""


class Part(BaseModel):
    """Strict, as the configuration: refuses unknown keys and numbers as text."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


def _as_range(value: Any) -> Any:
    """A single number is a range of no width."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (float(value), float(value))
    if isinstance(value, list) and len(value) == 2:
        return tuple(float(x) if isinstance(x, int) and not isinstance(x, bool) else x for x in value)
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if not 0.0 <= value[0] <= value[1]:
        raise PydanticCustomError(
            "range", "is not a range. Write a number, or [low, high] with 0 <= low <= high"
        )
    return value


def _beside(value: Any, info: ValidationInfo) -> Any:
    """A relative path belongs to the folder of the description."""
    return info.context["base"] / value if isinstance(value, str) and info.context else value


ZIGBEE_KINDS = {"zigbee-plug": "zigbee-switch", "zigbee-dimmer": "zigbee-level"}
"""Relay and dimmer that one can buy, and the driver that speaks to them."""


def _known(device: str) -> str:
    if device not in (*MODELS, *ZIGBEE_KINDS):
        known = ", ".join((*MODELS, *ZIGBEE_KINDS))
        raise PydanticCustomError("device", "is no device that can be simulated: {known}", {"known": known})
    return device


Range: TypeAlias = Annotated[tuple[float, float], BeforeValidator(_as_range), AfterValidator(_rising)]
Seconds: TypeAlias = Annotated[float, Field(ge=0.0, le=3600.0)]


class SitePart(Part):
    """What the site is; as in the configuration of the daemon."""

    role: Annotated[Role, Field(strict=False)] = Role.ABSORB
    metering: Annotated[Metering, Field(strict=False)] = Metering.NET
    period_s: float = Field(default=1.0, ge=0.1, le=10.0)


class HousePart(Part):
    """The house: a trace of its load and of its PV power, and how the inverter feeds the phases.

    Without a trace it is the day that ships. `pv_scale` and `load_scale` multiply the trace.
    """

    trace: Annotated[Path | None, BeforeValidator(_beside)] = None
    pv_connection: Literal["3ph", "A", "B", "C"] = "3ph"
    pv_scale: float = Field(default=1.0, ge=0.0, le=10.0)
    load_scale: float = Field(default=1.0, ge=0.0, le=10.0)


class MeterPart(Part):
    """The meter: it makes a reading every `period_s`, of power `delay_s` ago, and shows it until the next.

    A reading is the mean over the period ("averaged") or the power at its end ("held"), with an error of
    standard deviation `noise_w` per phase, rounded to `resolution_w` (0 for none).
    """

    period_s: float = Field(default=1.0, ge=0.1, le=60.0)
    delay_s: Seconds = 0.0
    reading: Literal["averaged", "held"] = "averaged"
    resolution_w: float = Field(default=0.0, ge=0.0, le=1000.0)
    noise_w: float = Field(default=NOISE_W, ge=0.0, le=1000.0)

    def lateness_s(self, tick_s: float) -> float:
        """How much older than a tick the power that it reads is, on average."""
        shown_s = max(0.0, self.period_s - tick_s) / 2.0
        return self.delay_s + shown_s + (self.period_s / 2.0 if self.reading == "averaged" else 0.0)


class AirtimePart(Part):
    """What the wire to the slaves carries; as `core.site.Airtime`."""

    frames_per_s: float = Field(default=0.5, gt=0.0, le=100.0)
    burst_frames: float = Field(default=3.0, ge=1.0, le=1000.0)
    deadband_w: float = Field(default=50.0, ge=0.0, le=500.0)
    keep_alive_s: float = Field(default=3.0, ge=0.1, le=20.0)
    window_frames: int = Field(default=8, ge=1, le=1000)


class RadioPart(Part):
    """The way to the slaves.

    `delay_s` is "zigbee" for the whole seconds of `plant.radio.link`, drawn per site, or a range in which
    every frame's time to every slave lies. `extra_delay_s` is added to that. `loss` is the share of frames
    that a slave misses, by default that of the drawn Zigbee network; `has_bursts` is whether all of them miss
    some seconds now and then. Slaves report every `report_every_s`, 0 for never. Nothing of this is told
    to the controller, but the airtime.
    """

    delay_s: Literal["zigbee"] | Range = "zigbee"
    extra_delay_s: Seconds = 0.0
    loss: Range | None = None
    has_bursts: bool = True
    report_every_s: Seconds = 0.0
    ttl_s: float = Field(default=TTL_S, ge=1.0, le=60.0)
    airtime: AirtimePart = AirtimePart()


class ThermostatPart(Part):
    """The store behind a heater: litres of water, with the limits of its thermostat in degrees Celsius."""

    volume_l: float = Field(gt=0.0, le=10_000.0)
    start_c: Range = (40.0, 40.0)
    open_c: float = Field(default=65.0, gt=0.0, le=100.0)
    close_c: float = Field(default=60.0, gt=0.0, le=100.0)
    loss_w_per_k: float = Field(default=1.5, ge=0.0, le=100.0)
    room_c: float = Field(default=20.0, ge=-20.0, le=50.0)

    @model_validator(mode="after")
    def _limits_fit(self) -> "ThermostatPart":
        if not self.room_c < self.close_c < self.open_c:
            raise PydanticCustomError(
                "thermostat", "does not close above the room and below open_c. Correct close_c or open_c"
            )
        return self


class SlavePart(Part):
    """Some slaves of one kind. `count` are on each of the phases named, "each" names all three.

    `phases = "all"` is one slave on three phases. A `gain` of 0 is a slave that hears and draws nothing.
    `device` is the kind of Modbus or Zigbee device that it is; without one it speaks Sunkeep's own protocol.
    """

    name: str = Field(min_length=1, max_length=48)
    count: int = Field(default=1, ge=1, le=84)
    phases: Literal["a", "b", "c", "each", "all"] = "each"
    max_w: int = Field(gt=0, le=22_000)
    min_w: int = Field(default=0, ge=0)
    levels_w: Annotated[tuple[int, ...], Field(strict=False)] = ()
    min_on_s: Seconds = 0.0
    min_off_s: Seconds = 0.0
    priority: int = Field(default=DEFAULT_PRIORITY, ge=1, le=9)
    dead_time_s: Range = (0.0, 0.0)
    lag_s: Range = LAG_RANGE_S
    gain: Range = GAIN_RANGE
    ramp_w_per_s: float = Field(default=RAMP_W_PER_S, gt=0.0, le=1.0e6)
    thermostat: ThermostatPart | None = None
    device: Annotated[str, AfterValidator(_known)] | None = None

    @model_validator(mode="after")
    def _steps_fit(self) -> "SlavePart":
        levels = self.levels_w
        if levels and (sorted(set(levels)) != list(levels) or levels[0] <= 0 or levels[-1] != self.max_w):
            raise PydanticCustomError(
                "slave", "has levels_w that do not rise to max_w. List every power it knows, max_w last"
            )
        if levels and self.min_w:
            raise PydanticCustomError("slave", "has levels_w and min_w. The lowest level is its minimum")
        if self.min_w > self.max_w:
            raise PydanticCustomError("slave", "has more min_w than max_w. Lower one or raise the other")
        return self


class Description(Part):
    """A true site. `name` is that of its file."""

    name: str = "site"
    about: str = Field(default="", max_length=300)
    site: SitePart = SitePart()
    house: HousePart = HousePart()
    meter: MeterPart = MeterPart()
    radio: RadioPart = RadioPart()
    slaves: Annotated[tuple[SlavePart, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _has_slaves(self) -> "Description":
        if not self.slaves:
            raise PydanticCustomError("slave", "has no slaves. Add a section [[slaves]] for each kind")
        kinds = [slave.device is not None for slave in self.slaves]
        if sorted(kinds) != kinds:
            raise PydanticCustomError(
                "slave",
                "has a slave without a device after one with a device. Write those with one last",
            )
        return self

    def devices(self) -> dict[int, str]:
        """By slot, the slaves that are Modbus devices."""
        return {slave.slot: part.device for part, slave in self.parts() if part.device in MODELS}

    def parts(self) -> list[tuple[SlavePart, Slave]]:
        """Every slave, with what stands on its label; slots in the order of the file."""
        found: list[tuple[SlavePart, Slave]] = []
        for part in self.slaves:
            for phase in (0, 1, 2) if part.phases == "each" else (PHASE_NAMES.index(part.phases[0]),):
                for _ in range(part.count):
                    found.append((part, _labelled(part, phase, len(found))))
        return found

    def core_site(self) -> Site:
        """What an installer knows of it."""
        return Site(
            slaves=tuple(slave for _, slave in self.parts()),
            role=self.site.role,
            metering=self.site.metering,
            period_s=self.site.period_s,
            airtime=Airtime(**self.radio.airtime.model_dump()),
        )


def _labelled(part: SlavePart, phase: int, slot: int) -> Slave:
    return Slave(
        slot,
        f"{part.name} {slot + 1}",
        phase,
        part.max_w,
        part.min_w,
        part.phases == "all",
        part.levels_w,
        part.min_on_s,
        part.min_off_s,
        part.priority,
        SUNKEEP if part.device is None else ZIGBEE_KINDS.get(part.device, "modbus"),
    )


def described(site: Site, ttl_s: float = TTL_S) -> Description:
    """The usual far end of a site that is known by its configuration alone."""
    slaves = tuple(
        SlavePart(
            name=f"slave {slave.slot}",
            phases="all" if slave.is_three_phase else _LETTERS[slave.phase],
            max_w=slave.max_w,
            min_w=slave.min_w,
            levels_w=slave.levels_w,
            min_on_s=slave.min_on_s,
            min_off_s=slave.min_off_s,
            priority=slave.priority,
        )
        for slave in site.slaves
    )
    part = SitePart(role=site.role, metering=site.metering, period_s=site.period_s)
    return Description(site=part, radio=RadioPart(ttl_s=ttl_s), slaves=slaves)


_LETTERS: tuple[Literal["a"], Literal["b"], Literal["c"]] = ("a", "b", "c")


def members() -> tuple[str, ...]:
    """Names of the descriptions that ship."""
    found = (Path(entry.name) for entry in files("plant").joinpath(MEMBERS).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == ".toml"))


def member_path(name: str) -> Path:
    """Where the description of that name lies."""
    return Path(str(files("plant").joinpath(MEMBERS, f"{name}.toml")))


def load_description(name_or_file: str) -> Description:
    """The description that ships under a name, or one in a file (ending in .toml).

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML (tomllib.TOMLDecodeError), not UTF-8, or describes no site
            (pydantic.ValidationError).
    """
    path = Path(name_or_file) if name_or_file.endswith(".toml") else member_path(name_or_file)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Description.model_validate(data | {"name": path.stem}, context={"base": path.parent})
