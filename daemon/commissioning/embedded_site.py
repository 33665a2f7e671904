"""Prepares what a daemon needs to control the simulated site: key, frame counter, configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from core.roles import Role
from core.site import Metering, Slave
from daemon.commissioning.keys import begin_state, make_key
from daemon.config.consistency import airtime_for, frames_for
from drivers.errors import ConfigError
from drivers.zigbee.setpoint_frame import KEY_BYTES
from plant.radio.slave_node import ieee_of

KEY_FILE = "site.key"
CONFIG_FILE = "site.toml"

_CONFIG = """\
# A simulated site: `sunkeep plant` is the far end of its wires.
[site]
name = "Simulated site"
role = "{role}"
metering = "{metering}"
{period}
[meter]
profile = "sdm630"
[meter.transport]
type = "tcp"
host = "127.0.0.1"
port = {meter_port}

[radio]
path = "{radio_path}"
key_file = "site.key"
{airtime}
[mode]
mode = "production"

[journal]
directory = "journal"

[state]
directory = "."

[status]
port = {status_port}
"""
_SLAVE = """
[[slaves]]
name = "{name}"
slot = {slot}
phases = "{phases}"
max_w = {max_w}
"""


def site_key(folder: Path | None) -> bytes:
    """The site key in a folder, made there on first use; a passing one without a folder.

    Raises:
        ConfigError: what is there is no key.
    """
    if folder is None:
        return bytes.fromhex(token_hex(32))
    file = folder / KEY_FILE
    if not file.exists():
        make_key(file)
    try:
        key = bytes.fromhex(file.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{file} does not hold a key. Remove it: simulated slaves take any new one.")
    return key


def write_site(
    folder: Path,
    slaves: Sequence[Slave],
    meter_port: int,
    radio_path: str,
    status_port: int = 9108,
    *,
    role: Role = Role.ABSORB,
    metering: Metering = Metering.NET,
    period_s: float = 1.0,
    modbus: Mapping[int, tuple[str, int]] | None = None,
) -> Path:
    """Write the configuration and, on first use, what is made when a site is commissioned.

    Args:
        modbus: by slot, the slaves that are Modbus devices on loopback: profile and port.
    """
    begin_state(folder)
    (folder / "totals.json").unlink(missing_ok=True)  # the simulated day begins anew
    text = _CONFIG.format(
        role=role.value,
        metering=metering.value,
        period="" if period_s == 1.0 else f"period_s = {period_s}\n",
        meter_port=meter_port,
        radio_path=radio_path,
        status_port=status_port,
        airtime=_airtime(slaves),
    )
    config = folder / CONFIG_FILE
    devices = modbus or {}
    sections = [_section(slave, devices.get(slave.slot)) for slave in slaves]
    config.write_text(text + "".join(sections))
    return config


def _section(slave: Slave, modbus: tuple[str, int] | None) -> str:
    """A slave as its label tells it; what it has by default is left out."""
    phases = "all" if slave.is_three_phase else slave.phase_name
    text = _SLAVE.format(name=slave.name, slot=slave.slot, phases=phases, max_w=slave.max_w)
    usual = Slave(slave.slot, slave.name, slave.phase, slave.max_w)
    for key in ("min_w", "levels_w", "min_on_s", "min_off_s", "priority"):
        value = getattr(slave, key)
        if value != getattr(usual, key):
            text += f"{key} = {list(value) if key == 'levels_w' else value}\n"
    if slave.driver.startswith("zigbee-"):
        text += f'driver = "{slave.driver}"\nunproven_dead_man = "accepted"  # simulated: nothing can burn\n'
        text += f'[slaves.zigbee]\nieee = "{ieee_of(slave.slot)[::-1].hex(":")}"\n'
    if modbus is not None:
        profile, port = modbus
        text += 'driver = "modbus"\nunproven_dead_man = "accepted"  # simulated: nothing can burn\n'
        text += f'[slaves.modbus]\nprofile = "{profile}"\nhost = "127.0.0.1"\nport = {port}\n'
    return text


def _airtime(slaves: Sequence[Slave]) -> str:
    """Nothing while one frame carries all setpoints; else the slower pace that the air allows."""
    frames = frames_for([slave.slot for slave in slaves])
    if frames <= 1:
        return ""
    pace = airtime_for(frames)
    ttl_s = pace.pop("ttl_s")
    return f"ttl_s = {ttl_s}\n[radio.airtime]\n" + "".join(
        f"{key} = {value}\n" for key, value in pace.items()
    )
