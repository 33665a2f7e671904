"""The C core against the product's own codec and against the plant's own slave, by chance."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.zigbee.setpoint_frame import (
    SETPOINT_MAX_W,
    FrameError,
    decode,
    decode_report,
    encode,
    unwrap_report,
)
from plant.radio.slave_firmware import Firmware, Ignored, Status
from tests.firmware.c_core import CFirmware
from tests.support.radio_nodes import KEY, frame_payload

NETWORK = bytes.fromhex("c3b2a11c004b1200")
OTHER_NETWORK = bytes(range(8))
STEP_S = 0.125
"""A multiple of a millisecond and of a power of two: both slaves compute with it without rounding."""
MAX_W = 3000
SLOT = 2

watts = st.integers(-0x8000, 0x7FFF) | st.integers(0, 4000)


@dataclass(frozen=True)
class Step:
    """What happens next: so many steps of time, then a frame, a loss of power or a report."""

    steps: int
    frame: bytes | None = None
    network: bytes = NETWORK
    power_loss: bool = False
    measured_w: float | None = None


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame that is mostly right, in every part of it."""
    payload = frame_payload(
        draw(st.integers(0, 12) | st.sampled_from([0xFFFF_FFFE, 0xFFFF_FFFF])),
        draw(st.lists(watts, min_size=1, max_size=6)),
        draw(st.sampled_from([NETWORK, NETWORK, NETWORK, OTHER_NETWORK])),
        flags=draw(st.sampled_from([0x10, 0x10, 0x10, 0x11, 0x12, 0x13, 0x14, 0x18, 0x20, 0x00])),
        ttl_s=draw(st.sampled_from([0, 1, 2, 15, 15, 60, 61, 255])),
        base=draw(st.sampled_from([0, 0, 0, 1, 2, 3, 253, 255])),
    )
    cut = draw(st.sampled_from([0, 0, 0, 0, 1, 8, 9, 12]))
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(payload) - 1))
        payload = payload[:at] + bytes([payload[at] ^ 1 << draw(st.integers(0, 7))]) + payload[at + 1 :]
    return payload[: len(payload) - cut] + bytes(draw(st.sampled_from([0, 0, 0, 0, 1, 2])))


steps = st.builds(
    Step,
    st.integers(0, 200),
    st.none() | frames() | st.binary(max_size=90),
    st.sampled_from([NETWORK, NETWORK, NETWORK, OTHER_NETWORK]),
    st.sampled_from([False] * 9 + [True]),
    st.none() | st.floats(-100.0, 40_000.0),
)


def same(ours: CFirmware, theirs: Firmware, at_s: float) -> None:
    """Whether the two slaves are in the same state now."""
    assert ours.reference_w(at_s) == theirs.reference_w(at_s)
    assert ours.target_w(at_s) == theirs.target_w(at_s)
    assert ours.status(at_s) is theirs.status(at_s)
    assert ours.wants_report(at_s) == theirs.wants_report(at_s)
    assert ours.counter == theirs.counter


@settings(max_examples=400)
@given(st.lists(steps, max_size=25), st.sampled_from([0, 1, SLOT, 254, 255]))
def test_both_slaves_live_the_same_life(life: list[Step], slot: int) -> None:
    ours, theirs = CFirmware(slot, KEY, MAX_W), Firmware(slot, KEY, MAX_W)
    at_s = 0.0
    for step in life:
        at_s += step.steps * STEP_S
        same(ours, theirs, at_s)
        if step.power_loss:
            ours.restart()
            theirs.restart()
        elif step.frame is None:
            if theirs.wants_report(at_s):
                said = ours.report(at_s, step.measured_w, step.network)
                assert said == theirs.report(at_s, step.measured_w, step.network)
        else:
            heard = ours.hear(step.frame, step.network, at_s)
            assert heard is theirs.hear(step.frame, step.network, at_s)
        same(ours, theirs, at_s)


def test_a_life_that_meets_every_reason() -> None:
    """The property above is worth little if chance never gets beyond the first rules."""
    seen: set[Ignored | None] = set()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(st.lists(frames(), min_size=1, max_size=6))
    def live(story: list[bytes]) -> None:
        ours = CFirmware(SLOT, KEY, MAX_W)
        told_twice = (*story, *story)  # what was heard is old when it is heard again
        seen.update(ours.hear(payload, NETWORK, float(i)) for i, payload in enumerate(told_twice))

    live()
    assert seen == {None, *Ignored}


@given(
    st.dictionaries(st.integers(0, 255), st.integers(0, SETPOINT_MAX_W), min_size=1, max_size=30),
    st.integers(1, 60),
    st.booleans(),
    st.booleans(),
)
def test_every_slave_of_a_frame_of_the_product_obeys_it(
    setpoints_w: dict[int, int], ttl_s: int, release: bool, report: bool
) -> None:
    payloads = encode(
        setpoints_w,
        counter=1,
        ttl_s=ttl_s,
        key=KEY,
        network_id=NETWORK,
        safe_release=release,
        report=report,
    )
    for payload in payloads:
        frame = decode(payload, KEY, NETWORK)
        for slot, told_w in enumerate(frame.setpoints_w, frame.base):
            slave = CFirmware(slot, KEY, SETPOINT_MAX_W)
            assert slave.hear(payload, NETWORK, 0.0) is None
            assert slave.target_w(0.0) == (0 if release else told_w)
            assert slave.status(ttl_s + 0.0) is not Status.FOLLOWING


@given(frames() | st.binary(max_size=90))
def test_a_slave_and_the_product_accept_the_same(payload: bytes) -> None:
    """Once the product can decode a frame, every slave in it takes it; else none does, but for the
    setpoints of others, which are not a slave's to judge."""
    try:
        frame = decode(payload, KEY, NETWORK)
        slots, refused = {*range(frame.base, frame.base + len(frame.setpoints_w))}, ""
    except FrameError as error:
        base = payload[6] if len(payload) > 6 else 0
        slots, refused = {base, min(base + 1, 255), SLOT}, str(error)
    for slot in slots:
        reason = CFirmware(slot, KEY, MAX_W).hear(payload, NETWORK, 0.0)
        assert (reason is None) == (not refused) or "negative" in refused


@given(
    st.integers(0, 255),
    st.integers(0, 0xFFFF_FFFF),
    st.integers(0, SETPOINT_MAX_W),
    st.none() | st.integers(0, SETPOINT_MAX_W),
    st.booleans(),
)
def test_the_product_reads_every_report(
    slot: int, counter: int, told_w: int, measured_w: int | None, release: bool
) -> None:
    slave: Any = CFirmware(slot, KEY, SETPOINT_MAX_W)
    flags = 0x11 if release else 0x10
    assert slave.hear(frame_payload(counter, [told_w], NETWORK, flags=flags, base=slot), NETWORK, 0.0) is None
    zcl = slave.poll(60.0 if release else 11.0, measured_w)
    report = decode_report(unwrap_report(zcl), KEY, NETWORK)
    assert (report.slot, report.counter, report.power_w) == (slot, counter, measured_w)
    assert report.applied_w == (0 if release else told_w)
    assert int(report.state) == (2 if release else 0)
