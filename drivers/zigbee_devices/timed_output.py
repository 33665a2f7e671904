"""A Zigbee relay or dimmer: On/Off with a timed off, and Level Control where it is dimmed.

Its dead-man is OnTime: every "on" is a command "on with timed off" (0x42), after which the device switches
itself off whatever became of whoever sent it. Facts: Zigbee Cluster Library specification (07-5123), 3.8
(On/Off), 3.10 (Level Control), 4.9 (Electrical Measurement).
"""

import struct
from dataclasses import dataclass
from typing import Any

from drivers.devices.device_wire import DeviceReading
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.zigbee_devices.unicasts import ZigbeeUnicasts
from drivers.zigbee_devices.zcl import SUCCESS, AnswerError, Question, read, write_enum8

ON_OFF, LEVEL, ELECTRICAL, BASIC = 0x0006, 0x0008, 0x0B04, 0x0000
OFF, ON_WITH_TIMED_OFF = 0x00, 0x42
IS_ON, ON_TIME, START_UP = 0x0000, 0x4001, 0x4003
START_UP_OFF = 0x00
MOVE_TO_LEVEL, CURRENT_LEVEL = 0x00, 0x0000
EXECUTE_IF_OFF = 0x01
"""Option of Level Control (3.10.2.3.2): it takes a level while it is off, too."""
TRANSITION_TENTHS = 0
"""As fast as it can."""
LEVEL_MAX = 254
POWER, POWER_MULTIPLIER, POWER_DIVISOR = 0x050B, 0x0604, 0x0605
NO_POWER = -0x8000
"""Says that it knows none (ActivePower, invalid value of int16)."""
SOFTWARE = 0x4000
OFF_WAIT_TENTHS = 1
"""Some take no timed off without it (Sonoff ZBMINI); short, for until it is over a device stays off."""
SHORTER_BY_S = 3.0
"""Of its timer, between the message and the question; more means that it took another number."""


