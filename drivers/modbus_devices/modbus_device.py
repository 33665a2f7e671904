"""One Modbus device, spoken to as its profile says. Satisfies `drivers.devices.device_wire.SlaveDevice`."""

from contextlib import suppress
from math import isfinite

from drivers.devices.device_wire import DeviceReading
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.modbus_devices.profile import DeviceProfile, ReadRegister, RelayPower
from drivers.modbus_devices.register_line import RegisterLine


class ModbusDevice:
    """`phases` is how many it draws from; `dead_man_s` what its own timer may be at most."""

    version = ""
    """None of the profiles has a register for it that a document names."""

    def __init__(self, profile: DeviceProfile, line: RegisterLine, phases: int, dead_man_s: float) -> None:
        """Nothing happens before `open`."""
        self._profile, self._line = profile, line
        self._phases, self._dead_man_s = phases, dead_man_s

    async def open(self) -> None:
        """Connect, recognise it, set its dead-man and read it back.

        Raises:
            Transient: it does not answer.
            ConfigError: another device, or one that does not let go in time; says what to do.
        """
        await self._line.open()
        await self._recognise()
        await self._arm()

    async def write(self, watts: int) -> None:
        """Tell the power. Raises Transient or Unconfirmed."""
        profile, raw = self._profile, self._profile.raw_of(watts, self._phases)
        is_begun = False
        try:
            if raw > 0 and profile.dead_man.is_renewed_here:  # first: a device that has let go heeds no more
                await self._renew()
                is_begun = True
            if raw > 0 or profile.enable is None:
                setpoint = profile.setpoint
                await self._line.write(setpoint.function, setpoint.address, raw, setpoint.type)
                is_begun = True
            if profile.enable is not None:
                enable = profile.enable
                await self._line.write(enable.function, enable.address, enable.on if raw else enable.off)
                is_begun = True
        except Unconfirmed:
            raise
        except Transient as error:  # what was written before it may act already
            if is_begun:
                raise Unconfirmed(f"only a part of it was taken: {error}", error.kind) from error
            raise

    async def read(self) -> DeviceReading:
        """What it tells. Raises Transient."""
        profile = self._profile
        applied_w = await self._value(profile.applied_w)
        return DeviceReading(
            power_w=await self._power_w(),
            applied_w=None if applied_w is None else round(applied_w),
            temperature_c=await self._value(profile.temperature_c),
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await self._line.close()

    async def _recognise(self) -> None:
        identity = self._profile.identity
        if identity is None:
            return
        told = await self._line.read(identity.function, identity.address, identity.type)
        if not identity.least <= told <= identity.most:
            raise ConfigError(
                f"register {identity.address} says {told:g}: this is no {self._profile.title}. Check host, "
                "device_id and profile"
            )

    async def _arm(self) -> None:
        """The device's own time-out: written where it can be, and always believed only as it is read."""
        dead_man = self._profile.dead_man
        if dead_man.is_fixed:
            return
        read = dead_man.read
        assert read is not None  # a profile without it is refused
        told_s = await self._line.read(read.function, read.address, read.type) * read.scale
        if dead_man.address is not None and told_s != self._dead_man_s:
            with suppress(Transient):  # some firmware does not take it: what counts is what it says then
                await self._renew()
            told_s = await self._line.read(read.function, read.address, read.type) * read.scale
        if not 0.0 < told_s <= self._dead_man_s:
            raise ConfigError(
                f"its time-out says {told_s:g} s, and must be more than 0 and at most "
                f"{self._dead_man_s:g} s, or nobody stops it when this computer falls silent. Set it on the "
                "device's own page, or raise dead_man_s of the slave"
            )
        if dead_man.rest is not None:
            await self._require_rest()

    async def _require_rest(self) -> None:
        rest = self._profile.dead_man.rest
        assert rest is not None
        read = rest.read
        if await self._line.read(read.function, read.address, read.type) != 0.0:
            with suppress(Transient):
                await self._line.write(rest.function, rest.address, 0)
        told = await self._line.read(read.function, read.address, read.type)
        if told != 0.0:
            raise ConfigError(
                f"register {read.address} says that it goes on with {told:g} when nobody speaks to it. Set "
                "that to 0 on the device's own page"
            )

    async def _renew(self) -> None:
        dead_man = self._profile.dead_man
        assert dead_man.address is not None
        scale = 1.0 if dead_man.read is None else dead_man.read.scale
        await self._line.write(dead_man.function, dead_man.address, int(self._dead_man_s / scale))

    async def _power_w(self) -> float | None:
        power = self._profile.power_w
        if not isinstance(power, RelayPower):
            return await self._value(power)
        closed = int(await self._line.read(power.function, power.status, "u16"))
        return sum(
            [
                await self._line.read(power.function, address, "u16")
                for bit, address in enumerate(power.watts)
                if closed >> bit & 1
            ]
        )

    async def _value(self, register: ReadRegister | None) -> float | None:
        """In SI units; None where the device does not tell it, or tells no number."""
        if register is None:
            return None
        value = await self._line.read(register.function, register.address, register.type)
        return value * register.scale if isfinite(value) else None
