"""The sections of the configuration: types, ranges, defaults."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S, ImbalanceOf
from core.modes import MINUTES_PER_DAY, Mode
from core.roles import Role
from core.site import DEFAULT_PRIORITY, PHASE_NAMES, Metering
from daemon.config.device_sections import ModbusDeviceSection, ShellySection, ZigbeeDeviceSection
from models.public_key import key_bytes

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
BUILTIN = "builtin"
"""The bundle that ships."""
SHIPPED = (BUILTIN, "clone")
"""Names of `models.bundle.SHIPPED`; importing them would load ONNX Runtime to read a file."""
INSTALLED = "installed"
"""The bundle that is active in the store (`daemon.bundles.store`)."""
STORE_FOLDER = "models"
"""The store, in the state directory."""
SLAVES_MAX, WINDOWS_MAX, KEYS_MAX = 255, 200, 50
"""All slots that a frame can name, a window for every hour of a week and some, and keys enough to rotate."""
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Section(BaseModel):
    """Strict: refuses unknown keys, booleans as numbers, numbers as text, and what is not finite."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


def minute_of_day(text: str) -> int:
    """Minutes since midnight of "HH:MM", "00:00" to "24:00". Raises ValueError."""
    hours, colon, minutes = text.partition(":")
    if len(text) == 5 and colon and text.isascii() and hours.isdigit() and minutes.isdigit():
        minute = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and minute <= MINUTES_PER_DAY:
            return minute
    raise ValueError(f"{text!r} is not a time of day")


def _time_of_day(text: str) -> str:
    try:
        minute_of_day(text)
    except ValueError:
        raise PydanticCustomError(
            "time_of_day", 'is not a time of day. Write hours and minutes, "00:00" to "24:00"'
        ) from None
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise PydanticCustomError(
            "time_zone", 'is not a known time zone. Write a name such as "Europe/Berlin" or "UTC"'
        ) from None
    return name


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("printable", "holds characters that cannot be printed. Remove them")
    return text


def _public_key(text: str) -> str:
    try:
        key_bytes(text)
    except ValueError:
        raise PydanticCustomError(
            "public_key",
            'is not a public key. Write "ed25519:" and 44 characters, as `sunkeep model keygen` prints it',
        ) from None
    return text


def _loopback(host: str) -> str:
    if host not in ("127.0.0.1", "::1"):
        raise PydanticCustomError(
            "loopback",
            "would be reachable from the network. The status page has no password: keep 127.0.0.1 or ::1 "
            "and put a reverse proxy in front of it",
        )
    return host


def _path(value: Any, info: ValidationInfo) -> Path:
    """Relative paths belong to the folder of the configuration file."""
    if not isinstance(value, (str, Path)) or not str(value) or not str(value).isprintable():
        raise PydanticCustomError("path", "is not a path. Write it as text in quotes")
    base: Path = info.context["base"] if info.context else Path()
    return base / value


def optional_path(value: Any, info: ValidationInfo) -> Path | None:
    return None if value is None else _path(value, info)


def _profile(value: str, info: ValidationInfo) -> str:
    return str(_path(value, info)) if value.endswith(".toml") else value


def _bundle(value: str, info: ValidationInfo) -> str:
    return value if value in (*SHIPPED, INSTALLED) else str(_path(value, info))


Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
LocalPath: TypeAlias = Annotated[Path, BeforeValidator(_path)]
TimeOfDay: TypeAlias = Annotated[str, AfterValidator(_time_of_day)]
# an enumeration arrives as its text, a tuple as TOML's list; what is inside stays strict
Weekdays: TypeAlias = Annotated[tuple[Weekday, ...], Field(strict=False)]


class SiteSection(Section):
    """What the site is."""

    name: Name = "Home"
    timezone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    role: Annotated[Role, Field(strict=False)] = Role.ABSORB
    metering: Annotated[Metering, Field(strict=False)] = Metering.NET
    period_s: float = Field(default=1.0, ge=0.1, le=10.0)
    export_cap_required: bool = False
    language: Literal["auto", "en", "de", "fr"] = "auto"


class LimitsSection(Section):
    """Can only tighten the hard caps of `core.limits`."""

    phase_max_w: float = Field(default=PHASE_CAP_W, gt=0.0, le=PHASE_CAP_W)
    step_max_w_per_s: float = Field(default=STEP_CAP_W_PER_S, gt=0.0, le=STEP_CAP_W_PER_S)
    imbalance_max_w: float = Field(default=IMBALANCE_CAP_W, gt=0.0, le=IMBALANCE_CAP_W)
    imbalance_of: Annotated[ImbalanceOf, Field(strict=False)] = ImbalanceOf.ACTION


