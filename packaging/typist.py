"""Somebody who types what the pages say, before hardware that is simulated."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Sequence

from booted import Container, TrialError, say

NOT_TYPED = {
    'make deb ARGS="--suite trixie --arch arm64"': "it is built before, on the machine of the sources",
    "python packaging/release.py verify DIR --trusted ed25519:...": "needs the sources; a test runs it",
    "useradd --system --home /var/lib/sunkeep --groups dialout sunkeep": "the package is installed instead",
    "git clone REPOSITORY /opt/sunkeep && cd /opt/sunkeep && make setup": "the package is installed instead",
    "ln -s /opt/sunkeep/.venv/bin/sunkeep /usr/local/bin/": "the package is installed instead",
    "install -d -o root -g sunkeep -m 750 /etc/sunkeep": "the package is installed instead",
    "install -o root -g sunkeep -m 640 docs/sunkeep.example.toml /etc/sunkeep/sunkeep.toml": "the package is "
    "installed instead",
    "cp systemd/*.service systemd/*.path /etc/systemd/system/": "the package is installed instead",
}
"""Lines of the pages that nobody types here."""
STICK = "/dev/serial/by-id/usb-..."
"""The name of the stick on the pages, and here."""
NEW_STICK = "/dev/serial/by-id/usb-NEW_STICK"
METER = "192.168.1.20"
CONFIG = "/etc/sunkeep/sunkeep.toml"
BLANK = f"""
systemctl stop plant wires 2>/dev/null; systemctl reset-failed plant wires 2>/dev/null
mkdir -p /srv/plant; rm -f /srv/plant/*
[ ! -e "$KEY" ] || cp "$KEY" /srv/plant/site.key
systemd-run --quiet --unit=plant -p WorkingDirectory=/srv/plant -p Environment=HOME=/srv/plant \\
  /srv/far-end/bin/python -IB -m daemon plant --uncommissioned --slaves 2 --write-config /srv/plant
systemd-run --quiet --unit=wires python3 -I /srv/far_end_wires.py $NAME {METER}
for i in $(seq 60); do [ -e /srv/plant/site.toml ] && [ -e $NAME ] && break; sleep 1; done
"""
"""A blank stick and slaves that have joined nothing. They know the key in $KEY, else one of their own."""
Answer = tuple[str, str | Callable[[], str]]
"""What is asked, and what is typed then."""


class Person:
    """Somebody who types what the pages say.

    Args:
        box: the machine.
        architecture: as in the package's name; the pages say arm64.
    """

    def __init__(self, box: Container, architecture: str) -> None:
        self.box, self.architecture = box, architecture

    def types(
        self, line: str, answers: Sequence[Answer] = (), *, wanted: str = "", limit_s: float = 120.0
    ) -> str:
        """Type one line into a terminal, answer what is asked, and return what was shown.

        Raises:
            TrialError: it did not end well or in time, or did not say what is wanted.
        """
        begun_s = time.monotonic()
        real = line.replace("_arm64.deb", f"_{self.architecture}.deb")
        code, shown = terminal(self.box, real, list(answers), limit_s)
        if code or wanted not in shown:
            raise TrialError(f"{line!r} ended with {code}; wanted {wanted!r}: {shown[-3000:]}")
        say(f"$ {line[:90]}", f"{time.monotonic() - begun_s:.0f} s")
        return shown

    def blank(self, name: str = STICK, key: str = "/absent") -> None:
        """Other hardware: a stick without a network, slaves without one."""
        self.box.must(f"NAME={name}; KEY={key}; {BLANK}")


def terminal(box: Container, line: str, answers: list[Answer], limit_s: float) -> tuple[int, str]:
    """Exit status and text of a line in a terminal of its own."""
    near, far = pty.openpty()
    inside = [
        "env",
        "HOME=/srv/home",
        "TERM=dumb",
        "COLUMNS=200",
        "LANG=C.UTF-8",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    command = ["setsid", "--ctty", "--wait", *box.enter(), *inside, "bash", "-c", f"cd; {line}"]
    process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far)
    os.close(far)
    shown, seen, end_s = "", 0, time.monotonic() + limit_s
    try:
        while True:
            if time.monotonic() > end_s:
                raise TrialError(f"{line!r} did not end within {limit_s:.0f} s: {shown[-2000:]}")
            if not select.select([near], [], [], 1.0)[0]:
                continue
            try:
                data = os.read(near, 4096)
            except OSError:  # the far end is closed
                data = b""
            if not data:
                return process.wait(10), shown
            shown += data.decode(errors="replace").replace("\r", "")
            if answers and (at := shown.find(answers[0][0], seen)) >= 0:
                seen = at + len(answers[0][0])
                answer = answers.pop(0)[1]
                os.write(near, f"{answer if isinstance(answer, str) else answer()}\n".encode())
    finally:
        process.kill()
        process.wait()
        os.close(near)
