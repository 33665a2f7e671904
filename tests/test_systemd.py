"""The units hold what they promise, as systemd itself sees it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[1] / "systemd"
SERVICE = UNITS / "sunkeep.service"

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (apt install systemd)"
)


@analyze
def test_units_are_accepted_without_a_word(tmp_path: Path) -> None:
    """`verify` exits 0 for unknown keys, so any output counts. Our program need not be installed here."""
    names = []
    for unit in sorted(UNITS.glob("sunkeep*.*")):
        if unit.suffix in (".service", ".path"):
            text = unit.read_text().replace("/opt/sunkeep/.venv/bin/python", sys.executable)
            (tmp_path / unit.name).write_text(text)
            names.append(str(tmp_path / unit.name))
    assert len(names) == 5
    done = subprocess.run(
        ["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyze
def test_verify_would_see_a_typo(tmp_path: Path) -> None:
    text = SERVICE.read_text().replace("/opt/sunkeep/.venv/bin/python", sys.executable)
    planted = tmp_path / "sunkeep.service"
    planted.write_text(text.replace("WatchdogSec=", "WatchdgoSec="))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(planted)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "WatchdgoSec" in done.stderr


@analyze
def test_exposure_is_at_most_1_4(tmp_path: Path) -> None:
    def exposure(unit: Path) -> int:
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=14", str(unit)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode

    assert exposure(SERVICE) == 0
    assert exposure(UNITS / "sunkeep-gateway.service") == 0
    bare = tmp_path / "sunkeep.service"
    bare.write_text(
        SERVICE.read_text().replace("CapabilityBoundingSet=\n", "").replace("ProtectSystem=strict", "")
    )
    assert exposure(bare) != 0


def test_what_the_daemon_relies_on() -> None:
    lines = SERVICE.read_text().splitlines()
    for needed in (
        "Type=notify",  # notify-reload is silently another type before systemd 253
        "WatchdogSec=10s",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ProcSubset=all",
        "MemoryMax=300M",
        "ReadOnlyPaths=-/var/lib/sunkeep/models",
    ):
        assert needed in lines
    assert any("ORT_DISABLE_TELEMETRY=1" in line for line in lines)
    (start,) = [line for line in lines if line.startswith("ExecStart=")]
    assert start.endswith(" -IuB -m daemon run --config /etc/sunkeep/sunkeep.toml")
