"""`sunkeep zigbee permit`: let one device join."""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import json_option, required_config
from daemon.cli.signals import run_and_close
from daemon.config.settings import load_settings
from daemon.runtime.devices import zigbee_settings
from daemon.runtime.state_directory import hold_state
from daemon.system.log import start_log
from drivers.zigbee.joining import SECONDS_MAX, Joined, JoinEvent, parse_ieee, parse_install_code, permit_join

EX_NOT_JOINED = 1


class Ieee(click.ParamType[str]):
    """An IEEE address in any usual spelling."""

    name = "IEEE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address with colons, in lower case."""
        try:
            return parse_ieee(str(value))
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx, param) from None


class InstallCode(click.ParamType[bytes]):
    """The code on the label of a device, with its checksum."""

    name = "CODE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """16 bytes and the checksum."""
        if isinstance(value, bytes):
            return value
        try:
            return parse_install_code(str(value))
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx, param) from None


@dataclass(slots=True)
class Telling:
    """Shows each step as it happens, and remembers what to advise at the end."""

    as_json: bool
    asked: bool = False
    strangers: set[str] = field(default_factory=set)

    def __call__(self, event: JoinEvent) -> None:
        """One step."""
        self.asked |= event.kind == "asked"
        if event.kind == "refused":
            if event.ieee in self.strangers:
                return  # it keeps trying
            self.strangers.add(event.ieee)
        if self.as_json:
            click.echo(json.dumps(asdict(event)))
        else:
            color = {"joined": "green", "silent": "red", "not_closed": "red"}.get(event.kind)
            click.echo(f"{event.ieee}  {click.style(event.text, fg=color)}")

    def advice(self, seconds: int) -> str:
        """What to try when nobody joined."""
        if self.asked:
            return (
                "It asked to join, but never answered: this is the install code of another device, most "
                "likely, or the link is too weak. Compare both with the label, move it closer, try again."
            )
        words = (
            f"It did not ask to join within {seconds} s. Is it powered, within reach, and in its pairing "
            "mode (a device that was in another network wants a reset to factory settings first)?"
        )
        others = f" Refused were: {', '.join(sorted(self.strangers))}." if self.strangers else ""
        return f"{words} Is the address the one on its label?{others}"


@click.command()
@required_config
@click.option("--device", type=Ieee(), prompt="IEEE address", help="Address of the device, on its label.")
@click.option(
    "--install-code",
    type=InstallCode(),
    prompt="Install code",
    help="Code on its label, 36 digits; spaces, dashes and colons do not matter.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, SECONDS_MAX),
    default=60,
    show_default=True,
    help="Open for this long at most.",
)
@json_option("One JSON object per step, then the result.")
def permit(config: Path, device: str, install_code: bytes, seconds: int, as_json: bool) -> int:
    """Let one device join, with its install code.

    Asks for what is not given, so that the code need not stay in the history of a shell. The daemon must be
    stopped. The network is closed again when the device has joined, when the time is over and when the
    command is interrupted. Exits 1 when the device has not joined. There is no way to let devices join
    without a code: whoever listens would learn the network key.
    """
    settings = load_settings(config, key=False)
    start_log(level=logging.WARNING)
    telling = Telling(as_json)
    with hold_state(settings.state.directory):
        joined = run_and_close(permit_join(zigbee_settings(settings), device, install_code, seconds, telling))
    if as_json:
        facts = {"joined": joined is not None, "device": None if joined is None else asdict(joined)}
        click.echo(json.dumps(facts))
    elif joined is None:
        click.echo(f"Not joined. {telling.advice(seconds)}")
    else:
        click.echo("\n".join(remarks(joined)))
    return 0 if joined is not None else EX_NOT_JOINED


def remarks(joined: Joined) -> list[str]:
    """What an installer has to know about the device that has joined."""
    if not joined.is_slave:
        return ["Joined, but it does not speak the setpoint protocol: no setpoint will move it."]
    if not joined.is_router:
        return ["Joined, but it does not keep its receiver on: it will miss setpoints. Slaves are routers."]
    return ["Joined. `sunkeep zigbee drill` shows whether it answers for its slot."]
