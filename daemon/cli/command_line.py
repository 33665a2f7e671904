"""The group of all commands. They are imported when they are used, so that help stays quick."""

from importlib import import_module
from types import ModuleType

import click

from daemon.cli.interrupts import plain_interrupts

DAILY = {
    "run": "Control the site; without --config the embedded one.",
    "status": "Show what a running daemon is doing.",
    "report": "Tell what the site did: energy, money, who acted, policy against PI.",
    "history": "Look after the history of minutes, hours and days: fill, backup, check.",
    "gateway": "Carry the status of a running daemon to phones, MQTT, Home Assistant and the owner.",
    "pause": "Let every device rest for a while.",
    "resume": "End a pause.",
    "boost": "Give one device power although there is no surplus.",
    "holiday": "Let devices rest while nobody is at home.",
    "priorities": "Say which devices are served first.",
    "rollout": "Look after the plan from shadow to production: status, advance, hold, back.",
    "ack": "Acknowledge what keeps a running daemon stopped.",
}
INSTALLING = {
    "setup": "Set a site up: meter, stick, slaves, network, measuring, start.",
    "check": "Walk the checklist before the daemon starts.",
    "meter": "Look after the meter: profiles, probe, read.",
    "zigbee": "Look after the radio network: key, form, permit, drill, devices, backup.",
    "commission": "Switch slaves and measure how they answer.",
    "slaves": "Show every slave, and what was measured of it.",
    "backup": "Write everything a new computer needs into one encrypted file.",
    "restore": "Lay a site down from its backup.",
}
ENGINEERING = {
    "plant": "Start the far end alone: virtual meter, coordinator, slaves.",
    "simulate": "Run a controller on a trace in accelerated time.",
    "replay": "Decide a journal again and compare.",
    "calibrate": "Fit the anomaly detector to the site's own journals.",
    "model": "Look after policy bundles: verify, sign, install, list, activate, rollback.",
}
COMMANDS = DAILY | INSTALLING | ENGINEERING
"""Every command of the daemon and its sentence in the help."""
TRAINING_COMMANDS = {
    "dataset": "Make a training set from journals, logs or simulated days.",
    "train": "Train a policy and write it as a bundle.",
    "export": "Make a verified bundle of a trained run.",
    "tune": "Retune the PI controller or the predictive law for a site.",
    "evaluate": "Judge a bundle on measured days, beside the PI.",
    "retrain": "Fine-tune the policy on a site's journals, and judge it.",
}
"""Commands of the training side: module `training.commands.NAME`, looked for when it is asked for."""

SECTIONS = {"Every day": DAILY, "Installing": INSTALLING, "Engineering": ENGINEERING}
"""Of the help."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [*COMMANDS, *TRAINING_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in (*COMMANDS, *TRAINING_COMMANDS):
            return None
        with plain_interrupts():
            if cmd_name in TRAINING_COMMANDS:
                module = _training_side(cmd_name)
            else:
                module = import_module(f"{_package_of(cmd_name)}.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help from the table alone."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))
        with formatter.section("Training"):
            formatter.write_dl(list(TRAINING_COMMANDS.items()))


def _package_of(name: str) -> str:
    """Where the module of a command lies."""
    if name in INSTALLING:
        return "daemon.commands.installing"
    return "daemon.commands.engineering" if name in ENGINEERING else "daemon.commands"


def _training_side(name: str) -> ModuleType:
    """The module of a training command, which no installation of the daemon needs to have."""
    try:
        return import_module(f"training.commands.{name}")
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"`sunkeep {name}` belongs to the training side, and {error.name} is not installed here. "
            "In a checkout of the sources: pip install -e '.[train]'"
        ) from None


@click.command(
    cls=LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="sunkeep", prog_name="sunkeep")
def sunkeep() -> None:
    """Sunkeep keeps a site's solar power at home."""
