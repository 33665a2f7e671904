"""The command line's way in and out: interrupts, exit codes, and no traceback."""

import signal
import sys
from collections.abc import Sequence

from daemon.cli.interrupts import plain_interrupts

with plain_interrupts():
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # to a daemon it means its configuration, never its end
    import click

    from daemon.cli.command_line import sunkeep

EX_INTERRUPTED = 130


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
