"""The serial link against byte strings that passed between real hosts and real modules.

The hexadecimal strings are those of the published tests of zigbee-herdsman (test/adapter/ember/consts.ts).
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import bellows.types as t
import pytest
from bellows import ash
from hypothesis import given
from hypothesis import strategies as st

from plant.radio.coordinator.ash import ACK_TIMEOUTS, WINDOW, AshModule
from plant.radio.coordinator.line import Noisy

RST = bytes.fromhex("1ac038bc7e")
RSTACK = bytes.fromhex("c1020b0a527e")
ERROR = bytes.fromhex("c20251a8bd7e")
ACK_1 = bytes.fromhex("8160597e")
VERSION_COMMAND = bytes.fromhex("004221a8597c057e")
VERSION_RESPONSE = bytes.fromhex("0142a1a8592805c6a8777e")


class Bench:
    """A module with a notebook on each side."""

    def __init__(self) -> None:
        self.wire, self.taken = bytearray(), list[bytes]()
        self.module = AshModule(self.wire.extend, self.taken.append, self.reset)

    def reset(self) -> None:
        self.module.restarted(t.NcpResetCode.RESET_SOFTWARE)

    def sent(self) -> list[bytes]:
        """Frames since the last look, with their flags."""
        frames = [part + b"\x7e" for part in bytes(self.wire).split(b"\x7e")[:-1]]
        self.wire.clear()
        return frames


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.module.close()


def wire(frame: ash.AshFrame) -> bytes:
    return bytes(ash.AshProtocol._stuff_bytes(frame.to_bytes())) + b"\x7e"


def data(number: int, ack: int, payload: bytes = b"payload", *, again: bool = False) -> bytes:
    return wire(ash.DataFrame(frm_num=number, re_tx=again, ack_num=ack, ezsp_frame=payload))


def ack(number: int) -> bytes:
    return wire(ash.AckFrame(res=0, ncp_ready=0, ack_num=number))


def nak(number: int) -> bytes:
    return wire(ash.NakFrame(res=0, ncp_ready=0, ack_num=number))


async def test_answers_a_reset_and_acknowledges_as_real_modules_do(bench: Bench) -> None:
    bench.module.feed(RST)
    assert bench.sent() == [RSTACK]
    bench.module.feed(VERSION_COMMAND)
    assert bench.sent() == [ACK_1]
    assert bench.taken == [bytes.fromhex("0000000d")]
    bench.module.send(bytes.fromhex("0080000d021074"))
    assert bench.sent() == [VERSION_RESPONSE]
    bench.module.fail(t.NcpResetCode.ERROR_EXCEEDED_MAXIMUM_ACK_TIMEOUT_COUNT)
    assert bench.sent()[-1] == ERROR


async def test_says_nothing_before_the_reset(bench: Bench) -> None:
    bench.module.feed(data(0, 0))
    bench.module.send(b"callback")
    assert bench.sent() == []
    assert bench.taken == []


async def test_takes_bytes_in_any_portions_and_discards_as_told(bench: Bench) -> None:
    for byte in RST:
        bench.module.feed(bytes([byte]))
    assert bench.sent() == [RSTACK]
    bench.module.feed(b"garbage\x1a" + data(0, 0, b"one"))  # cancel
    bench.module.feed(b"garbage\x18more\x7e" + data(1, 0, b"two"))  # substitute
    bench.module.feed(b"\x11" + data(2, 0, b"three")[:-3] + b"\x13" + data(2, 0, b"three")[-3:])
    bench.module.feed(b"x" * 2000)  # no frame is as long
    bench.module.feed(b"\x7e" + data(3, 0, b"four"))
    assert bench.taken == [b"one", b"two", b"three", b"four"]


async def test_takes_every_frame_once_and_in_order(bench: Bench) -> None:
    bench.module.feed(RST + data(0, 0, b"a"))
    bench.sent()
    bench.module.feed(data(0, 0, b"a", again=True))  # our acknowledgement was lost
    assert bench.sent() == [ack(1)]
    bench.module.feed(data(2, 0, b"c") + data(3, 0, b"d"))  # number 1 was lost
    assert bench.sent() == [nak(1)]  # refused once, not for every frame that follows
    bench.module.feed(data(1, 0, b"b", again=True) + data(2, 0, b"c", again=True))
    assert bench.sent() == [ack(2), ack(3)]
    assert bench.taken == [b"a", b"b", b"c"]


async def test_sends_no_more_than_the_window(bench: Bench) -> None:
    bench.module.feed(RST)
    bench.sent()
    for number in range(8):
        bench.module.send(bytes([number]))
    assert bench.sent() == [data(n, 0, bytes([n])) for n in range(WINDOW)]
    bench.module.feed(ack(2))
    assert bench.sent() == [data(n, 0, bytes([n])) for n in (5, 6)]
    bench.module.feed(nak(3))
    assert bench.sent() == [data(7, 0, b"\x07")] + [data(n, 0, bytes([n]), again=True) for n in range(3, 8)]
    bench.module.feed(ack(0))
    assert bench.sent() == []


async def test_gives_up_when_nothing_is_acknowledged(bench: Bench) -> None:
    bench.module.feed(RST)
    bench.module.send(b"x")
    bench.sent()
    for _ in range(ACK_TIMEOUTS):
        bench.module.feed(nak(0))
    assert bench.sent() == [data(0, 0, b"x", again=True)] * ACK_TIMEOUTS
    bench.module.feed(nak(0))
    assert bench.sent() == [ERROR]
    bench.module.feed(data(0, 0))
    assert bench.sent() == []  # only a reset brings the link back
    bench.module.feed(RST)
    assert bench.sent() == [RSTACK]


async def test_repeats_by_itself_what_is_not_acknowledged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plant.radio.coordinator.ash.ACK_INIT_S", 0.02)
    bench.module.feed(RST)
    bench.module.send(b"x")
    bench.sent()
    await asyncio.sleep(0.1)
    assert bench.sent()[:1] == [data(0, 0, b"x", again=True)]


async def test_a_hung_module_is_silent(bench: Bench) -> None:
    bench.module.mute = True
    bench.module.feed(RST)
    assert bench.sent() == []


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_noise_is_never_taken_for_a_frame(portions: list[bytes]) -> None:
    async def run() -> None:
        bench = Bench()
        for portion in portions:
            bench.module.feed(portion)
        assert bench.taken == []
        bench.module.feed(b"\x7e" + RST)
        assert bench.sent()[-1:] == [RSTACK]
        bench.module.close()

    asyncio.run(run())


def test_a_noisy_line_spares_resets() -> None:
    line = Noisy(Random(1), loss=1.0)
    assert line(RST[1:-1]) == RST[1:-1]
    assert line(RSTACK[:-1]) == RSTACK[:-1]
    assert line(VERSION_COMMAND[:-1]) is None
    line.loss, line.corruption = 0.0, 1.0
    changed = line(VERSION_COMMAND[:-1])
    assert changed is not None
    assert sum((a ^ b).bit_count() for a, b in zip(changed, VERSION_COMMAND[:-1], strict=True)) == 1
