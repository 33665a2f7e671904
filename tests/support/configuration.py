"""A small valid configuration for tests, and files made from it."""

import secrets
from pathlib import Path

CONFIGURATION = """\
[site]
name = "Home"
timezone = "Europe/Berlin"

[limits]
phase_max_w = 4000

[meter]
profile = "sdm630"
[meter.transport]
type = "tcp"
host = "127.0.0.1"
port = 1502

[radio]
path = "socket://127.0.0.1:6638"

[[slaves]]
name = "boiler"
slot = 0
phase = "a"
max_w = 3000

[[slaves]]
name = "charger"
slot = 1
phase = "b"
max_w = 3600
min_w = 1380

[mode]
mode = "ab"
[[mode.schedule]]
weekdays = ["mon", "sun"]
start = "22:00"
end = "06:30"
"""


def write_configuration(folder: Path, text: str = CONFIGURATION) -> Path:
    """The file, with a private key beside it, and state and journal inside the folder."""
    key = folder / "site.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = folder / "sunkeep.toml"
    places = '\n[state]\ndirectory = "state"\n[journal]\ndirectory = "journal"\nmax_mb = 1\n'
    path.write_text(text + places)
    return path
