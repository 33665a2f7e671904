"""What each kind of Modbus device makes of its registers, written from its documents.

Independent of the driver's profiles: a mistake on one side does not hide behind the same mistake on the
other.
Sources: my-PV, KEBA, ASKOHEAT+ and E.G.O. as in `docs/operate/devices.md`.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Exception codes (Modbus application protocol V1.1b3, 7)."""


class RefusedAccess(Exception):
    """The device answers with an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class ModbusModel(ABC):
    """One device: its registers and its own time-out.

    Instants are monotonic seconds. `draws_w` is what its electricity draws now and `temperature_c` that of
    its water; the site sets both before every access.
    """

    title = ""
    device_id = 1
    ranges: Sequence[tuple[int, int]] = ()
    """First register and count of what it knows."""
    written_with: Sequence[int] = (6, 16)
    read_with: Sequence[int] = (3,)

    def __init__(self, max_w: int, phases: int = 1) -> None:
        self.max_w, self.phases = max_w, phases
        self.draws_w, self.temperature_c = 0.0, 45.0
        self.keeps_time = True
        """False: a liar that never lets go by itself."""
        self.takes_timeout = True
        """False: a firmware that does not let its time-out be written."""
        self.told: list[tuple[float, int]] = []
        """When it was told what, in watts: for the referee."""
        self._setpoint_w = 0.0
        self._heard_at_s = -inf

    @property
    @abstractmethod
    def timeout_s(self) -> float:
        """Its own time-out; 0 for none."""

    def acting_w(self, at_s: float) -> float:
        """What it lets its electricity draw now."""
        timeout_s = self.timeout_s
        if self.keeps_time and timeout_s > 0.0 and at_s - self._heard_at_s > timeout_s:
            self._setpoint_w = 0.0
        return self._setpoint_w

    @abstractmethod
    def read(self, address: int, at_s: float) -> int:
        """One register, 0 for one that means nothing."""

    @abstractmethod
    def write(self, address: int, value: int, at_s: float) -> None:
        """One register. Raises RefusedAccess."""

    def _tell(self, watts: float, at_s: float) -> None:
        self._setpoint_w, self._heard_at_s = watts, at_s
        self.told.append((at_s, round(watts)))


class MyPv(ModbusModel):
    """AC ELWA 2 and AC-THOR: any power by 1000, time-out in 1004."""

    title = "my-PV"
    ranges = ((1000, 90),)

    def __init__(self, max_w: int, phases: int = 1) -> None:
        super().__init__(max_w, phases)
        self._timeout_s = 10

    @property
    def timeout_s(self) -> float:
        return float(self._timeout_s)

    def read(self, address: int, at_s: float) -> int:
        told = {
            1000: round(self.draws_w),
            1001: round(10 * self.temperature_c),
            1002: 650,
            1003: 2 if self.acting_w(at_s) > 0.0 else 4,
            1004: self._timeout_s,
            1014: self.max_w,
        }
        return told.get(address, 0)

    def write(self, address: int, value: int, at_s: float) -> None:
        if address == 1000:
            self._tell(min(value, self.max_w), at_s)
        elif address == 1004 and self.takes_timeout:
            if not 5 <= value <= 120:
                raise RefusedAccess(ILLEGAL_VALUE)
            self._timeout_s = value
        elif address != 1004:
            raise RefusedAccess(ILLEGAL_ADDRESS)


class EgoHeater(ModbusModel):
    """Three relays of 500, 1000 and 2000 W behind 4864; after 60 s of silence it is on its own."""

    title = "E.G.O. Smart Heater"
    device_id = 247
    ranges = ((4096, 1), (4128, 1), (4160, 1), (4618, 2), (4864, 2), (5124, 5), (8192, 1))
    RELAYS_W = (500, 1000, 2000)

    @property
    def timeout_s(self) -> float:
        return 60.0

    def read(self, address: int, at_s: float) -> int:
        acting_w = self.acting_w(at_s)
        told = {
            4096: 500,
            4128: 1000,
            4160: 2000,
            4618: 80,
            4619: 60,
            4864: round(acting_w) & 0xFFFF,
            5124: round(self.temperature_c),
            5128: round(acting_w / 500) if self.draws_w > 1.0 else 0,
            8192: 0x14EF,
        }
        return told.get(address, 0)

    def write(self, address: int, value: int, at_s: float) -> None:
        if address != 4864:
            raise RefusedAccess(ILLEGAL_ADDRESS)
        if value > 0x7FFF:  # negative: by its own mind
            raise RefusedAccess(ILLEGAL_VALUE)
        self._tell(min(value, self.max_w) // 500 * 500, at_s)


class Askoheat(ModbusModel):
    """Steps behind holding register 319; what it does is told in input registers."""

    title = "ASKOHEAT+"
    ranges = ((317, 20),)
    written_with = (6,)
    read_with = (4,)
    STEP_W = 250

    @property
    def timeout_s(self) -> float:
        return 60.0

    def read(self, address: int, at_s: float) -> int:
        high, low = map(int, struct.unpack(">HH", struct.pack(">f", self.temperature_c)))
        told: dict[int, int] = {317: round(self.draws_w), 319: round(self.acting_w(at_s))}
        return (told | {325: high, 326: low}).get(address, 0)

    def write(self, address: int, value: int, at_s: float) -> None:
        if address != 319 or value > 0x7FFF:
            raise RefusedAccess(ILLEGAL_ADDRESS if address != 319 else ILLEGAL_VALUE)
        self._tell(min(value, self.max_w) // self.STEP_W * self.STEP_W, at_s)


class KebaP30(ModbusModel):
    """A charging station: current in mA, a switch, and a failsafe that only writing its time-out feeds."""

    title = "KEBA P30"
    device_id = 255
    ranges = ((1000, 50), (1600, 4), (5004, 20))
    written_with = (6,)
    LEAST_MA = 6000

    def __init__(self, max_w: int, phases: int = 1) -> None:
        super().__init__(max_w, phases)
        self._current_ma, self._is_enabled = self.LEAST_MA, False
        self._failsafe_ma, self._timeout_s = self.LEAST_MA, 0

    @property
    def timeout_s(self) -> float:
        return float(self._timeout_s)

    def acting_w(self, at_s: float) -> float:
        if self.keeps_time and self._timeout_s > 0 and at_s - self._heard_at_s > self._timeout_s:
            self._is_enabled = self._failsafe_ma > 0
            self._current_ma = max(self._failsafe_ma, self.LEAST_MA)
        if not self._is_enabled:
            return 0.0
        return min(float(self.max_w), self._current_ma * 230.0 * self.phases / 1000.0)

    def read(self, address: int, at_s: float) -> int:
        state: int = 3 if self.acting_w(at_s) > 0.0 else 5
        wide: dict[int, int] = {
            1000: state,
            1004: 7,
            1014: 17_570_211,
            1016: 304_120,
            1018: 0x030A1000,
            1020: round(1000 * self.draws_w),
            1600: self._failsafe_ma,
            1602: self._timeout_s,
        }
        if address in wide:
            return wide[address] >> 16 & 0xFFFF
        return wide.get(address - 1, 0) & 0xFFFF

    def write(self, address: int, value: int, at_s: float) -> None:
        if address == 5004:
            if not self.LEAST_MA <= value <= 63_000:
                raise RefusedAccess(ILLEGAL_VALUE)
            self._current_ma = value
        elif address == 5014 and value in (0, 1):
            self._is_enabled = bool(value)
            self.told.append((at_s, round(self.acting_w(at_s))))
        elif address == 5016:
            if value != 0 and not self.LEAST_MA <= value <= 63_000:
                raise RefusedAccess(ILLEGAL_VALUE)
            self._failsafe_ma = value
        elif address == 5018:
            if value != 0 and not 10 <= value <= 600:
                raise RefusedAccess(ILLEGAL_VALUE)
            if self.takes_timeout:
                self._timeout_s, self._heard_at_s = value, at_s
        else:
            raise RefusedAccess(ILLEGAL_ADDRESS if address != 5014 else ILLEGAL_VALUE)


MODELS: dict[str, type[ModbusModel]] = {
    "my-pv-ac-elwa-2": MyPv,
    "my-pv-ac-thor": MyPv,
    "ego-smart-heater": EgoHeater,
    "askoheat-plus": Askoheat,
    "keba-p30": KebaP30,
}
"""By the name of the driver's profile."""
