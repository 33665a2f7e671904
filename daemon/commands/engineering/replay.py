"""`sunkeep replay`: decide a journal again and compare."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from core.parts import Memory, Parts, Watches, initial_memory
from daemon.cli.options import json_option
from daemon.config.settings import Settings, SettingsError, parse_settings
from daemon.errors import InputError
from daemon.journal.artifact_archive import ArtifactArchive
from daemon.journal.reader import read_journal
from daemon.journal.records import AnyRecord, JournalError, PolicyChange, Start, Tick, TickInputs
from daemon.runtime.assembly import (
    Assembled,
    assemble_from,
    configured_bundle,
    known_directories,
    with_policy,
)
from daemon.simulation.replay import Replay
from models.bundle import Bundle, BundleError, load_bundle, read_manifest
from safety.timers import from_record


@dataclass(slots=True)
class ReplayResult:
    """What came of it. `left_out` are ticks of a run whose beginning has been removed."""

    ticks: int = 0
    different: int = 0
    left_out: int = 0
    other_files: list[str] = field(default_factory=list)
    first: dict[str, Any] | None = None


@click.command("replay")
@click.argument("journal", type=click.Path(exists=True, path_type=Path))
@json_option("Print one JSON object.")
def replay(journal: Path, as_json: bool) -> int:
    """Decide every tick of JOURNAL again and compare to the last bit.

    JOURNAL is a directory, or one segment (*.journal, *.journal.gz) that holds its run's start. Exit code 1
    when a decision differs.
    """
    try:
        outcome = _replayed(journal)
    except (JournalError, SettingsError) as error:
        raise InputError(str(error)) from None
    if not outcome.ticks:
        reason = "no tick in it. Let the daemon run for some seconds first."
        if outcome.left_out:
            reason = "the start of its run is not in it. Give the directory with all files."
        raise InputError(f"{journal}: {reason}")
    if as_json:
        click.echo(json.dumps(asdict(outcome), default=str))
    else:
        _tell(outcome)
    return 1 if outcome.different else 0


@dataclass(slots=True)
class _Controllers:
    """The controller of every stretch of the journal, with the very bundle that decided then."""

    outcome: ReplayResult
    archive: ArtifactArchive
    _settings: Settings | None = None
    _assembled: Assembled | None = None

    def begin(self, start: Start) -> tuple[Parts, Memory]:
        """That of a run."""
        read = parse_settings(start.settings_toml, Path(start.settings_path))
        self._settings = settings = read.with_measured(start.measured)
        standing = from_record(start.standing)
        load = partial(self._then, start, start.run) if start.bundle_sha256 else lambda: None
        kept = self.archive.calibration(start.calibration_sha256)
        self._assembled = assembled = assemble_from(
            settings,
            standing=standing,
            bundle=load,
            calibration=kept if kept.is_file() else None,
            watches=Watches.of(start.watches),
        )
        calibration = "" if assembled.calibration is None else assembled.calibration.sha256
        if calibration != start.calibration_sha256:
            self.outcome.other_files.append(start.run)
        return assembled.parts, initial_memory(assembled.parts)

    def change(self, change: PolicyChange, memory: Memory) -> tuple[Parts, Memory]:
        """That after a change of policy."""
        assert self._assembled is not None
        bundle = self._then(change, change.bundle_sha256[:16]) if change.bundle_sha256 else None
        self._assembled, memory = with_policy(self._assembled, memory, bundle)
        return self._assembled.parts, memory

    def _then(self, record: Start | PolicyChange, name: str) -> Bundle | None:
        """The bundle of a record, wherever it lies now; else what is configured now, and that is said."""
        assert self._settings is not None
        kept = self.archive.bundle(record.bundle_sha256)
        for directory in (kept, *known_directories(self._settings, record.bundle_directory)):
            with suppress(BundleError):
                if read_manifest(directory)[1] == record.bundle_sha256:
                    return load_bundle(directory)
        self.outcome.other_files.append(name)
        try:
            return configured_bundle(self._settings)
        except BundleError:
            return None


def _replayed(journal: Path) -> ReplayResult:
    outcome = ReplayResult()
    again_as_then = _Controllers(outcome, ArtifactArchive(journal))

    def counted() -> Iterator[AnyRecord]:
        for record in read_journal(journal):
            outcome.left_out += isinstance(record, Tick | TickInputs)
            yield record

    for compared in Replay(again_as_then.begin, again_as_then.change).compare(counted()):
        outcome.ticks += 1
        outcome.left_out -= 1
        if not compared.equal:
            outcome.different += 1
            outcome.first = outcome.first or {"tick": compared.tick, "differences": compared.differences()}
    return outcome


def _tell(outcome: ReplayResult) -> None:
    click.echo(f"{outcome.ticks} ticks decided again, {outcome.different} different")
    if outcome.left_out:
        click.echo(f"{outcome.left_out} left out: lines before them have been removed or dropped")
    if outcome.other_files:
        click.echo(
            "The policy bundle or the calibration is not that of the journal; what they say may differ."
        )
    if outcome.first:
        click.echo(f"first difference: {outcome.first}")
