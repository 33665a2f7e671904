"""EZSP frames, coded by the command tables of bellows, which describe both directions.

Source: Silicon Labs UG100. One codec serves every protocol version of the tables. It speaks one
vocabulary inwards: the argument names of version 14 and `sl_Status`; older names and status types are
translated here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import bellows.types as t
from bellows.ezsp import EZSP
from bellows.types.named import SL_STATUS_MAP

VERSIONS = (13, 14, 16, 17, 18, 19)
STACK_VERSIONS = {13: 0x7440, 14: 0x8020, 16: 0x8110, 17: 0x8200, 18: 0x8300, 19: 0x9000}
"""EmberZNet release that goes with a protocol version, in hexadecimal digits; the last one is assumed."""
STACK_TYPE_MESH = 2

RESPONSE, CALLBACK = 0x80, 0x90
"""Frame control, low byte: response, and response that carries an asynchronous callback."""
FORMAT_1 = 0x01
"""Frame control, high byte: frame format version 1 (protocol 8 and later)."""

Fields: TypeAlias = Mapping[str, Any]

_CURRENT = {
    "apsFrame": "aps_frame",
    "indexOrDestination": "nwk",
    "destination": "nwk",
    "sender": "nwk",
    "messageTag": "message_tag",
    "messageContents": "message",
    "type": "message_type",
    "lastHopLqi": "lqi",
    "lastHopRssi": "rssi",
    "bindingIndex": "binding_index",
    "addressIndex": "address_index",
}


def _current(field: str) -> str:
    """The name of a field in the latest protocol."""
    return _CURRENT.get(field, field)


def _older_statuses() -> dict[tuple[type, t.sl_Status], Any]:
    table: dict[tuple[type, t.sl_Status], Any] = {
        (t.EmberStatus, t.sl_Status.BUSY): t.EmberStatus.NETWORK_BUSY,
        (t.EzspStatus, t.sl_Status.INVALID_STATE): t.EzspStatus.ERROR_INVALID_CALL,
    }
    for (kind, old), new in SL_STATUS_MAP.items():
        table.setdefault((kind, new), kind(old))
    return table


_OLDER = _older_statuses()
_GENERIC_FAILURE = {t.EmberStatus: t.EmberStatus.ERR_FATAL, t.EzspStatus: t.EzspStatus.ERROR_INVALID_CALL}


class UnsupportedCommand(Exception):
    """A command that gets `invalidCommand` as its answer. `status` is what the module of old would say."""

    def __init__(self, label: str, status: t.EzspStatus) -> None:
        super().__init__(label)
        self.label, self.status = label, status


@dataclass(frozen=True, slots=True)
class Command:
    """A decoded command of the host."""

    sequence: int
    name: str
    arguments: Fields


class EzspCodec:
    """Frames of one protocol version.

    Raises ValueError for a version that is not in `VERSIONS`.
    """

    def __init__(self, version: int) -> None:
        if version not in VERSIONS:
            raise ValueError(f"EZSP {version} is not supported; choose one of {VERSIONS}")
        self.version = version
        self.schemas: dict[str, Any] = EZSP._BY_VERSION[version].COMMANDS
        self._names: dict[int, str] = {schema[0]: name for name, schema in self.schemas.items()}

    @property
    def version_fields(self) -> dict[str, int]:
        """The answer to `version`."""
        return {
            "protocolVersion": self.version,
            "stackType": STACK_TYPE_MESH,
            "stackVersion": STACK_VERSIONS[self.version],
        }

    def legacy_version(self, frame: bytes) -> bytes | None:
        """Answer to a `version` command in the header of old protocols, None for any other frame.

        The first command after a reset always has that header: sequence, control, id 0, version.
        """
        if len(frame) != 4 or frame[2] != 0x00:
            return None
        stack = STACK_VERSIONS[self.version].to_bytes(2, "little")
        return bytes([frame[0], RESPONSE, 0x00, self.version, STACK_TYPE_MESH]) + stack

    def decode(self, frame: bytes) -> Command:
        """Decode a command. Raises Refused for what is unknown or malformed."""
        if len(frame) < 5:
            raise UnsupportedCommand("short", t.EzspStatus.ERROR_TRUNCATED)
        frame_id = int.from_bytes(frame[3:5], "little")
        name = self._names.get(frame_id)
        if name is None:
            raise UnsupportedCommand(f"0x{frame_id:04x}", t.EzspStatus.ERROR_INVALID_FRAME_ID)
        try:
            arguments = self._decode_arguments(name, frame[5:])
        except (ValueError, TypeError, KeyError) as error:
            raise UnsupportedCommand(f"malformed {name}", t.EzspStatus.ERROR_TRUNCATED) from error
        return Command(frame[0], name, arguments)

    def _decode_arguments(self, name: str, body: bytes) -> dict[str, Any]:
        schema = self.schemas[name][1]
        if not isinstance(schema, dict):
            return dict(schema.deserialize(body)[0].as_dict())
        if name == "addEndpoint":
            return _decode_endpoint(schema, body)
        arguments: dict[str, Any] = {}
        for field, kind in schema.items():
            if arguments and not body and issubclass(kind, int):
                arguments[_current(field)] = kind(0)  # hosts differ in their trailing arguments
                continue
            arguments[_current(field)], body = kind.deserialize(body)
        return arguments

    def response(self, sequence: int, name: str, fields: Fields) -> bytes:
        """Encode the answer to a command; fields that are not given are 0, a status OK."""
        return self._frame(sequence, RESPONSE, name, fields)

    def callback(self, sequence: int, name: str, fields: Fields) -> bytes:
        """Encode a callback.

        Args:
            sequence: of the last command that was answered. A host tells callbacks from responses by
                whether it still waits for that sequence.
        """
        return self._frame(sequence, CALLBACK, name, fields)

    def invalid(self, sequence: int, status: t.EzspStatus) -> bytes:
        """Encode the refusal of a command."""
        kind = self.schemas["invalidCommand"][2]["status"]
        value = status if kind is t.EzspStatus else t.sl_Status.NOT_AVAILABLE
        return self._frame(sequence, RESPONSE, "invalidCommand", {"status": value})

    def _frame(self, sequence: int, control: int, name: str, fields: Fields) -> bytes:
        frame_id, _, schema = self.schemas[name]
        head = bytes([sequence, control, FORMAT_1]) + int(frame_id).to_bytes(2, "little")
        if not isinstance(schema, dict):
            return head + self._encode_struct(schema, fields)
        return head + b"".join(
            _encode(kind, fields.get(_current(field), 0)) for field, kind in schema.items()
        )

    def _encode_struct(self, schema: Any, fields: Fields) -> bytes:
        kinds = {field.name: field.type for field in schema.fields}
        values = {name: _convert(kinds[name], value) for name, value in fields.items()}
        values.setdefault("status", kinds["status"](0))
        return bytes(schema(**values).serialize())


def _decode_endpoint(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    """`addEndpoint` ends with two lists whose lengths stand before both of them."""
    arguments: dict[str, Any] = {}
    for field in tuple(schema)[:-2]:
        arguments[field], body = schema[field].deserialize(body)
    inputs, outputs = arguments["inputClusterCount"], arguments["outputClusterCount"]
    clusters = [int.from_bytes(body[i : i + 2], "little") for i in range(0, 2 * (inputs + outputs), 2)]
    return arguments | {"inputClusterList": clusters[:inputs], "outputClusterList": clusters[inputs:]}


def _convert(kind: Any, value: Any) -> Any:
    if isinstance(value, t.sl_Status) and kind is not t.sl_Status:
        return _OLDER.get((kind, value), _GENERIC_FAILURE.get(kind, 1))
    return value if isinstance(value, kind) else kind(value)


def _encode(kind: Any, value: Any) -> bytes:
    return bytes(_convert(kind, value).serialize())
