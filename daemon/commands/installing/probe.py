"""`sunkeep meter probe`: which known meter answers, for installers."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from daemon.cli.options import json_option
from daemon.config.sections import P1Transport, SmlTransport
from daemon.config.settings import load_settings
from daemon.errors import EX_CONFIG, InputError
from drivers.errors import ConfigError, Transient
from drivers.meters.dsmr import DSMR_BAUDRATE, Dsmr
from drivers.meters.modbus_transport import Rtu, Tcp, Transport
from drivers.meters.probe import ProbeResult, Silence, best, where
from drivers.meters.probe import probe as tried
from drivers.meters.profile import Profile, load_profile, profile_names
from drivers.meters.sml import Sml
from drivers.meters.telegram_meter import PushMeter
from drivers.meters.telegram_parser import TelegramParser

BAUDRATES = (9600, 19200, 38400, 115200)
"""Those that meters leave their makers with, the most common first."""
PARITIES = ("N", "E")
SERIAL_DEVICES = range(1, 248)
"""Modbus over serial line 1.02, 2.2."""
LISTEN_S = 5.0
"""Longer than three telegrams of any meter that is fast enough to control by."""
PUSHED: tuple[tuple[str, Callable[[], TelegramParser], int], ...] = (
    ("sml", Sml, 9600),
    ("p1", Dsmr, DSMR_BAUDRATE),
)
"""What is listened for on a serial port before anything is sent: type, language, baudrate."""
ADVICE = (
    "Check the address, the device id, the cable (A and B may be swapped), the power of the meter, and that "
    "no other program asks it."
)
CHECK_SIGN = "Check the sign next (`sunkeep meter read`, switch a kettle on)."


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Probe where this configuration says.")
@click.option("--host", help="Modbus TCP: address of the meter or gateway.")
@click.option("--port", type=click.IntRange(1, 65535), default=502, show_default=True, help="With --host.")
@click.option("--serial", help="Modbus RTU: path of the serial port.")
@click.option(
    "--baudrate",
    "baudrates",
    type=click.Choice((1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)),
    multiple=True,
    default=BAUDRATES,
    show_default=True,
    help="With --serial; may be repeated.",
)
@click.option(
    "--parity",
    "parities",
    type=click.Choice(["N", "E", "O"]),
    multiple=True,
    default=PARITIES,
    show_default=True,
    help="With --serial; may be repeated.",
)
@click.option(
    "--device-id",
    "device_ids",
    type=click.IntRange(0, 255),
    multiple=True,
    default=(1,),
    show_default=True,
    help="May be repeated.",
)
@json_option()
def probe(as_json: bool, **options: Any) -> int:
    """Find out which known meter answers, and print the lines for the configuration.

    Tries every profile at the first setting where anybody answers. Only reads; takes seconds over TCP, about
    a minute per device id on a serial line where nobody answers. A serial port is first listened to for ten
    seconds: an optical head (SML) or a P1 port sends by itself, and is asked nothing. Exits 78 when nothing
    fits. The sign of the power is not found this way.
    """
    transports = _transports(**options)
    if options["serial"] is not None and not Path(str(options["serial"])).exists():
        raise ConfigError(
            f"{options['serial']} is not there. Plug it in, and look into /dev/serial/by-id for its name."
        )
    if options["serial"] is not None and (heard := _listened(str(options["serial"]), as_json)) is not None:
        return heard
    profiles = {name: load_profile(name) for name in profile_names()}
    if as_json:
        trials, silences = asyncio.run(_tried(transports, profiles, None))
        click.echo(json.dumps(_facts(trials, silences, profiles)))
    else:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            trials, silences = asyncio.run(_tried(transports, profiles, progress))
        click.echo("\n".join(_words(trials, silences, profiles)))
    return 0 if best(trials) else EX_CONFIG


def find_meter(host: str | None, port: int, serial: str | None, device_id: int) -> list[str] | None:
    """The lines of the configuration for the meter at a place; None when none that is known answers.

    Raises:
        ConfigError: the serial port is not there.
    """
    if serial is not None:
        if not Path(serial).exists():
            raise ConfigError(
                f"{serial} is not there. Plug it in, and look into /dev/serial/by-id for its name."
            )
        heard = asyncio.run(_heard(serial))
        if heard is not None:
            kind, problem = heard
            return (
                None if problem else ["[meter.transport]", f'type = "{kind}"', f"path = {json.dumps(serial)}"]
            )
    transports = _transports(None, host, port, serial, BAUDRATES, PARITIES, (device_id,))
    profiles = {name: load_profile(name) for name in profile_names()}
    trials, _ = asyncio.run(_tried(transports, profiles, None))
    found = best(trials)
    return _lines(found[0]) if found else None


def _transports(
    config: Path | None,
    host: str | None,
    port: int,
    serial: str | None,
    baudrates: tuple[int, ...],
    parities: tuple[str, ...],
    device_ids: tuple[int, ...],
) -> list[Transport]:
    """Every setting to try, in order."""
    if sum(option is not None for option in (config, host, serial)) != 1:
        raise click.UsageError("Give one of --config, --host and --serial.")
    if config is not None:
        wire = load_settings(config, key=False).meter.transport
        if isinstance(wire, P1Transport | SmlTransport):
            raise InputError(
                "A meter at a P1 port or an optical head sends by itself: there is nothing to probe. "
                "`sunkeep meter read` shows what it says."
            )
        if wire.type == "tcp":
            return [Tcp(wire.host, wire.port, wire.device_id)]
        return [Rtu(wire.path, wire.baudrate, wire.parity, wire.stopbits, wire.device_id)]
    if host is not None:
        return [Tcp(host, port, device_id) for device_id in device_ids]
    if not set(device_ids) <= set(SERIAL_DEVICES):
        raise click.UsageError("On a serial line --device-id is 1 to 247.")
    return [
        Rtu(str(serial), baudrate, parity, 1, device_id)
        for device_id in device_ids
        for baudrate in baudrates
        for parity in parities
    ]


async def _tried(
    transports: list[Transport], profiles: dict[str, Profile], progress: Progress | None
) -> tuple[list[ProbeResult], list[Silence]]:
    trials: list[ProbeResult] = []
    silences: list[Silence] = []
    bar = None if progress is None else progress.add_task(where(transports[0]), total=len(transports))
    async for outcome in tried(transports, profiles, time.monotonic):
        if isinstance(outcome, Silence):
            silences.append(outcome)
        else:
            trials.append(outcome)
        if progress is not None and bar is not None:
            at = outcome.transport if trials else transports[min(len(silences), len(transports) - 1)]
            total = len(silences) + len(profiles) if trials else len(transports)
            done = len(silences) + len(trials)
            progress.update(bar, description=where(at), completed=done, total=total)
    return trials, silences


def _listened(path: str, as_json: bool) -> int | None:
    """Tell of a meter that sends by itself; returns the exit status, None when nobody sends."""
    if not as_json:
        click.echo(f"{path}: listening for a meter that sends by itself ...", err=True)
    heard = asyncio.run(_heard(path))
    if heard is None:
        return None
    kind, problem = heard
    lines = None if problem else ["[meter.transport]", f'type = "{kind}"', f"path = {json.dumps(path)}"]
    if as_json:
        facts = {"best": [], "configuration": lines, "silent": [], "trials": []}
        click.echo(json.dumps(facts | {"pushes": kind, "problem": problem or None}))
    elif lines is None:
        click.echo(f"A meter sends {kind.upper()} telegrams by itself, but cannot serve. {problem}.")
    else:
        found = f"{path}: a meter sends {kind.upper()} telegrams by itself, with the power of each phase."
        click.echo("\n".join([found, CHECK_SIGN, "", *lines]))
    return EX_CONFIG if problem else 0


async def _heard(path: str) -> tuple[str, str] | None:
    """The type of the meter that sends at this port, and why it cannot serve (empty: it can)."""
    for kind, language, baudrate in PUSHED:
        meter = PushMeter(path, language(), baudrate, clock=time.monotonic)
        try:
            async with asyncio.timeout(LISTEN_S):
                await meter.start()
        except (TimeoutError, Transient):
            continue
        except ConfigError as error:
            return kind, str(error)
        finally:
            await meter.stop()
        return kind, ""
    return None


def _facts(
    trials: list[ProbeResult], silences: list[Silence], profiles: dict[str, Profile]
) -> dict[str, Any]:
    found = best(trials)
    return {
        "best": [trial.profile for trial in found],
        "configuration": _lines(found[0]) if found else None,
        "silent": [{"where": where(s.transport), "reason": s.reason} for s in silences],
        "trials": [
            {
                "profile": trial.profile,
                "title": profiles[trial.profile].title,
                "where": where(trial.transport),
                "fits": trial.fits,
                "score": trial.score,
                "for": trial.speaks_for,
                "against": trial.speaks_against,
                "reading": None if trial.reading is None else asdict(trial.reading),
            }
            for trial in trials
        ],
    }


def _words(trials: list[ProbeResult], silences: list[Silence], profiles: dict[str, Profile]) -> list[str]:
    lines = [f"{where(silence.transport)}: {silence.reason}" for silence in silences]
    if not trials:
        return [*lines, "", f"Nobody answers. {ADVICE}"]
    lines += [f"{where(trials[0].transport)}: somebody answers.", ""]
    for trial in sorted(trials, key=lambda trial: (not trial.fits, -trial.score)):
        said = ", ".join(trial.speaks_for) if trial.fits else "; ".join(trial.speaks_against)
        lines.append(f"  {trial.profile:<14} {'fits  ' if trial.fits else 'no    '} {said}")
    found = best(trials)
    if not found:
        advice = "It may be a meter that Sunkeep does not know: a profile is a small TOML file."
        return [*lines, "", f"No known profile fits. {advice}"]
    first = found[0].profile
    lines += ["", f"Best match: {first} ({profiles[first].title})."]
    if len(found) > 1:
        others = ", ".join(f"{trial.profile} ({profiles[trial.profile].title})" for trial in found[1:])
        lines.append(f"Fits as well: {others}. Choose the one that is printed on the meter.")
    return [*lines, CHECK_SIGN, "", *_lines(found[0])]


def _lines(trial: ProbeResult) -> list[str]:
    """The section of the configuration."""
    wire = trial.transport
    lines = ["[meter]", f'profile = "{trial.profile}"', "[meter.transport]"]
    if isinstance(wire, Tcp):
        lines += ['type = "tcp"', f"host = {json.dumps(wire.host)}", f"port = {wire.port}"]
    else:
        lines += ['type = "rtu"', f"path = {json.dumps(wire.path)}", f"baudrate = {wire.baudrate}"]
        lines += [f'parity = "{wire.parity}"', f"stopbits = {wire.stopbits}"]
    return [*lines, f"device_id = {wire.device_id}"]
