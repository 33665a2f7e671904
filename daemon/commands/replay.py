"""`sunkeep replay`: decide a journal again and compare."""

import json
from pathlib import Path

import click

from core.parts import cold_start
from daemon.assembly import assemble_from
from daemon.records import JournalError, Start, read_journal
from daemon.refusals import InputError
from daemon.replay import AnyMemory, AnyParts
from daemon.replay import replay as again
from daemon.settings import SettingsError, parse_settings
from safety.timers import from_record


@click.command("replay")
@click.argument("journal", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(journal: Path, as_json: bool) -> int:
    """Decide every tick of JOURNAL again and compare to the last bit.

    JOURNAL is one *.journal file that holds its run's start, or a directory. Exit code 1 when a decision
    differs.
    """

    unequal_files: list[str] = []

    def begin(start: Start) -> tuple[AnyParts, AnyMemory]:
        settings = parse_settings(start.settings_toml, Path(start.settings_path))
        assembled = assemble_from(settings, standing=from_record(start.standing))
        sha256 = "" if assembled.bundle is None else assembled.bundle.sha256
        calibration = "" if assembled.calibration is None else assembled.calibration.sha256
        if (sha256, calibration) != (start.bundle_sha256, start.calibration_sha256):
            unequal_files.append(start.run)
        return assembled.parts, cold_start(assembled.parts)

    ticks = different = 0
    first: dict[str, object] | None = None
    try:
        for compared in again(read_journal(journal), begin):
            ticks += 1
            if not compared.equal:
                different += 1
                first = first or {"tick": compared.tick, "differences": compared.differences()}
    except (JournalError, SettingsError) as error:
        raise InputError(str(error)) from None
    if not ticks:
        raise InputError(f"{journal}: no tick in it. Let the daemon run for some seconds first.")
    if as_json:
        click.echo(json.dumps({"ticks": ticks, "different": different, "first": first}, default=str))
    else:
        click.echo(f"{ticks} ticks decided again, {different} different")
        if unequal_files:
            click.echo(
                "The policy bundle or the calibration is not that of the journal; what they say may differ."
            )
        if first:
            click.echo(f"first difference: {first}")
    return 1 if different else 0
