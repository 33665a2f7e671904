"""The first inputs of the fuzzer: stories made of the published frames.

Usage: python3 seeds.py setpoint-vectors.json FOLDER
"""

import json
import sys
from pathlib import Path

WAIT, RAW, SIGNED, SIGNED_NEXT, ZCL, POLL, POWER_LOSS, STORE_FAILS = range(8)
"""The steps of `fuzz_slave.c`."""
TAG_BYTES = 8


def step(what: int, many: int = 0) -> bytes:
    """A step without bytes of its own."""
    return bytes([what, many])


def heard(what: int, data: bytes) -> bytes:
    """A frame that arrives."""
    return bytes([what, len(data)]) + data


def main() -> None:
    """One file for each frame, told as it is, with the tag made anew, and as the next good one."""
    vectors = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    frames = [bytes.fromhex(v["payload"]) for v in vectors["frames"] + vectors["rejected_frames"]]
    wrapped = [bytes.fromhex(v["zcl"]) for v in vectors["frames"]]
    aimed = bytes([0x12, 1, 0, 0, 0, 15, 2, 1]) + (700).to_bytes(2, "little")
    lived = b"".join(
        [
            heard(SIGNED_NEXT, aimed),
            step(WAIT, 30),
            step(POLL),
            heard(SIGNED_NEXT, aimed),
            step(POWER_LOSS),
            heard(SIGNED_NEXT, aimed),
            step(STORE_FAILS, 1),
            heard(SIGNED_NEXT, bytes([0x11]) + aimed[1:]),
            step(WAIT, 130),
            step(POLL),
        ]
    )
    stories = [lived, heard(SIGNED, aimed) * 2]
    stories += [heard(RAW, frame) for frame in frames]
    stories += [heard(SIGNED, frame[:-TAG_BYTES]) + step(WAIT, 40) + step(POLL) for frame in frames if frame]
    stories += [heard(ZCL, frame) for frame in wrapped]
    for number, story in enumerate(stories):
        (folder / f"seed-{number:02}").write_bytes(story)


if __name__ == "__main__":
    main()
