"""Keys never reach a log, a terminal or a report."""

import re

_KEYS = re.compile(
    r"(?<![0-9A-Za-z])(?:0x)?(?:"
    r"(?:[0-9A-Fa-f]{2}){32}|(?:[0-9A-Fa-f]{2}){16}"  # site key; network or link key
    r"|[0-9A-Fa-f]{2}(?:[:\s,-][0-9A-Fa-f]{2}){15}(?:[:\s,-][0-9A-Fa-f]{2}){0,16}"  # the same, separated
    r")(?![0-9A-Za-z])"
)
_LISTS = re.compile(
    r"\[\s*(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})(?:\s*,\s*(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})){15,31}\s*\]"
)
_NAMED = re.compile(
    r"((?:network_?key|link_?key|site_?key|tc_link_key|\bkey)['\"]?\s*[=:]\s*)(?!\[redacted\])"
    r"(\[[^\]]*\]|\([^)]*\)|KeyData\([^)]*\)|b?'[^']*'|b?\"[^\"]*\"|[^\s,;)}\]]+)",
    re.IGNORECASE,
)
REDACTED = "[redacted]"
SECRET_NAMES = frozenset({"key", "network_key", "link_key", "site_key", "tc_link_key", "install_code"})


def redact(text: str) -> str:
    """Replace everything that has the shape of a key, or follows the name of one."""
    text = _NAMED.sub(rf"\g<1>{REDACTED}", text)
    text = _KEYS.sub(REDACTED, text)
    return _LISTS.sub(REDACTED, text)
