"""One TOML file to frozen settings, or to a list of everything that is wrong with it."""

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from core.limits import Limits
from core.modes import ModePlan, Window
from core.site import PHASE_NAMES, SUNKEEP, Airtime, Site, Slave
from daemon.config import consistency as against
from daemon.config import sections, slave_checks
from daemon.config.device_checks import devices_fit
from daemon.config.diagnostics import Problem, dotted, problem_of
from daemon.config.gateway_sections import LanSection, MqttSection, NotifySection
from daemon.config.rollout_section import RolloutSection, plan_stands_alone
from daemon.config.tariff_section import HistorySection, TariffSection
from daemon.config.toml_limits import BYTES_MAX, excess
from daemon.config.toml_lines import LineIndex, line_of

METER_TIMEOUT_S = 0.3
"""Per try, unless the period is too short for two of them."""
PROBLEMS_MAX = 50
"""So many problems are told; a file with more is another kind of file."""
KEY_BYTES = 32
_SYNTAX_PLACE = re.compile(r"^(.*?)\s*\(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


class SettingsError(Exception):
    """The configuration is refused. `problems` holds every reason, each with what to do."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Settings(sections.Section):
    """The whole configuration. Never exists in a state that contradicts itself."""

    site: sections.SiteSection = sections.SiteSection()
    limits: sections.LimitsSection = sections.LimitsSection()
    meter: sections.MeterSection
    radio: sections.RadioSection
    slaves: Annotated[tuple[sections.SlaveSection, ...], Field(strict=False, max_length=sections.SLAVES_MAX)]
    mode: sections.ModeSection = sections.ModeSection()
    rollout: RolloutSection | None = None
    policy: sections.PolicySection = sections.PolicySection()
    fallback: sections.FallbackSection = sections.FallbackSection()
    anomaly: sections.AnomalySection = sections.AnomalySection()
    journal: sections.JournalSection = sections.JournalSection()
    state: sections.StateSection = sections.StateSection()
    status: sections.StatusSection = sections.StatusSection()
    tariff: TariffSection = TariffSection()
    history: HistorySection = HistorySection()
    lan: LanSection | None = None
    mqtt: MqttSection | None = None
    notify: NotifySection | None = None
    _proven: frozenset[str] = PrivateAttr(default=frozenset())
    """Names of the devices whose dead-man was proven on this site."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Settings":
        found = list(
            chain(
                against.meter_fits(self.site, self.meter),
                against.coordinator_is_here(self.radio),
                against.air_fits(self.site, self.radio, self.slaves),
                slave_checks.slaves_fit(self.slaves),
                slave_checks.slaves_obey_limits(self.limits, self.slaves),
                devices_fit(self.site, self.radio, self.slaves),
                against.export_cap_fits(self.site),
                against.gains_fit(self.fallback),
                against.windows_fit(self.mode),
                plan_stands_alone(self.rollout, self.mode),
            )
        )
        if found:
            words = "; ".join(f"{dotted(where)}: {why}" for where, why, _ in found)
            raise PydanticCustomError("contradiction", "{words}", {"words": words, "found": found})
        return self

    def core_site(self) -> Site:
        """The site as `core` knows it."""
        frames = against.frames_for([slave.slot for slave in self.slaves if slave.driver == SUNKEEP])
        window_frames = against.BROADCASTS_MAX // max(1, frames)
        return Site(
            slaves=tuple(_core_slave(slave, slave.name in self._proven) for slave in self.slaves),
            role=self.site.role,
            metering=self.site.metering,
            period_s=self.site.period_s,
            airtime=Airtime(**self.radio.airtime.model_dump(), window_frames=window_frames),
            limits=self.core_limits(),
            meter_delay_s=self.meter.delay_s,
        )

    def with_measured(self, numbers: Mapping[str, Mapping[str, float]]) -> "Settings":
        """With what was measured on the site, where the configuration leaves it open.

        Args:
            numbers: by name of the slave, any of `dead_time_s`, `dead_time_sd_s`, `dead_time_high_s`,
                `lag_s`, `gain`, and `dead_man_s` where its dead-man was proven.
        """
        slaves = tuple(
            slave.model_copy(update=_left_open(slave, numbers.get(slave.name, {}))) for slave in self.slaves
        )
        copy = self.model_copy(update={"slaves": slaves})
        copy._proven = frozenset(name for name, told in numbers.items() if "dead_man_s" in told)
        return copy

    def core_limits(self) -> Limits:
        """Limits in force: never wider than the hard caps."""
        limits = self.limits
        return Limits(
            limits.phase_max_w, limits.step_max_w_per_s, limits.imbalance_max_w, limits.imbalance_of
        )

    def plan(self, site_seed: bytes) -> ModePlan:
        """The configured mode; `site_seed` decides which blocks belong to the policy."""
        windows = (
            Window(
                frozenset(map(sections.WEEKDAYS.index, window.weekdays)),
                sections.minute_of_day(window.start),
                sections.minute_of_day(window.end),
            )
            for window in self.mode.schedule
        )
        return ModePlan(self.mode.mode, self.mode.rollout_percent, tuple(windows), site_seed)

    def zone(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.site.timezone)

    def meter_timeout_s(self) -> float:
        """Per try; two tries always fit the period."""
        fits_s = against.METER_SHARE * self.site.period_s / against.METER_TRIES
        return min(METER_TIMEOUT_S, fits_s) if self.meter.timeout_s is None else self.meter.timeout_s


def _left_open(section: sections.SlaveSection, numbers: Mapping[str, float]) -> dict[str, float]:
    """Those that the configuration does not tell; spread and upper end belong to the dead time."""
    told = {key for key in ("dead_time_s", "lag_s", "gain") if getattr(section, key) is not None}
    if "dead_time_s" in told:
        told |= {"dead_time_sd_s", "dead_time_high_s"}
    known = {"dead_time_s", "dead_time_sd_s", "dead_time_high_s", "lag_s", "gain"}
    return {key: float(value) for key, value in numbers.items() if key in known - told}


def _core_slave(section: sections.SlaveSection, is_proven: bool) -> Slave:
    return Slave(
        slot=section.slot,
        name=section.name,
        phase=PHASE_NAMES.index(section.letters[0]),
        max_w=section.max_w,
        min_w=section.min_w,
        is_three_phase=section.is_three_phase,
        levels_w=section.levels_w,
        min_on_s=section.min_on_s,
        min_off_s=section.min_off_s,
        priority=section.priority,
        driver=section.driver,
        may_draw=section.driver == SUNKEEP or is_proven or section.unproven_dead_man == "accepted",
        dead_time_s=section.dead_time_s,
        dead_time_sd_s=section.dead_time_sd_s,
        dead_time_high_s=section.dead_time_high_s,
        lag_s=section.lag_s,
        gain=section.gain,
    )


def load_settings(path: Path, *, key: bool = True) -> Settings:
    """Read, check and freeze a configuration.

    Args:
        path: a TOML file; relative paths in it belong to its folder.
        key: whether the site's key file must be there and be private.

    Raises:
        SettingsError: with every problem found, each with file, line, key, reason and what to do.
    """
    settings = parse_settings(read_toml(path), path)
    if key:
        read_site_key(settings, path)
    return settings


def parse_settings(text: str, path: Path) -> Settings:
    """Settings of a text. `path` is named in messages, and its folder is where relative paths start.

    Raises SettingsError.
    """
    data = parse_toml(text, path)
    try:
        return Settings.model_validate(data, context={"base": path.parent})
    except ValidationError as error:
        index = LineIndex(text)
        told = chain.from_iterable(_problems(item, index, path) for item in error.errors())
        raise SettingsError(sorted(islice(told, PROBLEMS_MAX), key=lambda problem: problem.line)) from None


def read_site_key(settings: Settings, path: Path) -> bytes:
    """The 32 bytes that authenticate frames.

    Raises SettingsError when the file is absent, open to others, or holds something else.
    """
    file = settings.radio.key_file
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(1024)
    except OSError as error:
        reason = f"{file} cannot be read ({error.strerror})"
        advice = f"Make one with: sunkeep zigbee key --config {path}"
        if isinstance(error, PermissionError):  # it is there and belongs to somebody else
            advice = f"Run this as the user that owns it, or give it to that one: chown sunkeep {file}"
        raise _key_error(path, reason, advice) from None
    if mode & 0o077:
        raise _key_error(path, f"{file} can be read by others", f"Run: chmod 600 {file}")
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(set(key)) == 1:
        raise _key_error(
            path, f"{file} does not hold a key", f"Write {2 * KEY_BYTES} random hexadecimal digits"
        )
    return key


def _key_error(path: Path, reason: str, advice: str) -> SettingsError:
    location = ("radio", "key_file")
    try:
        line = line_of(read_toml(path), location)
    except SettingsError:  # settings that never were a file
        line = 1
    return SettingsError([Problem(path, line, dotted(location), reason, advice)])


def _problems(item: Any, index: LineIndex, path: Path) -> Iterator[Problem]:
    if item["type"] != "contradiction":
        yield problem_of(item, Settings, index, path)
        return
    for where, why, advice in item["ctx"]["found"]:
        yield Problem(path, index.line_of(where), dotted(where), why, advice)


def read_toml(path: Path) -> str:
    """The text of a file that is what it seems: regular, not a link, not writable by everybody.

    Raises SettingsError.
    """

    def refuse(reason: str, advice: str, line: int = 1) -> SettingsError:
        return SettingsError([Problem(path, line, "", reason, advice)])

    if path.is_dir():
        raise refuse("is not a file", "Name a TOML file")
    if path.is_symlink():
        raise refuse("is a symbolic link", "Name the file itself")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise refuse("is not a file", "Name a TOML file")
            if mode & stat.S_IWOTH:
                raise refuse("can be written by everybody", f"Run: chmod o-w {path}")
            content = stream.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise refuse(
            "does not exist", "Name a file that does, or start from docs/sunkeep.example.toml"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(f"cannot be read ({reason})", "Check the path and its permissions") from None
    if len(content) > BYTES_MAX:
        raise refuse(f"is larger than {BYTES_MAX // 1000} kB", "Name a configuration file")
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refuse("is not UTF-8 text", "Save the file as UTF-8", line) from None


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The tables of a TOML text. `path` is named in messages. Raises SettingsError."""
    if (found := excess(text)) is not None:
        line, reason, advice = found
        raise SettingsError([Problem(path, line, "", reason, advice)])
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem = Problem(path, 1, "", "is nested too deeply", "Remove the nesting")
    except ValueError as error:  # TOMLDecodeError, and integers with thousands of digits
        place = _SYNTAX_PLACE.match(str(error))
        last = max(1, text.count("\n") + (not text.endswith("\n")))
        line, column = (int(place[2] or last), int(place[3] or 1)) if place else (last, 1)
        reason = place[1] if place else str(error).split(";")[0]
        reason = reason if reason.isprintable() else ascii(reason)
        problem = Problem(path, line, "", f"syntax: {reason}", "Correct the line", column)
    raise SettingsError([problem])
