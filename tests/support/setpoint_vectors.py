"""Writes docs/develop/setpoint-vectors.json from the published protocol alone; shares no code with
drivers.zigbee.setpoint_frame.

Run: python -m tests.support.setpoint_vectors
"""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[2] / "docs" / "develop" / "setpoint-vectors.json"
KEY = bytes(range(0x40, 0x60))
EXTENDED_PAN_ID = 0x00124B001CA1B2C3
NETWORK_ID = EXTENDED_PAN_ID.to_bytes(8, "little")
CLUSTER = b"\x57\xfc"
FRAME_HEADER = bytes.fromhex("15f1ff0700")
"""Cluster command, manufacturer-specific, default response disabled; 0xFFF1; transaction 7; command 0."""
REPORT_HEADER = bytes.fromhex("1cf1ff2a0a")
"""Global command, manufacturer-specific, server to client, default response disabled; Report Attributes."""


def tag(body: bytes, key: bytes = KEY, network_id: bytes = NETWORK_ID) -> bytes:
    return hmac.new(key, network_id + CLUSTER + body, hashlib.sha256).digest()[:8]


def frame_body(counter: int, ttl_s: int, base: int, watts: list[int], safe: bool, report: bool) -> bytes:
    body = (
        bytes([0x10 + safe + 2 * report]) + counter.to_bytes(4, "little") + bytes([ttl_s, base, len(watts)])
    )
    return body + b"".join(w.to_bytes(2, "little", signed=True) for w in watts)


def signed(body: bytes) -> bytes:
    return body + tag(body)


def report_attributes(slot: int, counter: int, applied_w: int, power_w: int, state: int) -> bytes:
    slot_, counter_ = slot.to_bytes(1, "little"), counter.to_bytes(4, "little")
    applied, power = applied_w.to_bytes(2, "little", signed=True), power_w.to_bytes(2, "little", signed=True)
    state_ = state.to_bytes(1, "little")
    mac = tag(b"\x52" + slot_ + counter_ + applied + power + state_)
    return (
        b"\x00\x00\x20" + slot_ + b"\x01\x00\x23" + counter_ + b"\x02\x00\x29" + applied
        + b"\x03\x00\x29" + power + b"\x04\x00\x30" + state_ + b"\x05\x00\x41\x08" + mac
    )  # fmt: skip


def _frame(name: str, counter: int, ttl_s: int, base: int, watts: list[int], *, safe: bool = False,
           report: bool = False) -> dict[str, Any]:  # fmt: skip
    payload = signed(frame_body(counter, ttl_s, base, watts, safe, report))
    return {
        "name": name, "counter": counter, "ttl_s": ttl_s, "base": base, "setpoints_w": watts,
        "safe_release": safe, "report": report,
        "payload": payload.hex(), "zcl": (FRAME_HEADER + payload).hex(),
    }  # fmt: skip


def _bad_frames() -> dict[str, bytes]:
    good = frame_body(4711, 15, 0, [100, 200], False, False)
    return {
        "one bit of a setpoint flipped": good[:8] + bytes([good[8] ^ 1]) + signed(good)[9:],
        "tag of another key": good + tag(good, key=bytes(32)),
        "tag of another network": good + tag(good, network_id=bytes(8)),
        "tag is the last 8 bytes of the HMAC": good
        + hmac.new(KEY, NETWORK_ID + CLUSTER + good, hashlib.sha256).digest()[-8:],
        "version 2": signed(b"\x20" + good[1:]),
        "reserved bit 2 set": signed(b"\x14" + good[1:]),
        "reserved bit 3 set": signed(b"\x18" + good[1:]),
        "time to live 0": signed(frame_body(4711, 0, 0, [100, 200], False, False)),
        "time to live 61": signed(frame_body(4711, 61, 0, [100, 200], False, False)),
        "no setpoint": signed(frame_body(4711, 15, 0, [], False, False)),
        "31 setpoints": signed(frame_body(4711, 15, 0, [1] * 31, False, False)),
        "n larger than the length": signed(good[:7] + b"\x03" + good[8:]),
        "n smaller than the length": signed(good[:7] + b"\x01" + good[8:]),
        "negative setpoint": signed(frame_body(4711, 15, 0, [100, -1], False, False)),
        "a slot above 255": signed(frame_body(4711, 15, 255, [100, 200], False, False)),
        "cut short": signed(good)[:-1],
        "one byte too many": signed(good) + b"\x00",
        "empty": b"",
    }  # fmt: skip


def _report(
    name: str, slot: int, counter: int, applied_w: int, power_w: int | None, state: int
) -> dict[str, Any]:
    attributes = report_attributes(slot, counter, applied_w, -0x8000 if power_w is None else power_w, state)
    return {
        "name": name, "slot": slot, "counter": counter, "applied_w": applied_w, "power_w": power_w,
        "state": state, "attributes": attributes.hex(), "zcl": (REPORT_HEADER + attributes).hex(),
    }  # fmt: skip


def _bad_reports() -> dict[str, bytes]:
    good = report_attributes(3, 4711, 700, 690, 0)
    return {
        "one bit of the slot flipped": good[:3] + bytes([good[3] ^ 1]) + good[4:],
        "state 4": report_attributes(3, 4711, 700, 690, 4),
        "negative setpoint": report_attributes(3, 4711, -1, 690, 0),
        "negative power": report_attributes(3, 4711, 700, -2, 0),
        "an attribute missing": good[4:],
        "an attribute twice": good[:4] + good,
        "an unknown attribute": good + b"\x06\x00\x20\x00",
        "a wrong type": good[:2] + b"\x21" + good[3:],
        "no tag": good[:-12],
        "a tag of 7 bytes": good[:-9] + b"\x07" + good[-8:-1],
        "cut short": good[:-1],
        "empty": b"",
    }


def vectors() -> dict[str, Any]:
    return {
        "about": "Test vectors of docs/develop/setpoint-protocol.md. Byte strings are hexadecimal; `zcl` has "
        "the ZCL header in front. `network_id` is the extended PAN id as it goes over the air.",
        "site_key": KEY.hex(),
        "extended_pan_id": f"0x{EXTENDED_PAN_ID:016x}",
        "network_id": NETWORK_ID.hex(),
        "frames": [
            _frame("one slave", 1, 15, 0, [1200]),
            _frame("three slaves, everybody reports", 4711, 15, 0, [0, 850, 2400], report=True),
            _frame("safe release", 4712, 15, 0, [0, 0, 0], safe=True),
            _frame("safe release that reports, setpoints to be ignored", 4713, 15, 0, [500, 850, 2400],
                   safe=True, report=True),
            _frame("thirty slaves, the longest frame", 0xFFFFFFFF, 60, 30, [100 * i for i in range(30)]),
            _frame("the last slots and the largest setpoint", 0x01020304, 1, 254, [32767, 1]),
        ],
        "rejected_frames": [{"reason": r, "payload": bytes(p).hex()} for r, p in _bad_frames().items()],
        "reports": [
            _report("following", 3, 4711, 700, 690, 0),
            _report("resting since time to live ran out", 0, 4711, 0, 12, 1),
            _report("resting after a safe release", 29, 4712, 0, 0, 2),
            _report("resting since start", 255, 0, 0, 0, 3),
            _report("does not measure", 7, 0xFFFFFFFF, 32767, None, 0),
        ],
        "rejected_reports": [{"reason": r, "attributes": p.hex()} for r, p in _bad_reports().items()],
    }  # fmt: skip


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n")
