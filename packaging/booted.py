"""A clean Debian, booted with its own systemd, to try a package in.

Needs root, debootstrap and systemd-nspawn.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / "build" / "roots"
INSIDE = "PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive"
BOOT = """
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup || exit 1
mkdir -p /sys/fs/cgroup/{name}
echo $$ > /sys/fs/cgroup/{name}/cgroup.procs
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --directory={root} --boot --register=no --keep-unit --private-network \\
  --console=passive --machine={name}
"""
"""The hierarchy of control groups that systemd wants, in a mount namespace of its own."""
NOW = "python3 -I /opt/sunkeep/.venv/libexec/trial --now"


class TrialError(Exception):
    """Something is not as it should be."""


class Container:
    """A root file system, booted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        name = root.parent.name.replace("_", "-")
        script = BOOT.format(root=root, name=name)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(
            "it boots",
            lambda: self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"),
        )

    def _leader(self) -> str:
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return children[0] if children else "0"

    def enter(self) -> list[str]:
        """What a command has to begin with to run inside."""
        spaces = [f"--{name}" for name in ("mount", "uts", "ipc", "net", "pid", "cgroup")]
        return ["nsenter", "--target", self._leader(), *spaces, "--"]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script inside."""
        command = [*self.enter(), "/usr/bin/env", "-i", *INSIDE.split(), "bash", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def address(self, address: str) -> None:
        """Give its loopback one more address, for something that stands elsewhere in the house."""
        command = ["nsenter", "--target", self._leader(), "--net", "--", "ip", "address", "add", address]
        subprocess.run([*command, "dev", "lo"], check=True)

    def must(self, script: str) -> str:
        """Run a script that has to succeed, and return what it said."""
        done = self.run(script)
        if done.returncode:
            raise TrialError(
                f"{script!r} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
            )
        return done.stdout

    def stop(self) -> None:
        """End it; nspawn ends everything inside."""
        self.run("systemctl poweroff --force")
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def until(what: str, holds: Callable[[], bool], limit_s: float = 240.0) -> float:
    """Wait for something, and return how long it took."""
    begun_s = time.monotonic()
    while not holds():
        if time.monotonic() - begun_s > limit_s:
            raise TrialError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(1.0)
    return time.monotonic() - begun_s


def say(step: str, found: str = "") -> None:
    """One line of the record."""
    print(f"{time.strftime('%H:%M:%S')}  {step:<58} {found}", flush=True)  # noqa: T201


def clean_root(suite: str) -> Path:
    """A minimal Debian, made once."""
    root = CACHE / suite
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        include = "--include=python3,systemd-sysv,dbus,udev,sudo"
        passing = CACHE / f"{suite}.new"
        shutil.rmtree(passing, ignore_errors=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, suite, passing], check=True, stdout=sys.stderr
        )
        passing.rename(root)
    return root


def expect(container: Container, script: str, wanted: str) -> str:
    """The script's output holds the words."""
    found = container.must(script)
    if wanted not in found:
        raise TrialError(f"{script!r}: {wanted!r} is not in {found[-2000:]!r}")
    return found.strip()
