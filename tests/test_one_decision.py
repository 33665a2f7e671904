"""There is one decision function, and live control, simulation and replay go through it alike."""

import ast
from pathlib import Path
from typing import Any

import pytest

import daemon.runtime.loop
import daemon.simulation.replay
import daemon.simulation.simulate
from core.decision import Decision
from core.parts import initial_memory
from core.tick import decide
from daemon.config.settings import parse_settings
from daemon.journal.records import Start, Tick
from daemon.runtime.assembly import assemble_from
from daemon.runtime.journal_completion import read_whole
from safety.timers import from_record
from tests.support.full_daemon import until, whole

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "safety", "models", "drivers", "plant", "daemon", "training")
READS_THE_ENVIRONMENT = {
    "models/__init__.py",
    "daemon/system/log.py",
    "daemon/system/sd_notify.py",
    "daemon/monitoring/terminal.py",
}
"""Telemetry off before the import; where systemd and the terminal listen; the home folder."""
SHELL = {
    "daemon/runtime/state_directory.py",
    "daemon/monitoring/nonblocking_tty.py",
    "daemon/cli/errors.py",
    "daemon/cli/crash_report.py",
}


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_nobody_else_defines_a_decision() -> None:
    found = [
        str(file.relative_to(ROOT))
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "decide"
    ]
    assert found == ["core/tick.py"]
    for shell in (daemon.runtime.loop, daemon.simulation.replay, daemon.simulation.simulate):
        assert vars(shell)["decide"] is decide


def test_no_environment_variable_changes_a_decision() -> None:
    """Only the outermost shell looks at the environment, and never for control."""
    found = {
        str(file.relative_to(ROOT))
        for file in sources()
        if not str(file.relative_to(ROOT)).startswith("training/")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert found <= READS_THE_ENVIRONMENT | SHELL


async def test_what_was_decided_live_is_decided_again_with_equal_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived: list[tuple[tuple[Any, ...], Decision]] = []

    def noted(*arguments: Any) -> Any:
        decision, memory = decide(*arguments)
        lived.append((arguments, decision))
        return decision, memory

    monkeypatch.setattr(daemon.runtime.loop, "decide", noted)
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 500.0, 20.0)
        await pair.stop()

    records = list(read_whole(tmp_path / "journal"))
    (start,) = (record for record in records if isinstance(record, Start))
    ticks = [record for record in records if isinstance(record, Tick)]
    assert [tick.snapshot for tick in ticks] == [arguments[0] for arguments, _ in lived]
    assert [tick.decision for tick in ticks] == [decision for _, decision in lived]

    settings = parse_settings(start.settings_toml, Path(start.settings_path))
    parts = assemble_from(settings, standing=from_record(start.standing)).parts
    memory = initial_memory(parts)
    for tick in ticks:
        decision, memory = decide(tick.snapshot, tick.authority, memory, parts)
        assert decision == tick.decision
