"""Keys never reach a log, a terminal or a report."""

import re

from drivers.redaction import MARK
from drivers.redaction import redact as redact_shapes

SECRET_NAMES = frozenset({"key", "network_key", "link_key", "site_key", "tc_link_key", "install_code"})
_NAMED = re.compile(
    r"((?:network_?key|link_?key|site_?key|install_?code)['\"]?\s*[=:]\s*)"
    r"(\[[^\]]*\]|\([^)]*\)|KeyData\([^)]*\)|b?'[^']*'|b?\"[^\"]*\"|[^\s,;)}\]]+)",
    re.IGNORECASE,
)
_BYTE = r"(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})"
_LISTS = re.compile(rf"[\[(]\s*{_BYTE}(?:\s*,\s*{_BYTE}){{15,}}\s*,?\s*[\])]")


def redact(text: str) -> str:
    """Replace everything that has the shape of a key, or follows the name of one."""
    text = _NAMED.sub(rf"\g<1>{MARK}", text)
    return redact_shapes(_LISTS.sub(MARK, text))
