"""A Modbus meter: one power block every tick, slow values in turn, nothing that is not certain."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from core.causes import Cause
from core.site import Phases
from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.meters.modbus_connection import IllegalRequestError, ModbusConnection
from drivers.meters.modbus_transport import Request, Rtu, Tcp, Transport, answer_s
from drivers.meters.profile import MeterIdentity, Profile
from drivers.meters.registers import BlockDecoder, Values
from drivers.ports import EnergyCounters, Reading

__all__ = ["ModbusMeter", "Rtu", "Tcp", "Transport"]

SLOW_EVERY_S = 5.0
"""One slow block at a time: often enough for energies and frequency, seldom enough for a 9600 baud line."""
IDENTITY_EVERY_S = 600.0
TICK_SHARE_S = 0.75
"""Longest a read may take: within the tick's deadline of 0.8 s."""
_GATEWAY = ("exc_4", "exc_10", "exc_11")
"""What a gateway answers for a device that is not there."""


class ModbusMeter:
    """Reads one meter as its profile says (`drivers.ports.Meter`). Not for concurrent use.

    Args:
        clock: monotonic seconds.
        invert: the current transformers sit the wrong way round.
        identity: what `identity` was when the meter was commissioned; None accepts any.
        timeout_s: for one answer.
        read_limit_s: for one `read`, its retry included.
    """

    def __init__(
        self,
        profile: Profile,
        transport: Transport,
        *,
        clock: Callable[[], float],
        invert: bool = False,
        identity: tuple[int, ...] | None = None,
        timeout_s: float = 0.3,
        read_limit_s: float = TICK_SHARE_S,
    ) -> None:
        self._profile = profile
        self._line = _line(profile, transport, clock, timeout_s)
        self._clock = clock
        self._timeout_s = timeout_s
        self._read_limit_s = read_limit_s
        self._sign = -1.0 if invert == profile.import_positive else 1.0
        self._counters = _counters(profile, invert)
        self._decoders = {block: BlockDecoder(profile, block) for block in profile.blocks}
        self._slow_blocks = list(profile.slow_blocks)
        self._slow_at_s = -inf
        self._identity_at_s = -inf
        self._identified_connects = 0
        self._known_identity = identity
        self.energy = EnergyCounters()

    @property
    def identity(self) -> tuple[int, ...] | None:
        """Words that tell this device from another; None before `start`, empty when it tells nothing."""
        return self._known_identity

    @property
    def connects(self) -> int:
        """Attempts to connect so far."""
        return self._line.connects

    @property
    def unasked_total(self) -> int:
        """How often bytes came on a serial line while nothing was asked for."""
        return self._line.unasked_total

    async def start(self) -> None:
        """Connect, check which device answers, and read once.

        Raises:
            Transient: nobody answers; may be cured by itself.
            Broken: ``meter_identity`` (another device than before), ``meter_config`` (the gateway has no
                device with this id).
            ConfigError: the device does not fit the profile.
        """
        try:
            await self._power(self._until())
            await self._check_identity(self._until())
        except IllegalRequestError as error:
            raise ConfigError(
                f"this is not a {self._profile.title}: {error}; check profile and device_id"
            ) from error
        except Transient as error:
            if error.kind in _GATEWAY:
                raise DeviceFault(Cause.METER_CONFIG, f"{error}; check device_id") from error
            raise

    async def read(self) -> Reading:
        """One sample, at most one retry, in at most `read_limit_s`.

        Raises:
            Transient: no valid answer this time.
            Broken: ``meter_config`` (the device refuses the request), ``meter_identity``.
        """
        until_s = self._until()
        try:
            raw = await self._power(until_s)
            if self._identity_is_due():
                await self._check_identity(until_s)
        except IllegalRequestError as error:
            raise DeviceFault(Cause.METER_CONFIG, str(error)) from error
        except ConfigError as error:
            raise DeviceFault(Cause.METER_IDENTITY, str(error)) from error
        values = self._decoders[self._profile.power_block].decode(raw)
        self._note_energy(values)
        values = await self._read_slow(until_s) | values
        return reading_of(values, raw, self._sign)

    async def stop(self) -> None:
        """Close the connection."""
        await self._line.close()

    def _until(self) -> float:
        return self._clock() + self._read_limit_s

    async def _power(self, until_s: float) -> tuple[int, ...]:
        block = self._profile.power_block
        return await self._twice(self._profile.function, block.address, block.count, until_s)

    async def _twice(self, function: int, address: int, count: int, until_s: float) -> tuple[int, ...]:
        """Once, and once more if that failed and there is time (on a serial line, after the drain)."""
        try:
            return await self._line.read_registers(function, address, count, until_s)
        except Transient:
            if not self._line.can_retry_before(until_s):
                raise
        return await self._line.read_registers(function, address, count, until_s)

    async def _read_slow(self, until_s: float) -> Values:
        """The next slow block, if it is its turn and time is left. Its failure does no harm."""
        now_s = self._clock()
        due = now_s - self._slow_at_s >= SLOW_EVERY_S and until_s - now_s >= self._timeout_s
        if not self._slow_blocks or not due:
            return {}
        self._slow_at_s = now_s
        block = self._slow_blocks.pop(0)
        try:
            raw = await self._line.read_registers(self._profile.function, block.address, block.count, until_s)
        except IllegalRequestError:  # this variant does not have it: not asked again
            return {}
        except Transient:
            self._slow_blocks.append(block)
            return {}
        self._slow_blocks.append(block)
        values = self._decoders[block].decode(raw)
        self._note_energy(values)
        return values

    def _note_energy(self, values: Values) -> None:
        now_s = self._clock()
        for name, counter in self._counters.items():
            if counter in values:
                told: dict[str, Any] = {f"{name}_wh": values[counter][0], f"{name}_at_s": now_s}
                self.energy = replace(self.energy, **told)

    def _identity_is_due(self) -> bool:
        """After each new connection, and from time to time."""
        new = self._identified_connects != self._line.connects
        return new or self._clock() - self._identity_at_s >= IDENTITY_EVERY_S

    async def _check_identity(self, until_s: float) -> None:
        words: list[int] = []
        for item in self._profile.identity:
            words += await self._told_by(item, until_s)
        told = tuple(words)
        if self._known_identity is not None and told != self._known_identity:
            raise DeviceFault(
                Cause.METER_IDENTITY, f"another meter answers: identity {told}, was {self._known_identity}"
            )
        self._known_identity = told
        self._identity_at_s = self._clock()
        self._identified_connects = self._line.connects

    async def _told_by(self, item: MeterIdentity, until_s: float) -> tuple[int, ...]:
        function = item.function or self._profile.function
        try:
            words = await self._twice(function, item.address, item.count, until_s)
        except IllegalRequestError:  # variants without these registers are common
            return ()
        number = identity_number(words)
        if item.expect and number not in item.expect:
            expected = " or ".join(map(str, item.expect))
            hint = item.hint or "check profile and device_id"
            raise ConfigError(f"{self._profile.title}: {item.name} is {number}, expected {expected}; {hint}")
        return words


