"""The serial protocol's codec, and the coordinator's answers to what no sound host sends.

The hexadecimal frames are those of the published tests of zigbee-herdsman (test/adapter/ember/consts.ts).
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import bellows.types as t
import pytest
from bellows import ash
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.radio.coordinator.coordinator import COMMANDS, VirtualCoordinator
from plant.radio.coordinator.ezsp import VERSIONS, EzspCodec, UnsupportedCommand
from plant.radio.coordinator.nvram import FACTORY_EUI64, Nvram
from plant.radio.medium import RadioMedium

RST = bytes.fromhex("1ac038bc7e")
FROM_HOST = {"sendUnicast": "706521a9602a156c90904b23aa5493098d4e27abeece648af9c677b97e"}
FROM_MODULE = {
    "sendUnicast": "0065a1a9602a15b25994d0954c7e",
    "messageSentHandler": "1065b1a96b2a15b259944afb6351934f9c4f26ebfcce677d31fec66357897e",
    "incomingMessageHandler": "2065b1a97d312a15b658924a24ab5593499c3ef962edce678bfdc6638903813ca7edcdde6f8a"
    "e7c3d0d5d26b68937e",
}


def unwrap(wire: str) -> bytes:
    frame = ash.parse_frame(bytes(ash.AshProtocol._unstuff_bytes(bytes.fromhex(wire)[:-1])))
    return bytes(frame.ezsp_frame)


@pytest.mark.parametrize(("name", "wire"), FROM_MODULE.items())
def test_encodes_as_real_modules_do(name: str, wire: str) -> None:
    codec, frame = EzspCodec(14), unwrap(wire)
    rest, values = frame[5:], {}
    for field, kind in codec.schemas[name][2].items():
        values[field], rest = kind.deserialize(rest)
    known = frame[: len(frame) - len(rest)]  # newer firmware appends a byte
    encode = codec.response if frame[1] == 0x80 else codec.callback
    again = encode(frame[0], name, values)
    assert again == known


@pytest.mark.parametrize(("name", "wire"), FROM_HOST.items())
def test_decodes_what_real_hosts_send(name: str, wire: str) -> None:
    command = EzspCodec(14).decode(unwrap(wire))
    assert command.name == name
    assert len(command.arguments["message"]) > 0


def test_the_first_version_command_has_the_old_header() -> None:
    asked, answered = unwrap("004221a8597c057e"), unwrap("0142a1a8592805c6a8777e")
    mine = EzspCodec(13).legacy_version(asked)
    assert mine is not None
    assert mine[:5] == answered[:5]
    assert len(mine) == len(answered)
    assert EzspCodec(13).legacy_version(bytes(5)) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_every_status_and_command(version: int) -> None:
    codec = EzspCodec(version)
    old = version < 14
    busy = codec.response(1, "sendBroadcast", {"status": t.sl_Status.BUSY, "sequence": 2})
    assert busy[5:] == (bytes([t.EmberStatus.NETWORK_BUSY, 2]) if old else b"\x04\x00\x00\x00\x02")
    missing = set(COMMANDS) - set(codec.schemas)
    assert missing <= {"getAddressTableInfo", "getAddressTableRemoteNodeId", "gpClearProxyTable"}


def test_missing_and_surplus_trailing_arguments_are_tolerated() -> None:
    codec = EzspCodec(14)
    head = bytes([7, 0, 1]) + (0x0111).to_bytes(2, "little")
    short = codec.decode(head + bytes(24))
    assert short.arguments["flags"] == 0
    assert codec.decode(head + bytes(24) + b"\x01\xff\xff").arguments["flags"] == 1


@pytest.mark.parametrize(
    ("frame", "label"),
    [
        (b"", "short"),
        (b"\x01\x00\x01\xee\xee", "0xeeee"),
        (b"\x01\x00\x01\x34\x00\x00", "malformed sendUnicast"),
    ],
)
def test_refuses_what_it_does_not_understand(frame: bytes, label: str) -> None:
    with pytest.raises(UnsupportedCommand) as refusal:
        EzspCodec(13).decode(frame)
    assert refusal.value.label == label


def test_refuses_versions_without_tables() -> None:
    with pytest.raises(ValueError, match="EZSP 12 is not supported"):
        EzspCodec(12)


class Desk:
    """A host without a mind of its own: sends payloads, keeps the answers."""

    def __init__(self, coordinator: VirtualCoordinator) -> None:
        self.coordinator, self.answers, self._buffer, self._number = coordinator, list[bytes](), b"", 0
        coordinator.attach(self._take, lambda: None)
        coordinator.feed(RST)

    def _take(self, wire: bytes) -> None:
        frame = ash.parse_frame(bytes(ash.AshProtocol._unstuff_bytes(wire[:-1])))
        if isinstance(frame, ash.DataFrame):
            self.answers.append(bytes(frame.ezsp_frame))

    def ask(self, payload: bytes) -> bytes:
        """Send one payload; the answer to it."""
        self.answers.clear()
        frame = ash.DataFrame(frm_num=self._number, re_tx=False, ack_num=self._next_ack(), ezsp_frame=payload)
        self._number = (self._number + 1) % 8
        self.coordinator.feed(bytes(ash.AshProtocol._stuff_bytes(frame.to_bytes())) + b"\x7e")
        return self.answers[0]

    def _next_ack(self) -> int:
        assert self.coordinator.ash is not None
        return self.coordinator.ash._send_number


VERSION_13 = bytes([0, 0, 0, 13])
INVALID = 0x58


def command(name: str, body: bytes = b"", sequence: int = 1) -> bytes:
    return bytes([sequence, 0, 1]) + int(EzspCodec(13).schemas[name][0]).to_bytes(2, "little") + body


async def test_after_a_reset_only_version_is_answered() -> None:
    coordinator = VirtualCoordinator(RadioMedium())
    desk = Desk(coordinator)
    assert desk.ask(command("networkState"))[3] == INVALID
    assert coordinator.refused["before version"] == 1
    desk.ask(VERSION_13)
    assert desk.ask(command("networkState"))[3:] == bytes([0x18, 0x00, t.EmberNetworkStatus.NO_NETWORK])
    coordinator.crash()
    desk._number = 0
    assert desk.ask(command("networkState"))[3] == INVALID
    await coordinator.stop()


async def test_callbacks_follow_the_answer_and_carry_its_sequence() -> None:
    coordinator = VirtualCoordinator(RadioMedium(), nvram=Nvram.formed(Random(1)))
    desk = Desk(coordinator)
    desk.ask(VERSION_13)
    desk.ask(command("networkInit", bytes(2), sequence=9))
    answer, callback = desk.answers
    assert (answer[0], answer[1], answer[3], answer[5]) == (9, 0x80, 0x17, 0)
    assert (callback[0], callback[1], callback[3], callback[5]) == (9, 0x90, 0x19, t.EmberStatus.NETWORK_UP)
    await coordinator.stop()


@given(
    st.lists(st.tuples(st.sampled_from(sorted(COMMANDS)), st.binary(max_size=40)), max_size=6),
    st.sampled_from(VERSIONS),
)
@settings(deadline=None, max_examples=60)
def test_every_command_is_answered_whatever_its_arguments(
    asked: list[tuple[str, bytes]], version: int
) -> None:
    async def run() -> None:
        coordinator = VirtualCoordinator(RadioMedium(), ezsp_version=version, nvram=Nvram.formed(Random(1)))
        desk = Desk(coordinator)
        desk.ask(bytes([0, 0, 0, version]))
        for sequence, (name, body) in enumerate(asked, start=1):
            schema = coordinator.codec.schemas.get(name)
            if schema is not None:
                frame = bytes([sequence, 0, 1]) + int(schema[0]).to_bytes(2, "little") + body
                assert desk.ask(frame)[0] == sequence
        await coordinator.stop()

    asyncio.run(run())


def test_memory_survives_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "nvram.json"
    memory = Nvram.formed(Random(4), channel=20, path=path)
    memory.security.frame_counter = 4100
    memory.restored_eui64 = bytes(range(8))
    memory.save()
    again = Nvram.load(path)
    assert again == memory
    assert again.eui64 == bytes(range(8))
    assert path.stat().st_mode & 0o777 == 0o600
    again.forget_network(keep_counters=True)
    assert Nvram.load(path).network is None
    assert Nvram.load(path).security.frame_counter == 4100


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"network": 1, "security": {}, "restored_eui64": null}'])
def test_a_damaged_memory_is_refused(tmp_path: Path, text: Any) -> None:
    path = tmp_path / "nvram.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a coordinator memory"):
        Nvram.load(path)
    assert Nvram.load(tmp_path / "absent").eui64 == FACTORY_EUI64
