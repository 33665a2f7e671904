"""The command line. Commands are imported when they are used, so that help stays quick."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread
from types import ModuleType


@contextmanager
def _plain_interrupts() -> Iterator[None]:
    """Ctrl-C ends the process without a word: raised inside an import, it would leave a traceback."""
    is_main = current_thread() is main_thread()  # nobody else may set what a signal does
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


with _plain_interrupts():
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # to a daemon it means its configuration, never its end
    import click

COMMANDS = {
    "run": "Control the site; without --config the embedded one.",
    "plant": "Start the far end alone: virtual meter, coordinator, slaves.",
    "simulate": "Run a controller on a trace in accelerated time.",
    "replay": "Decide a journal again and compare.",
    "report": "Tell what the site did: energy, money, who acted, policy against PI.",
    "check": "Walk the checklist before the daemon starts.",
    "status": "Show what a running daemon is doing.",
    "ack": "Acknowledge what keeps a running daemon stopped.",
    "commission": "Switch slaves and measure how they answer.",
    "slaves": "Show every slave, and what was measured of it.",
    "calibrate": "Fit the anomaly detector to the site's own journals.",
    "model": "Look after policy bundles: verify, sign, install, list, activate, rollback.",
    "meter": "Look after the meter: profiles, probe, read.",
    "zigbee": "Look after the radio network: key, form, permit, drill, devices, backup.",
}
"""Every command and its sentence in the help; module `daemon.commands.NAME` holds the command NAME."""
TRAINING_COMMANDS = {
    "dataset": "Make a training set from journals, logs or simulated days.",
    "train": "Train a policy and write it as a bundle.",
    "export": "Make a verified bundle of a trained run.",
    "tune": "Retune the PI controller or the predictive law for a site.",
    "evaluate": "Judge a bundle on measured days, beside the PI.",
    "retrain": "Fine-tune the policy on a site's journals, and judge it.",
}
"""Commands of the training side: module `training.commands.NAME`, looked for when it is asked for."""

EX_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [*COMMANDS, *TRAINING_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in (*COMMANDS, *TRAINING_COMMANDS):
            return None
        with _plain_interrupts():
            if cmd_name in TRAINING_COMMANDS:
                module = _training_side(cmd_name)
            else:
                module = import_module(f"daemon.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Commands of the training side"):
            formatter.write_dl(list(TRAINING_COMMANDS.items()))


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code. No traceback reaches the terminal.

    0 done, 1 done and the answer is no (nobody joined, a slave is silent), 2 usage or input, 70 a fault of
    the program (with the path of a report), 78 configuration, 130 interrupted.
    """
    try:
        code = sunkeep.main(
            args=None if arguments is None else list(arguments), prog_name="sunkeep", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EX_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, for example `head`
        sys.stdout = None
        return 0
    except Exception as error:  # noqa: BLE001 - the last frame before the user
        from daemon.cli.errors import explain  # noqa: PLC0415 - help stays quick

        return explain(error)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
