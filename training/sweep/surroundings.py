"""What Ray finds: the environment that it reads when it is imported, and a cluster that answers."""

import logging
import os
import secrets
import socket

ANSWER_S = 5.0
"""Ray itself would wait for minutes."""


class AddressError(ValueError):
    """Nothing of Ray answers there."""


def require_cluster(address: str) -> None:
    """Raise AddressError unless something answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        if "/" in host or not host:
            raise ValueError(address)
        number = int(port)
    except ValueError:
        raise AddressError(f"{address}: give HOST:PORT of the cluster's head, without a scheme") from None
    try:
        socket.create_connection((host, number), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise AddressError(f"{address}: no Ray cluster answers there ({error})") from None


def prepare(address: str | None) -> None:
    """Switch off usage statistics and loggers; on this machine, lock Ray's ports with a token of this sweep.

    Ray's processes listen on all interfaces while they run. A cluster at an `address` has its own token, in
    `RAY_AUTH_TOKEN` or where `ray get-auth-token` put it.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    if address is None:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def in_a_sentence(record: logging.LogRecord) -> bool:
    """A filter for what Ray logs about the copies it makes of its state.

    Ray replaces files while a copy is under way. A copy that misses one is followed at once by the next, so
    nothing is said of it; any other error is told without its traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.msg, record.args = f"{record.getMessage().rstrip(': ')}: {error}", ()
        record.exc_info = record.exc_text = None
    return not isinstance(error, FileNotFoundError)
