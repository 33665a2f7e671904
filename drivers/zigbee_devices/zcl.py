"""Frames of the Zigbee Cluster Library (ZCL): what is asked, and what the answer says.

Zigbee Cluster Library specification (07-5123), 2.4 (frames), 2.5 (general commands).
"""

from dataclasses import dataclass
from typing import Any

import zigpy.types
from zigpy.zcl import foundation

SUCCESS = int(foundation.Status.SUCCESS)
_GENERAL = foundation.GeneralCommand
_TO_SERVER = foundation.Direction.Client_to_Server


class AnswerError(Exception):
    """These bytes are no answer to the question."""


@dataclass(frozen=True, slots=True)
class Question:
    """One ZCL frame without its sequence number. `is_general` where the command is not the cluster's own."""

    cluster: int
    command: int
    body: bytes = b""
    is_general: bool = False

    def to_bytes(self, sequence: int) -> bytes:
        """As it goes on air; asks for a default response."""
        made = foundation.ZCLHeader.general if self.is_general else foundation.ZCLHeader.cluster
        header = made(tsn=sequence, command_id=self.command)
        return bytes(header.serialize()) + self.body

    def is_answered_by(self, sequence: int, cluster: int, zcl: bytes) -> bool:
        """Whether this frame of the device answers it."""
        try:
            header, _ = foundation.ZCLHeader.deserialize(zcl)
        except ValueError:
            return False
        return bool(
            cluster == self.cluster
            and header.tsn == sequence
            and header.direction != _TO_SERVER
            and header.frame_control.is_general
            and header.command_id in (_GENERAL.Default_Response, _ANSWERED_WITH.get(self.command))
        )

    def status(self, zcl: bytes) -> int:
        """The status of a command, 0 for success. Raises AnswerError."""
        header, body = foundation.ZCLHeader.deserialize(zcl)
        if header.command_id == _GENERAL.Write_Attributes_rsp and body:
            return body[0]
        if header.command_id == _GENERAL.Default_Response and len(body) == 2 and body[0] == self.command:
            return body[1]
        raise AnswerError("this is no response to the command")

    def values(self, zcl: bytes) -> dict[int, Any]:
        """Of the attributes read; those that the device does not have are missing. Raises AnswerError."""
        header, body = foundation.ZCLHeader.deserialize(zcl)
        if header.command_id != _GENERAL.Read_Attributes_rsp:
            raise AnswerError("this is no response to a reading of attributes")
        try:
            records, _ = zigpy.types.List[foundation.ReadAttributeRecord].deserialize(body)
        except (ValueError, KeyError) as error:
            raise AnswerError("attributes that cannot be read") from error
        return {
            int(record.attrid): record.value.value
            for record in records
            if record.status == SUCCESS and isinstance(record.value, foundation.TypeValue)
        }


_ANSWERED_WITH = {
    int(_GENERAL.Read_Attributes): int(_GENERAL.Read_Attributes_rsp),
    int(_GENERAL.Write_Attributes): int(_GENERAL.Write_Attributes_rsp),
}


def read(cluster: int, *attributes: int) -> Question:
    """What are these attributes?"""
    body = b"".join(attribute.to_bytes(2, "little") for attribute in attributes)
    return Question(cluster, int(_GENERAL.Read_Attributes), body, is_general=True)


def write_enum8(cluster: int, attribute: int, value: int) -> Question:
    """Set one attribute of type enum8 (0x30)."""
    body = attribute.to_bytes(2, "little") + bytes([0x30, value])
    return Question(cluster, int(_GENERAL.Write_Attributes), body, is_general=True)
