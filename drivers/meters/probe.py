"""Which known meter answers at the end of a wire: found by reading alone, in bounded time.

Every profile is held against what answers: its identity registers, and whether the values that its registers
give can be those of a three-phase connection. `ModbusConnection` knows no way to write, so nothing is
written.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from drivers.errors import DriverError, Transient
from drivers.meters.modbus import identity_number, reading_of
from drivers.meters.modbus_connection import IllegalRequestError, ModbusConnection
from drivers.meters.modbus_transport import Rtu, Tcp, Transport
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.meters.profile import Profile
from drivers.meters.registers import BlockDecoder, Values
from drivers.ports import Reading

ANSWER_S = 0.4
"""For one answer, without its time on a serial line; stock meters answer within 0.2 s."""
ANSWER_BITS = 1500
"""The longest answer of a profile: 62 registers, 129 bytes of 11 bits."""
VOLTAGE_V = (207.0, 253.0)
"""EN 50160: 230 V +/- 10 %."""
FREQUENCY_HZ = (49.0, 51.0)
"""EN 50160: 50 Hz +/- 2 %."""
EXPECTED_WEIGHT = 3
"""A model number that fits weighs as much as three values that do: values of neighbours may fit by chance."""
_UNREACHABLE = "cannot connect"
"""How `drivers.meters.modbus_connection` begins when there is no connection at all."""
GATEWAY = ("exc_4", "exc_10", "exc_11")
"""What a gateway answers for a device that is not there."""
AGAINST = {
    "nonfinite": "values that are no numbers",
    "zero": "every power is exactly zero",
    "range": "a power that no house fuse carries",
    "voltage": "voltages far from 230 V",
    "frequency": "a frequency far from 50 Hz",
    "sum": "the total is not the sum of the phases",
    "apparent": "power does not fit voltage times current",
}
"""Rules of `drivers.meters.plausibility` that one reading can break, in words."""

Ask: TypeAlias = Callable[[int, int, int], Awaitable[tuple[int, ...]]]
"""Function, address and count to registers."""


@dataclass(slots=True)
class ProbeResult:
    """One profile at one wire: what speaks for it and what against it. It fits if nothing does."""

    profile: str
    transport: Transport
    speaks_for: list[str] = field(default_factory=list)
    speaks_against: list[str] = field(default_factory=list)
    score: int = 0
    reading: Reading | None = None

    @property
    def fits(self) -> bool:
        """Whether the profile may be used."""
        return not self.speaks_against

    def confirm(self, what: str, weight: int = 1) -> None:
        """Something speaks for it."""
        self.speaks_for.append(what)
        self.score += weight


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody answered at this wire, and why it is thought so."""

    transport: Transport
    reason: str


async def probe(
    transports: Sequence[Transport], profiles: Mapping[str, Profile], clock: Callable[[], float]
) -> AsyncIterator[ProbeResult | Silence]:
    """Try every profile at the first wire where anybody answers.

    Args:
        transports: in the order they are tried.
        profiles: by name.
        clock: monotonic seconds.
    """
    for transport in transports:
        reason = await _silence(transport, profiles, clock)
        if reason:
            yield Silence(transport, reason)
            if isinstance(transport, Tcp) and reason.startswith(_UNREACHABLE):
                return  # the other settings are devices behind the same address
            continue
        for name, profile in profiles.items():
            yield await _try(name, profile, transport, clock)
        return


def best(trials: Sequence[ProbeResult]) -> list[ProbeResult]:
    """Those that fit best: more than one where they cannot be told apart."""
    fitting = [trial for trial in trials if trial.fits]
    most = max((trial.score for trial in fitting), default=0)
    return [trial for trial in fitting if trial.score == most]


def timeout_s(transport: Transport) -> float:
    """For one answer."""
    return ANSWER_S + (ANSWER_BITS / transport.baudrate if isinstance(transport, Rtu) else 0.0)


async def _silence(transport: Transport, profiles: Mapping[str, Profile], clock: Callable[[], float]) -> str:
    """Why nobody is there; empty once anybody says anything, be it a refusal."""
    requests = {(p.function, p.power_block.address, p.power_block.count): None for p in profiles.values()}
    reason = "no answer"
    for request in requests:
        try:
            await _ask(transport, clock, *request)
        except Transient as error:
            if error.kind in GATEWAY:
                reason = "the gateway has no device with this id"
            elif error.kind.startswith(("exc_", "short")):
                return ""
            elif str(error).startswith(_UNREACHABLE):
                return str(error)
        except IllegalRequestError:
            return ""
        else:
            return ""
    return reason