@dataclass(slots=True)
class TimedOutput:
    """Satisfies `drivers.devices.device_wire.SlaveDevice`.

    Args:
        is_dimmed: by Level Control; else it is on or off.
        max_w: what the load draws when it is fully on.
        dead_man_s: the device's own timer, renewed by every message.
        stays_off: somebody has tried that it is off after a power cut; else it must say so itself.
    """

    unicasts: ZigbeeUnicasts
    ieee: str
    endpoint: int
    is_dimmed: bool
    max_w: int
    dead_man_s: float
    stays_off: bool
    version: str = ""
    """Of its firmware, as it tells it; empty where it does not."""
    _power_scale: float | None = None
    _level: int | None = None
    _told_w: int = 0
    """What its level was told for; a level is coarser than a watt."""
    _is_timer_seen: bool = False

    async def open(self) -> None:
        """Find it, and refuse one that has no timer or would be on after a power cut.

        Raises:
            Transient: it does not answer.
            ConfigError: it cannot be trusted; says what to do.
        """
        self._level, self._is_timer_seen = None, False
        found = await self._read(ON_OFF, IS_ON, ON_TIME, START_UP)
        if IS_ON not in found:
            raise ConfigError(f"{self.ieee} has no On/Off on endpoint {self.endpoint}. Correct its endpoint.")
        if ON_TIME not in found:
            raise ConfigError(
                f"{self.ieee} knows no timed off (OnTime), so nobody would switch it off when this computer "
                "falls silent. Use another device."
            )
        if int(found[ON_TIME]) > round(10 * self.dead_man_s):  # it never takes less than is left (3.8.2.3.6)
            await self._command(Question(ON_OFF, OFF), is_rest=True)
        if not self.stays_off:
            await self._require_off_at_start(found.get(START_UP))
        if self.is_dimmed and CURRENT_LEVEL not in await self._read(LEVEL, CURRENT_LEVEL):
            raise ConfigError(f'{self.ieee} has no Level Control. Write driver = "zigbee-switch".')
        self.version = str((await self._read(BASIC, SOFTWARE)).get(SOFTWARE) or "")
        self._power_scale = _scale(await self._read(ELECTRICAL, POWER, POWER_MULTIPLIER, POWER_DIVISOR))

    async def write(self, watts: int) -> None:
        """Switch or dim, and start the timer anew. Never more than `watts`.

        Raises:
            Transient: it was not taken.
            Unconfirmed: nobody knows.
            ConfigError: the device does not run its timer, and was switched off.
        """
        level = self._steps(watts)
        if level == 0:
            await self._command(Question(ON_OFF, OFF), is_rest=True)
            return
        is_begun = self.is_dimmed and level != self._level
        if is_begun:
            self._level = None
            # first, also while it is off: it never comes on with more than it is told now
            body = struct.pack("<BHBB", level, TRANSITION_TENTHS, EXECUTE_IF_OFF, EXECUTE_IF_OFF)
            await self._command(Question(LEVEL, MOVE_TO_LEVEL, body))
            self._level = level
        self._told_w = min(watts, self.max_w) if self.is_dimmed else self.max_w
        body = struct.pack("<BHH", 0, round(10 * self.dead_man_s), OFF_WAIT_TENTHS)
        try:
            await self._command(Question(ON_OFF, ON_WITH_TIMED_OFF, body))
        except Unconfirmed:
            raise
        except Transient as error:
            if is_begun:  # one that was on has moved
                raise Unconfirmed(f"only the level was taken: {error}", error.kind) from error
            raise
        if not self._is_timer_seen:
            await self._see_timer(level)

    async def read(self) -> DeviceReading:
        """What it says of itself. Raises Transient."""
        is_on = (await self._read(ON_OFF, IS_ON)).get(IS_ON)
        level = LEVEL_MAX
        if self.is_dimmed and is_on:
            told = (await self._read(LEVEL, CURRENT_LEVEL)).get(CURRENT_LEVEL)
            level = 0 if told is None else int(told)
        power_w: float | None = None
        if self._power_scale is not None:
            raw = (await self._read(ELECTRICAL, POWER)).get(POWER)
            power_w = None if raw is None or int(raw) == NO_POWER else int(raw) * self._power_scale
        return DeviceReading(
            power_w=power_w, applied_w=None if is_on is None else self._applied_w(is_on, level)
        )

    async def close(self) -> None:
        """Nothing: the radio is the site's."""

    def _steps(self, watts: int) -> int:
        """The level that it is told, 0 for off."""
        if not self.is_dimmed:
            return LEVEL_MAX if watts >= self.max_w else 0
        return min(LEVEL_MAX, LEVEL_MAX * watts // self.max_w)

    def _applied_w(self, is_on: Any, level: int) -> int:
        if not is_on:
            return 0
        if not self.is_dimmed:
            return self.max_w
        return self._told_w if level == self._level else round(self.max_w * level / LEVEL_MAX)

    async def _require_off_at_start(self, told: Any) -> None:
        if told is None:
            raise ConfigError(
                f"{self.ieee} does not say whether it stays off after a power cut (StartUpOnOff). Switch it "
                "on, pull its plug and put it back: if it is off then, write stays_off = true"
            )
        if int(told) == START_UP_OFF:
            return
        await self._ask(write_enum8(ON_OFF, START_UP, START_UP_OFF))
        if (await self._read(ON_OFF, START_UP)).get(START_UP) != START_UP_OFF:
            raise ConfigError(f"{self.ieee} comes on by itself after a power cut, and that cannot be changed")

    async def _see_timer(self, level: int) -> None:
        found = await self._read(ON_OFF, IS_ON, ON_TIME, is_setpoint=True)
        timer_s = int(found.get(ON_TIME, 0)) / 10.0
        is_right = bool(found.get(IS_ON)) and 0.0 <= self.dead_man_s - timer_s <= SHORTER_BY_S
        why = f"does not run its timer as it was told ({timer_s:g} s instead of {self.dead_man_s:g} s)"
        if is_right and self.is_dimmed:
            told = (await self._read(LEVEL, CURRENT_LEVEL, is_setpoint=True)).get(CURRENT_LEVEL)
            is_right = told is not None and int(told) <= level
            why = f"took level {told} instead of {level}"
        if not is_right:
            await self._command(Question(ON_OFF, OFF), is_rest=True)
            raise ConfigError(
                f"{self.ieee} {why}, so nobody can rely on it when this computer falls silent. It was "
                "switched off. Update its firmware, or use another device"
            )
        self._is_timer_seen = True

    async def _command(self, question: Question, *, is_rest: bool = False) -> None:
        answer = await self._ask(question, is_rest=is_rest, is_setpoint=True)
        try:
            status = question.status(answer)
        except AnswerError as error:
            raise Unconfirmed(f"{self.ieee}: {error}", "other") from None
        if status != SUCCESS:
            raise Transient(f"{self.ieee} refuses command 0x{question.command:02x} ({status})", "refused")

    async def _read(self, cluster: int, *attributes: int, is_setpoint: bool = False) -> dict[int, Any]:
        """What it has of these; nothing where it has not the cluster."""
        question = read(cluster, *attributes)
        try:
            return question.values(await self._ask(question, is_setpoint=is_setpoint))
        except AnswerError:
            return {}

    async def _ask(self, question: Question, *, is_rest: bool = False, is_setpoint: bool = False) -> bytes:
        return await self.unicasts.ask(
            self.ieee, self.endpoint, question, is_rest=is_rest, is_setpoint=is_setpoint
        )


def _scale(found: dict[int, Any]) -> float | None:
    """Watts per step of its ActivePower; None where it measures nothing. Both are 1 by default."""
    if POWER not in found:
        return None
    divisor = int(found.get(POWER_DIVISOR, 1))
    return int(found.get(POWER_MULTIPLIER, 1)) / divisor if divisor > 0 else None
