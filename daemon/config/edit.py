"""Changing single values of a configuration, with its comments and everything else left as it is."""

import re

from daemon.config.toml_lines import line_of

_VALUE = re.compile(
    r"""^(?P<head>\s*(?:[A-Za-z0-9_-]+)\s*=\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^#\s][^#]*?)(?P<tail>\s*(?:#.*)?)$"""
)


def with_value(text: str, location: tuple[str, str], value: str) -> str:
    """The text with another value of one key of a table, which must be there on a line of its own.

    Args:
        text: TOML.
        location: table and key.
        value: the new value as TOML.

    Raises:
        ValueError: the key is not there.
    """
    lines = text.split("\n")
    at = line_of(text, location) - 1
    match = _VALUE.match(lines[at])
    if match is None or match["head"].split("=")[0].strip() != location[1]:
        raise ValueError(f"{'.'.join(location)} has no line of its own")
    lines[at] = match["head"] + value + match["tail"]
    return "\n".join(lines)