async def _try(name: str, profile: Profile, transport: Transport, clock: Callable[[], float]) -> ProbeResult:
    trial = ProbeResult(name, transport)
    line = ModbusConnection(transport, clock=clock, timeout_s=timeout_s(transport))

    async def ask(function: int, address: int, count: int) -> tuple[int, ...]:
        return await _twice(line, function, address, count, clock, timeout_s(transport))

    try:
        block = profile.power_block
        raw = await ask(profile.function, block.address, block.count)
        await _identify(trial, profile, ask)
        values: Values = BlockDecoder(profile, block).decode(raw)
        for slow in profile.slow_blocks if trial.fits else ():
            try:
                told = await ask(profile.function, slow.address, slow.count)
            except (IllegalRequestError, Transient):  # the driver does without it, too
                continue
            values |= BlockDecoder(profile, slow).decode(told)
        if trial.fits:
            _judge(trial, profile, values, raw)
    except DriverError as error:
        trial.speaks_against.append(str(error))
    finally:
        await line.close()
    return trial


async def _identify(trial: ProbeResult, profile: Profile, ask: Ask) -> None:
    """Hold the identity registers against what the profile expects, as the driver does."""
    for item in profile.identity:
        try:
            words = await ask(item.function or profile.function, item.address, item.count)
        except (IllegalRequestError, Transient):  # variants without these registers are common
            continue
        number = identity_number(words)
        if not item.expect:
            trial.confirm(item.name)
        elif number in item.expect:
            trial.confirm(f"{item.name} {number}", EXPECTED_WEIGHT)
        else:
            expected = " or ".join(map(str, item.expect))
            hint = f"; {item.hint}" if item.hint else ""
            trial.speaks_against.append(f"{item.name} is {number}, expected {expected}{hint}")


def _judge(trial: ProbeResult, profile: Profile, values: Values, raw: tuple[int, ...]) -> None:
    """Whether the values can be those of a three-phase connection."""
    reading = reading_of(values, raw, 1.0 if profile.import_positive else -1.0)
    trial.reading = reading
    causes, _ = Plausibility().check(reading, 0.0, PlausibilityMemory())
    trial.speaks_against += [AGAINST.get(cause, cause) for cause in causes]
    if causes:
        return
    low_v, high_v = VOLTAGE_V
    if reading.voltage_v is not None and all(low_v <= v <= high_v for v in reading.voltage_v):
        trial.confirm(" ".join(f"{voltage_v:.1f}" for voltage_v in reading.voltage_v) + " V")
    low_hz, high_hz = FREQUENCY_HZ
    if reading.frequency_hz is not None and low_hz <= reading.frequency_hz <= high_hz:
        trial.confirm(f"{reading.frequency_hz:.2f} Hz")
    if "total_power_w" in values:
        trial.confirm("total is the sum of the phases")
    if reading.voltage_v is not None and reading.current_a is not None:
        trial.confirm("power fits voltage times current")


async def _ask(
    transport: Transport, clock: Callable[[], float], function: int, address: int, count: int
) -> tuple[int, ...]:
    """One request on a connection of its own: a device that hangs up spoils no other one."""
    limit_s = timeout_s(transport)
    line = ModbusConnection(transport, clock=clock, timeout_s=limit_s)
    try:
        return await line.read_registers(function, address, count, clock() + limit_s)
    finally:
        await line.close()


async def _twice(
    line: ModbusConnection,
    function: int,
    address: int,
    count: int,
    clock: Callable[[], float],
    limit_s: float,
) -> tuple[int, ...]:
    """Once more after the drain of a failed try; both in at most three times `limit_s`."""
    until_s = clock() + 3.0 * limit_s
    try:
        return await line.read_registers(function, address, count, clock() + limit_s)
    except Transient:
        if not line.can_retry_before(until_s):
            raise
    return await line.read_registers(function, address, count, until_s)


def where(transport: Transport) -> str:
    """A wire in words."""
    if isinstance(transport, Tcp):
        return f"{transport.host}:{transport.port}, device {transport.device_id}"
    return (
        f"{transport.path}, {transport.baudrate} baud, 8{transport.parity}{transport.stopbits}, "
        f"device {transport.device_id}"
    )
