"""A Zigbee relay or dimmer that one can buy: On/Off with timed off, Level Control, Electrical Measurement.

Written from the Zigbee Cluster Library specification (07-5123), 3.8, 3.10 and 4.9, beside the driver and not
after it; with the faults that people report of devices of this kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from zigpy.zcl import foundation

from plant.radio.medium import ApsFrame, RadioMedium
from plant.radio.slave_node import FIRST_ADDRESS, ieee_of
from plant.radio.zigbee_node import BASIC, ZigbeeNode

ON_OFF, LEVEL_CONTROL, ELECTRICAL_MEASUREMENT = 0x0006, 0x0008, 0x0B04
SWITCH_OFF, SWITCH_ON, TOGGLE, TIMED_OFF = 0x00, 0x01, 0x02, 0x42
TO_LEVEL, TO_LEVEL_WITH_ON_OFF = 0x00, 0x04
FOR_EVER = 0xFFFF
"""A time that does not run (3.8.2.2.3)."""
FULL = 254
MANUFACTURER_CODE = 0x1037
BOOL, UINT8, UINT16, INT16, ENUM8, TEXT = 0x10, 0x20, 0x21, 0x29, 0x30, 0x42
Lie = Literal["", "ignores", "toggles", "truncates"]
"""What it makes of a timed off: nothing though it counts it; a toggle after as many seconds; its low byte."""
_DONE = int(foundation.Status.SUCCESS)
_MALFORMED = int(foundation.Status.MALFORMED_COMMAND)
_UNKNOWN = int(foundation.Status.UNSUP_CLUSTER_COMMAND)


@dataclass(slots=True)
class TimedSwitch:
    """On or off, with OnTime and OffWaitTime in tenths of a second (3.8.2.2, 3.8.2.3.6)."""

    lie: Lie = ""
    is_on: bool = False
    on_time: float = 0.0
    off_wait: float = 0.0
    _at_s: float = -inf
    _toggles_at_s: float = inf

    def live(self, at_s: float) -> None:
        """Let the times run until now."""
        tenths = 10.0 * (at_s - self._at_s) if self._at_s > -inf else 0.0
        self._at_s = at_s
        if at_s >= self._toggles_at_s:
            self._toggles_at_s = inf
            self.is_on = not self.is_on
        if self.is_on and 0.0 < self.on_time < FOR_EVER:
            self.on_time = max(0.0, self.on_time - tenths)
            if self.on_time == 0.0 and self.lie not in ("ignores", "toggles"):
                self.is_on, self.off_wait = False, 0.0
        elif not self.is_on and 0.0 < self.off_wait < FOR_EVER:
            self.off_wait = max(0.0, self.off_wait - tenths)

    def off(self) -> None:
        """Command Off."""
        self.is_on, self.on_time = False, 0.0

    def on(self) -> None:
        """Command On: without a time, it stays on."""
        self.is_on = True
        if self.on_time == 0.0:
            self.off_wait = 0.0

    def on_with_timed_off(self, only_when_on: bool, on_time: int, off_wait: int, at_s: float) -> None:
        """Command On with timed off; never shortens a time that runs."""
        if only_when_on and not self.is_on:
            return
        if self.off_wait > 0.0 and not self.is_on:
            self.off_wait = min(self.off_wait, float(off_wait))
            return
        if self.lie == "toggles":
            self._toggles_at_s = at_s + on_time
        if self.lie == "truncates":
            on_time, self.on_time = on_time & 0xFF, 0.0
        self.on_time, self.off_wait, self.is_on = max(self.on_time, float(on_time)), float(off_wait), True


@dataclass(slots=True)
class OutputFaults:
    """Set while it runs. `is_open`: a thermostat lets nothing through; `tells_w`: what it says."""

    is_open: bool = False
    tells_w: float | None = None


@dataclass(slots=True)
class OutputMake:
    """How it was made: what it has, and what it leaves out."""

    lie: Lie = ""
    has_timer: bool = True
    start_up: int | None = 0x00
    measures: bool = True
    version: str = "1.0.0"


class VirtualOutput(ZigbeeNode):
    """One relay, or one dimmer, with the load behind it.

    Args:
        slot: gives it its address.
        max_w: of the load.
        measured_w: what the load draws now.
    """

    model = "virtual output"

    def __init__(
        self,
        air: RadioMedium,
        slot: int,
        *,
        max_w: int,
        is_dimmed: bool,
        measured_w: Callable[[], float] = lambda: 0.0,
        make: OutputMake | None = None,
    ) -> None:
        self.make = make or OutputMake()
        clusters = (
            ON_OFF,
            *((LEVEL_CONTROL,) if is_dimmed else ()),
            *((ELECTRICAL_MEASUREMENT,) if self.make.measures else ()),
        )
        super().__init__(air, ieee_of(slot), FIRST_ADDRESS + slot, clusters, MANUFACTURER_CODE)
        self.max_w, self.is_dimmed, self.level = max_w, is_dimmed, FULL
        self.switch, self.faults = TimedSwitch(self.make.lie), OutputFaults()
        self.told: list[tuple[float, int]] = []
        """When it was told what, in watts: for the referee."""
        self._measured_w = measured_w

    def acting_w(self, at_s: float) -> float:
        """What it lets its load draw now."""
        self.switch.live(at_s)
        if not self.switch.is_on or self.faults.is_open:
            return 0.0
        return self.max_w * self.level / FULL if self.is_dimmed else float(self.max_w)

    def receive(self, frame: ApsFrame) -> None:
        """A frame from the air."""
        self.switch.live(self.air.clock())
        self._show()
        super().receive(frame)

    def on_command(self, frame: ApsFrame, header: Any, body: bytes) -> int:
        """A cluster command; returns its ZCL status."""
        if frame.cluster == ON_OFF:
            status = self._on_off(int(header.command_id), body)
        elif frame.cluster == LEVEL_CONTROL:
            status = self._to_level(int(header.command_id), body)
        else:
            return super().on_command(frame, header, body)
        at_s = self.air.clock()
        self.told.append((at_s, round(self.acting_w(at_s))))
        return status

    def on_write(self, cluster: int, attribute: int, value: Any) -> int:
        """StartUpOnOff alone can be written."""
        if (cluster, attribute) != (ON_OFF, 0x4003) or self.make.start_up is None:
            return super().on_write(cluster, attribute, value)
        self.make.start_up = int(value)
        return _DONE

    def _on_off(self, command: int, body: bytes) -> int:
        if command == SWITCH_OFF:
            self.switch.off()
        elif command == SWITCH_ON:
            self.switch.on()
        elif command == TOGGLE:
            (self.switch.off if self.switch.is_on else self.switch.on)()
        elif command == TIMED_OFF and self.make.has_timer:
            if len(body) != 5:
                return _MALFORMED
            on_time, off_wait = int.from_bytes(body[1:3], "little"), int.from_bytes(body[3:5], "little")
            self.switch.on_with_timed_off(bool(body[0] & 1), on_time, off_wait, self.air.clock())
        else:
            return _UNKNOWN
        return _DONE

    def _to_level(self, command: int, body: bytes) -> int:
        if command not in (TO_LEVEL, TO_LEVEL_WITH_ON_OFF):
            return _UNKNOWN
        if len(body) not in (3, 5) or body[0] > FULL:
            return _MALFORMED
        takes_it_while_off = len(body) == 5 and bool(body[3] & body[4] & 1)
        if command == TO_LEVEL_WITH_ON_OFF:
            (self.switch.on if body[0] > 0 else self.switch.off)()
        elif not self.switch.is_on and not takes_it_while_off:
            return _DONE
        self.level = max(1, body[0])
        return _DONE

    def _show(self) -> None:
        """The attributes as they are now."""
        switch, make = self.switch, self.make
        shown: dict[int, tuple[int, Any]] = {0x0000: (BOOL, switch.is_on)}
        if make.has_timer:
            shown |= {0x4001: (UINT16, round(switch.on_time)), 0x4002: (UINT16, round(switch.off_wait))}
        if make.start_up is not None:
            shown[0x4003] = (ENUM8, make.start_up)
        self.attributes[ON_OFF] = shown
        self.attributes[BASIC][0x4000] = (TEXT, make.version)
        if self.is_dimmed:
            self.attributes[LEVEL_CONTROL] = {0x0000: (UINT8, self.level)}
        if make.measures:
            draws_w = self._measured_w() if self.faults.tells_w is None else self.faults.tells_w
            tenths = max(-0x7FFF, min(0x7FFF, round(10 * draws_w)))
            scale = {0x0604: (UINT16, 1), 0x0605: (UINT16, 10)}
            self.attributes[ELECTRICAL_MEASUREMENT] = {0x050B: (INT16, tenths), **scale}
