"""The service manager's notification protocol, sd_notify(3)."""

import os
import socket
from collections.abc import Mapping

STATUS_CHARS = 200


def notify(message: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell the service manager something, for example ``"READY=1"``.

    Returns False when nobody listens. Never raises and never blocks: a manager that does not read must not
    hold up the loop.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), address)
    except (OSError, ValueError):
        return False
    return True


def ready(status: str) -> bool:
    """Start-up is over: the first tick is done."""
    return notify(f"READY=1\nSTATUS={_one_line(status)}")


def alive() -> bool:
    """Pat the watchdog. Called only at the end of a completed tick."""
    return notify("WATCHDOG=1")


def status(text: str) -> bool:
    """One line for `systemctl status`."""
    return notify(f"STATUS={_one_line(text)}")


def stopping(text: str = "resting") -> bool:
    """The way to rest has begun."""
    return notify(f"STOPPING=1\nSTATUS={_one_line(text)}")


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to pat: half of WatchdogSec, None when no watchdog is kept over this process."""
    try:
        timeout_us = int(environment.get("WATCHDOG_USEC", ""))
        pid = int(environment.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return timeout_us / 2e6 if timeout_us > 0 and pid == os.getpid() else None


def _one_line(text: str) -> str:
    """A line break would be the next assignment of the protocol."""
    return "".join(char if char.isprintable() else " " for char in text)[:STATUS_CHARS]
