"""The configuration of the site that is simulated by default: nine heaters."""

from pathlib import Path

from core.site import Site
from daemon.config.settings import parse_settings

HEATERS = "".join(
    f'[[slaves]]\nname = "heater {slot}"\nslot = {slot}\nphase = "{"abc"[slot // 3]}"\nmax_w = 1700\n'
    for slot in range(9)
)
SITE = f"""\
[site]
name = "Home"
[meter]
profile = "sdm630"
[meter.transport]
type = "tcp"
host = "127.0.0.1"
port = 1502
[radio]
path = "socket://127.0.0.1:6638"
{HEATERS}"""


def site() -> Site:
    """The site itself."""
    return parse_settings(SITE, Path("sunkeep.toml")).core_site()
