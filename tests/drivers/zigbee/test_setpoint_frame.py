"""The frame codec against the published vectors, and its properties."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.zigbee.setpoint_frame import (
    FrameError,
    decode,
    decode_report,
    encode,
    frames_needed,
    unwrap_report,
    wrap,
)
from tests.support import setpoint_vectors

VECTORS: dict[str, Any] = json.loads(setpoint_vectors.PATH.read_text())
KEY = bytes.fromhex(VECTORS["site_key"])
NETWORK_ID = bytes.fromhex(VECTORS["network_id"])
ZCL_HEADER_BYTES = 5
APS_PAYLOAD_MAX_BYTES = 82


def _names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry.get("name") or entry["reason"] for entry in entries]


def test_the_published_vectors_are_what_the_independent_encoder_writes() -> None:
    assert setpoint_vectors.vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=_names(VECTORS["frames"]))
def test_frame_vector(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    by_slot = {vector["base"] + i: w for i, w in enumerate(vector["setpoints_w"])}
    flags = {name: vector[name] for name in ("counter", "ttl_s", "safe_release", "report")}
    assert encode(by_slot, **flags, key=KEY, network_id=NETWORK_ID) == [payload]
    assert wrap(payload, transaction=7).hex() == vector["zcl"]
    frame = decode(payload, KEY, NETWORK_ID)
    assert frame.setpoints_w == tuple(vector["setpoints_w"])
    assert frame.base == vector["base"]
    assert {name: getattr(frame, name) for name in flags} == flags


@pytest.mark.parametrize("vector", VECTORS["rejected_frames"], ids=_names(VECTORS["rejected_frames"]))
def test_rejected_frame_vector(vector: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        decode(bytes.fromhex(vector["payload"]), KEY, NETWORK_ID)


@pytest.mark.parametrize("vector", VECTORS["reports"], ids=_names(VECTORS["reports"]))
def test_report_vector(vector: dict[str, Any]) -> None:
    attributes = unwrap_report(bytes.fromhex(vector["zcl"]))
    assert attributes.hex() == vector["attributes"]
    report = decode_report(attributes, KEY, NETWORK_ID)
    for name in ("slot", "counter", "applied_w", "power_w", "state"):
        assert getattr(report, name) == vector[name]


@pytest.mark.parametrize("vector", VECTORS["rejected_reports"], ids=_names(VECTORS["rejected_reports"]))
def test_rejected_report_vector(vector: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        decode_report(bytes.fromhex(vector["attributes"]), KEY, NETWORK_ID)


@pytest.mark.parametrize(
    "zcl",
    [
        b"",
        b"\x1c\xf1\xff\x2a",
        b"\x18\xf1\xff\x2a\x0a",
        b"\x14\xf1\xff\x2a\x0a",
        b"\x1d\xf1\xff\x2a\x0a",
        b"\x1c\xf2\xff\x2a\x0a",
        b"\x1c\xf1\xff\x2a\x0b",
    ],
    ids=["empty", "short", "standard", "wrong way", "cluster command", "other maker", "default response"],
)
def test_other_zcl_frames_are_no_reports(zcl: bytes) -> None:
    with pytest.raises(FrameError):
        unwrap_report(zcl)


slots = st.dictionaries(st.integers(0, 255), st.integers(0, 32767), min_size=1, max_size=70)
secrets = st.tuples(st.binary(min_size=32, max_size=32), st.binary(min_size=8, max_size=8))


@given(slots, st.integers(0, 2**32 - 10), st.integers(1, 60), st.booleans(), st.booleans(), secrets)
def test_what_is_encoded_is_what_is_decoded(
    watts: dict[int, int],
    counter: int,
    ttl_s: int,
    safe: bool,
    report: bool,
    secret: tuple[bytes, bytes],
) -> None:
    key, network_id = secret
    payloads = encode(
        watts,
        counter=counter,
        ttl_s=ttl_s,
        safe_release=safe,
        report=report,
        key=key,
        network_id=network_id,
    )
    assert len(payloads) == frames_needed(watts)
    heard: dict[int, int] = {}
    for number, payload in enumerate(payloads):
        assert ZCL_HEADER_BYTES + len(payload) <= APS_PAYLOAD_MAX_BYTES
        frame = decode(payload, key, network_id)
        assert (frame.counter, frame.ttl_s) == (counter + number, ttl_s)
        assert (frame.safe_release, frame.report) == (safe, report)
        heard |= {frame.base + i: w for i, w in enumerate(frame.setpoints_w)}
    assert {slot: heard[slot] for slot in watts} == watts
    assert all(w == 0 for slot, w in heard.items() if slot not in watts)


@given(st.lists(st.integers(0, 32767), min_size=1, max_size=30), st.data())
def test_a_flipped_bit_is_rejected(watts: list[int], data: st.DataObject) -> None:
    (payload,) = encode(dict(enumerate(watts)), counter=9, ttl_s=15, key=KEY, network_id=NETWORK_ID)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    broken = bytearray(payload)
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        decode(bytes(broken), KEY, NETWORK_ID)


@given(st.data())
def test_a_flipped_bit_of_a_report_is_rejected(data: st.DataObject) -> None:
    attributes = setpoint_vectors.report_attributes(3, 4711, 700, 690, 0)
    bit = data.draw(st.integers(0, 8 * len(attributes) - 1))
    broken = bytearray(attributes)
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        decode_report(bytes(broken), KEY, NETWORK_ID)


@given(st.binary(max_size=120))
def test_noise_is_rejected(noise: bytes) -> None:
    with pytest.raises(FrameError):
        decode(noise, KEY, NETWORK_ID)
    with pytest.raises(FrameError):
        decode_report(noise, KEY, NETWORK_ID)


GOOD: dict[str, Any] = {"counter": 1, "ttl_s": 15, "key": KEY, "network_id": NETWORK_ID}


@pytest.mark.parametrize(
    ("setpoints_w", "changed"),
    [
        ({}, {}),
        ({0: -1}, {}),
        ({0: 32768}, {}),
        ({-1: 0}, {}),
        ({256: 0}, {}),
        ({0: 0}, {"ttl_s": 0}),
        ({0: 0}, {"ttl_s": 61}),
        ({0: 0}, {"counter": -1}),
        ({0: 0}, {"counter": 2**32}),
        ({0: 0, 30: 0}, {"counter": 2**32 - 1}),
        ({0: 0}, {"key": b"short"}),
        ({0: 0}, {"network_id": b"short"}),
    ],
)
def test_what_the_protocol_does_not_allow_is_not_encoded(
    setpoints_w: dict[int, int], changed: dict[str, Any]
) -> None:
    with pytest.raises(FrameError):
        encode(setpoints_w, **(GOOD | changed))
