"""A digest of a whole decision: two that differ in one bit have different ones, but for a chance of 2^-32."""

import json
import zlib

from core.decision import Decision
from daemon.journal.keys import DIGESTED


def digest(decision: Decision) -> str:
    """CRC-32 over the JSON text of the decision, eight hexadecimal digits."""
    return f"{zlib.crc32(json.dumps(DIGESTED.encode(decision)).encode()):08x}"
