"""A slave: firmware with a radio. Hears setpoint frames and answers with its report in its time slot."""

import math
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any

from crccheck.crc import CrcX25
from zigpy.util import convert_install_code
from zigpy.zcl import foundation

from plant.radio.medium import ApsFrame, RadioMedium
from plant.radio.slave_firmware import CLUSTER, MANUFACTURER, SET_POINTS, Firmware
from plant.radio.zigbee_node import ZigbeeNode, zcl_head

REPORT_FIRST_S, REPORT_SLOT_S, REPORT_JITTER_S = 0.300, 0.040, 0.020
"""When a slave answers (docs/develop/setpoint-protocol.md)."""
FIRST_ADDRESS = 0x1000
IEEE_BLOCK = bytes.fromhex("005e4f00004b1200")
"""00:12:4b:00:00:4f:5e:xx little endian; the last byte of the address is the slot."""


def ieee_of(slot: int) -> bytes:
    """The IEEE address of the simulated slave with this slot, little endian."""
    return bytes([slot]) + IEEE_BLOCK[1:]


def install_code_of(slot: int) -> bytes:
    """The install code on the label of the simulated slave with this slot: 16 bytes and their CRC."""
    code = sha256(b"install code" + ieee_of(slot)).digest()[:16]
    return code + bytes(CrcX25().process(code).finalbytes(byteorder="little"))


def install_code_key(slot: int) -> bytes:
    """What a device with that install code joins with."""
    return bytes(convert_install_code(install_code_of(slot)).serialize())


class SlaveNode(ZigbeeNode):
    """One slave on the air.

    Args:
        measured_w: its measured power by slot, a magnitude in W; None where nothing measures it.
        rng: for the random part of the report's time.
    """

    model = "power slave"

    def __init__(
        self, air: RadioMedium, firmware: Firmware, measured_w: Callable[[int], float | None], rng: Random
    ) -> None:
        super().__init__(air, ieee_of(firmware.slot), FIRST_ADDRESS + firmware.slot, (CLUSTER,), MANUFACTURER)
        self.join_key = install_code_key(firmware.slot)
        self.firmware = firmware
        self._measured_w, self._rng = measured_w, rng
        self._report_number = 0
        self._looks_at_s = math.inf

    def on_command(self, frame: ApsFrame, header: Any, body: bytes) -> int:
        """A setpoint frame, or what every device understands."""
        if frame.cluster != CLUSTER:
            return super().on_command(frame, header, body)
        control = header.frame_control
        ours = (
            header.manufacturer == MANUFACTURER
            and header.command_id == SET_POINTS
            and control.direction == foundation.Direction.Client_to_Server
        )
        network = self.air.extended_pan_id
        if not ours or network is None:
            return int(foundation.Status.UNSUP_CLUSTER_COMMAND)
        if self.firmware.hear(body, network, self.air.clock()) is None:
            self._consider_report()
            self._watch()
        return int(foundation.Status.SUCCESS)

    def _consider_report(self) -> None:
        """Schedule a report if one is due; it replaces one that still waits."""
        if self.firmware.wants_report(self.air.clock()):
            self._report_number += 1
            slot_s = REPORT_FIRST_S + REPORT_SLOT_S * self.firmware.slot
            delay_s = slot_s + self._rng.uniform(0.0, REPORT_JITTER_S)
            self.air.later(delay_s, self._report, self._report_number)

    def _report(self, number: int) -> None:
        network = self.air.extended_pan_id
        if number != self._report_number or network is None or not self.online:
            return
        power_w = self._measured_w(self.firmware.slot)
        attributes = self.firmware.report(self.air.clock(), power_w, network)
        command = foundation.GeneralCommand.Report_Attributes
        head = zcl_head(self.next_sequence(), command, manufacturer=MANUFACTURER)
        self.send(CLUSTER, head + attributes)

    def _watch(self) -> None:
        """Look again when the time to live has run out, to report that it has."""
        now_s, deadline_s = self.air.clock(), self.firmware.deadline_s
        if deadline_s is not None and now_s < deadline_s < self._looks_at_s:
            self._looks_at_s = deadline_s
            self.air.later(deadline_s - now_s, self._look, deadline_s)

    def _look(self, at_s: float) -> None:
        if at_s == self._looks_at_s:
            self._looks_at_s = math.inf
            self._consider_report()
            self._watch()
