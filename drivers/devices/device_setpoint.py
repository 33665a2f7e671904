"""A message to one device: which slot, how many watts, and whether it is rest.

What the device itself is told (registers, an HTTP request) follows from it; this form is what safety compares
with the decision, and what stands in the journal.
"""

import struct
from dataclasses import dataclass
from typing import Self

from drivers.errors import DriverError

SETPOINT_MAX_W = 32767
_MAGIC = b"DW"
"""No setpoint frame begins so: its first byte holds the protocol version 1 in the upper half."""
_FORM = struct.Struct("<2sBB?H")
_VERSION = 1


class DeviceMessageError(DriverError):
    """These bytes are no message to a device."""


@dataclass(frozen=True, slots=True)
class DeviceSetpoint:
    """What one device is told. Satisfies `core.authorization.Decoded`."""

    slot: int
    setpoint_w: int
    safe_release: bool

    @property
    def base(self) -> int:
        """Its slot: the message speaks of no other."""
        return self.slot

    @property
    def setpoints_w(self) -> tuple[int, ...]:
        """One value."""
        return (self.setpoint_w,)

    def to_bytes(self) -> bytes:
        """Raises DeviceMessageError: a slot or a power that cannot be told. Nothing is clipped."""
        if not (0 <= self.slot <= 254 and 0 <= self.setpoint_w <= SETPOINT_MAX_W):
            raise DeviceMessageError(f"slot {self.slot}, {self.setpoint_w} W cannot be told to a device")
        return _FORM.pack(_MAGIC, _VERSION, self.slot, self.safe_release, self.setpoint_w)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """The inverse. Raises DeviceMessageError."""
        if len(payload) != _FORM.size:
            raise DeviceMessageError(f"length {len(payload)} is not that of a message to a device")
        magic, version, slot, safe_release, setpoint_w = _FORM.unpack(payload)
        if magic != _MAGIC or version != _VERSION:
            raise DeviceMessageError("this is no message to a device")
        return cls(slot, setpoint_w, safe_release)