class TcpTransport(Section):
    """Modbus over TCP."""

    type: Literal["tcp"]
    host: Text
    port: int = Field(default=502, ge=1, le=65535)
    device_id: int = Field(default=1, ge=0, le=255)  # gateways also answer as 0 or 255


class RtuTransport(Section):
    """Modbus over a serial line."""

    type: Literal["rtu"]
    path: Text
    baudrate: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    device_id: int = Field(default=1, ge=1, le=247)  # Modbus over serial line 1.02, 2.2


class P1Transport(Section):
    """The P1 port of a DSMR 4 or 5 meter, which sends a telegram every second by itself."""

    type: Literal["p1"]
    path: Text


class SmlTransport(Section):
    """The optical head of a German meter that sends SML telegrams by itself, 8N1."""

    type: Literal["sml"]
    path: Text
    baudrate: Literal[9600, 19200, 38400, 57600, 115200] = 9600


class MeterSection(Section):
    """The meter at the grid connection point. `timeout_s` is per try; a missed try is repeated once.

    What a P1 or SML telegram says is fixed by its standard: it takes no profile, no sign and no timeout.
    `delay_s` is how much later than the power its readings are on average, where that was measured.
    """

    profile: Annotated[Text, AfterValidator(_profile)] | None = None
    invert: bool = False
    delay_s: float = Field(default=0.0, ge=0.0, le=10.0)
    timeout_s: float | None = Field(default=None, ge=0.02, le=2.0)
    transport: Annotated[
        TcpTransport | RtuTransport | P1Transport | SmlTransport, Field(discriminator="type")
    ]

    @property
    def pushes(self) -> bool:
        """Whether the meter sends by itself."""
        return isinstance(self.transport, P1Transport | SmlTransport)


class AirtimeSection(Section):
    """What the radio may use of the shared air."""

    frames_per_s: float = Field(default=0.5, ge=0.05, le=0.8)
    burst_frames: float = Field(default=3.0, ge=1.0, le=7.0)
    deadband_w: float = Field(default=50.0, ge=0.0, le=500.0)
    keep_alive_s: float = Field(default=3.0, ge=1.0, le=20.0)


class RadioSection(Section):
    """The Zigbee coordinator. `ttl_s` is how long a slave obeys without hearing anything."""

    path: Text
    remote_coordinator: Literal["refused", "accepted"] = "refused"
    baudrate: Literal[57600, 115200, 230400, 460800] = 115200
    channel: int = Field(default=15, ge=11, le=26)
    ttl_s: int = Field(default=15, ge=1, le=60)
    key_file: LocalPath = Path("site.key")
    airtime: AirtimeSection = AirtimeSection()


class SlaveSection(Section):
    """One controllable device: what stands on its label, and what was measured of it.

    A phase carries 5000 W at most, three of them 15,000 W. `phases` says where it draws, "all" for alike from
    all three; `phase` is the older word for one. Without `levels_w` it takes any power from `min_w` on.
    A device whose dead-man was not proven on this site is told nothing but 0 W, unless that is "accepted".
    """

    name: Name
    slot: int = Field(ge=0, le=254)
    driver: Literal["sunkeep", "modbus", "shelly", "zigbee-switch", "zigbee-level"] = "sunkeep"
    unproven_dead_man: Literal["refused", "accepted"] = "refused"
    modbus: ModbusDeviceSection | None = None
    shelly: ShellySection | None = None
    zigbee: ZigbeeDeviceSection | None = None
    phase: Literal["a", "b", "c"] | None = None
    phases: Literal["a", "b", "c", "all"] | None = None
    max_w: int = Field(gt=0, le=3 * int(PHASE_CAP_W))
    min_w: int = Field(default=0, ge=0)
    levels_w: Annotated[tuple[int, ...], Field(strict=False, max_length=16)] = ()
    min_on_s: float = Field(default=0.0, ge=0.0, le=7200.0)
    min_off_s: float = Field(default=0.0, ge=0.0, le=7200.0)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=1, le=9)
    dead_time_s: float | None = Field(default=None, ge=0.0, le=60.0)
    dead_time_sd_s: float = Field(default=0.0, ge=0.0, le=10.0)
    dead_time_high_s: float | None = Field(default=None, ge=0.0, le=60.0)
    lag_s: float | None = Field(default=None, gt=0.0, le=300.0)
    gain: float | None = Field(default=None, gt=0.0, le=2.0)

    @property
    def device(self) -> str:
        """What a device of its own is, and where; empty for a slave of the broadcast."""
        if self.shelly is not None:
            return f"Shelly {self.shelly.component} {self.shelly.channel} at {self.shelly.host}"
        if self.zigbee is not None:
            return f"Zigbee device {self.zigbee.ieee}, endpoint {self.zigbee.endpoint}"
        modbus = self.modbus
        return "" if modbus is None else f"{modbus.profile} at {modbus.host}:{modbus.port}"

    @property
    def letters(self) -> str:
        """The phases it draws from."""
        phases = self.phases or self.phase or ""
        return "".join(PHASE_NAMES) if phases == "all" else phases

    @property
    def is_three_phase(self) -> bool:
        """Whether it draws alike from all phases."""
        return self.phases == "all"


