"""Requests of operators to the running daemon, as commands put them."""

from pathlib import Path
from typing import Any

from daemon.errors import InputError
from daemon.operators.operator_socket import SOCKET_FILE, ask

TIMEOUT_S = 60.0
"""The longest period is 10 s, and an acknowledgement may take four."""


def put_request(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The daemon's answer.

    Raises:
        InputError: nobody answers, or the daemon refuses; the text says what to do.
    """
    file = directory / SOCKET_FILE
    try:
        answer = ask(directory, request, TIMEOUT_S)
    except PermissionError:
        raise InputError(f"{file} belongs to another user. Run this as the daemon's user.") from None
    except TimeoutError:
        raise InputError(f"The daemon at {file} does not answer. Look at its log.") from None
    except OSError as error:
        raise InputError(
            f"No daemon listens at {file} ({error.strerror}). Latched causes are kept in the state directory "
            "and can be acknowledged when it runs: start it with `sunkeep run`, or name its --config."
        ) from None
    except ValueError:
        raise InputError(f"What answers at {file} is not a daemon of this version.") from None
    if "refused" in answer:
        raise InputError(f"Refused: {answer['refused']}")
    return answer
