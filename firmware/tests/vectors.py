"""Turn docs/develop/setpoint-vectors.json into a C header, so that `make test` needs no JSON in C.

Usage: python3 vectors.py setpoint-vectors.json > vectors.h
"""

import json
import sys
from pathlib import Path
from typing import Any

HEAD = """/* Made of docs/develop/setpoint-vectors.json. */
typedef struct {
    const char *name;
    unsigned slot, counter;
    int watts, power_w, state;
    int safe_release, report;
    const char *payload, *zcl;
} vector;
"""
NOT_MEASURED = "SUNKEEP_NOT_MEASURED"


def rows(vectors: dict[str, Any]) -> str:
    """Every table of the published vectors."""
    frames = [
        (
            v["name"],
            v["base"] + i,
            v["counter"],
            w,
            0,
            0,
            v["safe_release"],
            v["report"],
            v["payload"],
            v["zcl"],
        )
        for v in vectors["frames"]
        for i, w in enumerate(v["setpoints_w"])
    ]
    rejected = [(v["reason"], 0, 0, 0, 0, 0, 0, 0, v["payload"], "") for v in vectors["rejected_frames"]]
    reports = [
        (
            v["name"],
            v["slot"],
            v["counter"],
            v["applied_w"],
            v["power_w"],
            v["state"],
            0,
            0,
            v["attributes"],
            v["zcl"],
        )
        for v in vectors["reports"]
    ]
    return "".join(
        table(name, entries)
        for name, entries in (("FRAMES", frames), ("REJECTED", rejected), ("REPORTS", reports))
    )


def table(name: str, entries: list[tuple[Any, ...]]) -> str:
    """One array of the header."""
    lines = ",\n    ".join("{" + ", ".join(map(literal, entry)) + "}" for entry in entries)
    return f"static const vector {name}[] = {{\n    {lines},\n}};\n"


def literal(value: Any) -> str:
    """A value as C has it."""
    if isinstance(value, str):
        return json.dumps(value)
    return NOT_MEASURED if value is None else f"{int(value)}{'u' * (value > 0x7FFFFFFF)}"


if __name__ == "__main__":
    published = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(HEAD)
    sys.stdout.write(f'#define SITE_KEY "{published["site_key"]}"\n')
    sys.stdout.write(f'#define NETWORK_ID "{published["network_id"]}"\n')
    sys.stdout.write(rows(published))