class WindowSection(Section):
    """Hours in which the policy acts. An end before the start runs over midnight."""

    weekdays: Weekdays = WEEKDAYS
    start: TimeOfDay
    end: TimeOfDay


class ModeSection(Section):
    """Who should act. The schedule replaces the randomised blocks of `ab`."""

    mode: Annotated[Mode, Field(strict=False)] = Mode.SHADOW
    rollout_percent: float = Field(default=0.0, ge=0.0, le=100.0)
    schedule: Annotated[tuple[WindowSection, ...], Field(strict=False, max_length=WINDOWS_MAX)] = ()


class PolicySection(Section):
    """The policy bundle: one that ships ("builtin", "clone"), "installed" for the one that is active in the
    store (`sunkeep model activate`), or a folder.

    With `trusted_keys` an installed bundle or a folder is used only when one of these keys signed it.
    """

    bundle: Annotated[Text, AfterValidator(_bundle)] = BUILTIN
    trusted_keys: Annotated[
        tuple[Annotated[str, AfterValidator(_public_key)], ...], Field(strict=False, max_length=KEYS_MAX)
    ] = ()


class FallbackSection(Section):
    """The controller that always has an answer, with its gains; what is left out is the law's own.

    `margin_w` is the import aimed at. `kp` (W/W) and `ki` (W/W per s) are of law "pi"; above 2 they oscillate
    with any delay of the radio. The others are of law "predictive": shares of a gap that are closed per tick
    where surplus grows and falls (`k_up`, `k_down`; more than the gap would overshoot), how far its trend is
    followed (`trend_s`), the share of a new slope that is believed (`slope_share`), the largest slope that is
    (`slope_max_w_per_s`, at most what the step limit can follow), and the lead on a change (`lead`, W/W).
    """

    law: Literal["pi", "predictive"] = "pi"
    margin_w: float | None = Field(default=None, ge=-500.0, le=500.0)
    kp: float | None = Field(default=None, ge=0.0, le=2.0)
    ki: float | None = Field(default=None, ge=0.0, le=2.0)
    k_up: float | None = Field(default=None, gt=0.0, le=1.0)
    k_down: float | None = Field(default=None, gt=0.0, le=1.0)
    trend_s: float | None = Field(default=None, ge=0.0, le=5.0)
    slope_share: float | None = Field(default=None, gt=0.0, le=1.0)
    slope_max_w_per_s: float | None = Field(default=None, gt=0.0, le=STEP_CAP_W_PER_S)
    lead: float | None = Field(default=None, ge=0.0, le=2.0)


class AnomalySection(Section):
    """Standard deviations beyond which a feature is flagged, and the calibration of the tripping tier.

    Without a calibration, a file of `sunkeep calibrate`, the detector flags and never trips.
    """

    z_threshold: float = Field(default=3.0, ge=1.0, le=100.0)
    calibration: Annotated[Path | None, BeforeValidator(optional_path)] = None


class JournalSection(Section):
    """Where every tick is recorded, and how much of it is kept.

    A day at one tick per second takes about 40 MB (nine slaves, measured), so the default keeps three weeks
    and the detector can be calibrated on two.
    """

    directory: LocalPath = Path("/var/lib/sunkeep/journal")
    max_mb: int = Field(default=1000, ge=1, le=1_000_000)


class StateSection(Section):
    """Where timers, counters and the radio's database live."""

    directory: LocalPath = Path("/var/lib/sunkeep")


class StatusSection(Section):
    """Where the status page and the metrics are served. Port 0 takes any free port."""

    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    port: int = Field(default=9108, ge=0, le=65535)
