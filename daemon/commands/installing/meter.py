"""`sunkeep meter`: the meter at the grid connection point."""

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from core.site import PHASE_NAMES
from daemon.cli.options import json_option, required_config
from daemon.commands.installing.probe import probe
from daemon.config.settings import Settings, load_settings
from daemon.runtime.devices import open_meter
from drivers.meters.profile import load_profile, profile_names
from drivers.ports import Reading


@click.group()
def meter() -> None:
    """Look after the meter."""


meter.add_command(probe)


@meter.command()
@json_option()
def profiles(as_json: bool) -> None:
    """List the meters that Sunkeep knows."""
    titles = {name: load_profile(name).title for name in profile_names()}
    if as_json:
        click.echo(json.dumps(titles))
        return
    for name, title in titles.items():
        click.echo(f"{name:<14} {title}")


@meter.command()
@required_config
@click.option("--samples", type=click.IntRange(1, 100_000), default=1, show_default=True)
@json_option("One JSON object per sample.")
def read(config: Path, samples: int, as_json: bool) -> None:
    """Read the configured meter and show what it says. Writes nothing to it."""
    asyncio.run(_read(load_settings(config, key=False), samples, as_json))


async def _read(settings: Settings, samples: int, as_json: bool) -> None:
    async with open_meter(settings, time.monotonic) as device:
        for index in range(samples):
            if index:
                await asyncio.sleep(settings.site.period_s)
            reading = await device.read()
            click.echo(json.dumps(asdict(reading)) if as_json else _words(reading))


def _words(reading: Reading) -> str:
    phases = "  ".join(
        f"{name} {power_w:+8.1f} W" for name, power_w in zip(PHASE_NAMES, reading.grid_power_w, strict=True)
    )
    direction = "import" if reading.total_power_w >= 0.0 else "export"
    line = f"{phases}   total {reading.total_power_w:+8.1f} W ({direction})"
    if reading.voltage_v is not None:
        line += "   " + " ".join(f"{voltage_v:.1f}" for voltage_v in reading.voltage_v) + " V"
    return line
