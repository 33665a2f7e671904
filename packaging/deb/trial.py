"""Judge a new version by its first good minute, and put the version before back when it does not come.

Runs with the system's Python alone, from the tree of the version before, so that nothing of the new version
takes part in its own judgement. `--now`: exit 0 when the running daemon is good at this moment.
"""

import json
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

BASE = Path("/opt/sunkeep")
CONFIGURATION = Path("/etc/sunkeep/sunkeep.toml")
UNIT = Path("/usr/lib/systemd/system/sunkeep.service")
OVERRIDE = Path("/etc/systemd/system/sunkeep.service")
GOOD_S = 60.0
"""The first good minute: as long as the policy must propose without fault before it may act."""
LIMIT_S = 180.0
"""Two starts of a minute each (TimeoutStartSec), and the good minute."""
CONTROLS = frozenset({"fallback", "pi_fallback", "rl_active"})
"""`pi_fallback` is how version 0.1 calls `fallback`."""
ALLOWED = CONTROLS | {"hold"}
"""A missed sample now and then belongs to every site; it neither counts nor breaks the minute."""
PLACE_USUAL = ("127.0.0.1", 9108)
TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the daemon: what systemd says, and state and freshness as its page tells them.

    `state` is None when the page did not answer.
    """

    at_s: float
    active: str
    process: int
    state: str | None
    is_fresh: bool


@dataclass(slots=True)
class FirstMinute:
    """Whether the good minute has come. `why_not` says what was in its way last."""

    since_s: float | None = None
    process: int = 0
    why_not: str = "it never answered"

    def see(self, seen: Look) -> bool:
        """True once a minute of good observations of one process lies behind."""
        reason = self._bad(seen)
        if reason:
            self.since_s, self.why_not = None, reason
            return False
        if self.since_s is None or seen.process != self.process:
            if seen.state == "hold":
                return False
            self.since_s, self.process = seen.at_s, seen.process
        return seen.at_s - self.since_s >= GOOD_S

    def _bad(self, seen: Look) -> str:
        if seen.active != "active":
            return f"the service is {seen.active}"
        if seen.state is None:
            return "its page does not answer"
        if seen.state not in ALLOWED:
            return f"its state is {seen.state}"
        if not seen.is_fresh:
            return "it does not tick"
        return ""


def look(at_s: float) -> Look:
    """Ask systemd and the status page."""
    command = ["systemctl", "show", "sunkeep.service", "--property=ActiveState,MainPID"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    process = int(told.get("MainPID", "0"))
    return Look(at_s, told.get("ActiveState", "unknown"), process, *_page())


def _page() -> tuple[str | None, bool]:
    """State of the newest tick, and whether that is of now, as the status page tells them."""
    host, port = _place()
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/status.json")
        answer = json.loads(connection.getresponse().read(1_000_000))
        return answer["acting"]["state"], answer["tick_age_s"] <= answer["stale_after_s"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None, False
    finally:
        connection.close()


def _place() -> tuple[str, int]:
    try:
        status = tomllib.loads(CONFIGURATION.read_text(encoding="utf-8")).get("status", {})
        host, port = status.get("host", PLACE_USUAL[0]), status.get("port", PLACE_USUAL[1])
    except (OSError, ValueError, AttributeError):
        return PLACE_USUAL
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where it listens; asked at home
        host = "127.0.0.1"
    return str(host), int(port)


def watch() -> str:
    """Empty when the minute has come, else why the version is to be put back.

    Raises:
        InterruptedError: an operator has stopped the daemon, so there is nothing to judge.
    """
    minute, begun_s = FirstMinute(), time.monotonic()
    while time.monotonic() - begun_s < LIMIT_S:
        seen = look(time.monotonic())
        if seen.active == "inactive":  # a daemon that ends by itself is started again and never inactive
            raise InterruptedError
        if minute.see(seen):
            return ""
        time.sleep(2.0)  # a tick may take up to 10 s by configuration, usually it takes one
    return minute.why_not


def put_back(failed: str, why: str) -> str:
    """Put the version before in force, and return the sentence that tells it."""
    before = (BASE / "previous" / "release").read_text().strip()
    _systemctl("stop", "sunkeep.service")
    passing = BASE / ".venv.new"
    passing.unlink(missing_ok=True)
    passing.symlink_to("previous")
    passing.replace(BASE / ".venv")
    kept = BASE / "previous" / "units" / "sunkeep.service"
    if not OVERRIDE.exists() and kept.read_bytes() != UNIT.read_bytes():
        OVERRIDE.write_text("# by a rollback of Sunkeep; the next update removes it\n" + kept.read_text())
    _systemctl("daemon-reload")
    at = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    said = f"{failed} did not come to its first good minute ({why}). Put back {before} on {at}."
    (BASE / "rolled-back").write_text(said + "\n")
    (BASE / "trial-pending").unlink(missing_ok=True)
    _systemctl("start", "--no-block", "sunkeep.service")
    _systemctl("try-restart", "--no-block", "sunkeep-gateway.service")
    return said


def _systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=False, timeout=60)


def main() -> int:
    """Watch, and act on it."""
    if sys.argv[1:] == ["--now"]:
        seen = look(time.monotonic())
        return 0 if seen.active == "active" and seen.state in ALLOWED else 1
    failed = (BASE / "trial-pending").read_text().strip()
    try:
        why = watch()
    except InterruptedError:
        print(f"{failed} was stopped by hand before its first good minute; it stays, unjudged.")  # noqa: T201
        (BASE / "trial-pending").unlink(missing_ok=True)
        return 0
    if not why:
        (BASE / "trial-pending").unlink(missing_ok=True)
        print(f"{failed} has had its first good minute.")  # noqa: T201
        return 0
    said = put_back(failed, why)
    print(said)  # noqa: T201
    if shutil.which("wall"):
        subprocess.run(["wall", f"Sunkeep: {said}"], check=False, timeout=20)
    return 1


if __name__ == "__main__":
    sys.exit(main())