def _line(
    profile: Profile, transport: Transport, clock: Callable[[], float], timeout_s: float
) -> ModbusConnection:
    """The line, which on a serial port drains for as long as the profile's longest answer takes."""
    if isinstance(transport, Rtu) and transport.drain_s is None:
        drain_s = answer_s(transport.baudrate, profile.longest_block, profile.answer_delay_s)
        transport = replace(transport, drain_s=drain_s)
    one, other = (Request(profile.function, block.address, block.count) for block in profile.markers)
    return ModbusConnection(transport, clock=clock, timeout_s=timeout_s, markers=(one, other))


def reading_of(values: Values, raw: tuple[int, ...], sign: float) -> Reading:
    """A sample of what was decoded; without a total the phases are summed.

    Args:
        values: of all blocks that were read.
        raw: registers of the power block.
        sign: +1.0 where the registers count import as positive, else -1.0.

    Raises:
        Transient: the meter has no power to tell.
    """
    power_w = _phases(values, "power_w", sign)
    if power_w is None:
        raise Transient("the meter says: power not available", "not_available")
    total_w = values.get("total_power_w", (None,))[0]
    return Reading(
        grid_power_w=power_w,
        total_power_w=sum(power_w) if total_w is None else sign * total_w,
        voltage_v=_phases(values, "voltage_v"),
        current_a=_phases(values, "current_a"),
        frequency_hz=values.get("frequency_hz", (None,))[0],
        raw=raw,
        power_factor=_phases(values, "power_factor"),
    )


def _counters(profile: Profile, invert: bool) -> dict[str, str]:
    """Which quantity counts what flows into the site (``import``) and out of it (``export``).

    Turned transformers exchange the counters together with the sign of the power. Where `invert` may as well
    mean a maker's other sign, which leaves the counters alone, they say nothing.
    """
    if not invert:
        return {"import": "import_wh", "export": "export_wh"}
    return {} if profile.sign_by_maker else {"import": "export_wh", "export": "import_wh"}


def identity_number(words: tuple[int, ...]) -> int:
    """The value of identity registers, high word first."""
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big")


def _phases(values: Values, name: str, sign: float = 1.0) -> Phases | None:
    a, b, c = values.get(name, (None, None, None))
    if a is None or b is None or c is None:
        return None
    return (sign * a, sign * b, sign * c)
