"""Saved state, totals and status of earlier versions are understood."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import daemon.commands.status as status_command
from core.site import Site
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import SiteInfo
from daemon.monitoring.totals_file import TotalsFile
from daemon.policy.evidence_record import ADDED, from_record, to_record
from daemon.system.state_file import decode
from safety.policy_comparison import ComparisonState
from safety.timers import PersistentFaults, restore
from tests.daemon.journal.golden_files import RUNS, name_of, unpacked

EVERY_RUN = pytest.mark.parametrize("run", RUNS, ids=name_of)


@EVERY_RUN
def test_the_saved_supervisor_comes_back(run: Path) -> None:
    for copy in ("standing.a", "standing.b"):
        number, record = decode(unpacked(run, copy))
        assert number
        assert record is not None
        boot_id = str(record["boot_id"])
        stands = restore(record, boot_id=boot_id, boottime_s=1e9, unix_s=2e9, synced=True)
        assert stands == PersistentFaults(at_s=1e9)


@EVERY_RUN
def test_the_totals_go_on(run: Path) -> None:
    written = json.loads((run / "totals.json").read_text())
    carried = TotalsFile(run / "totals.json").load()
    assert carried is not None
    figures = Figures(Site(()), SiteInfo(), 0.0, carried)
    assert figures.carry() == {"counts": written["counts"], "ledger": written["ledger"]}
    assert figures.ledger.total.exported_j > 0.0
    for half in ("live", "shadow"):
        evidence = from_record(carried["judge"][half])
        assert evidence is not None
        begun = {key: to_record(ComparisonState())[key] for key in ADDED}
        assert to_record(evidence) == {**begun, **written["judge"][half]}


def test_totals_of_a_newer_version_begin_anew(tmp_path: Path) -> None:
    file = TotalsFile(tmp_path / "totals.json")
    file.save({"counts": {"violations": 3}})
    assert file.load() == {"counts": {"violations": 3}}
    content = json.loads(file.path.read_text())
    assert content["schema_version"] == 1
    file.path.write_text(json.dumps(content | {"schema_version": 2}))
    assert file.load() is None


@EVERY_RUN
def test_a_status_document_is_shown(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads((run / "status.json").read_text())
    monkeypatch.setattr(status_command, "HTTPConnection", lambda *_, **__: Answering(document))
    for options in ([], ["--all"]):
        done = CliRunner().invoke(status_command.status, options)
        assert done.exit_code == 0, done.output
        assert document["site"]["name"] in done.output
    shown = json.loads(CliRunner().invoke(status_command.status, ["--json"]).output)
    assert shown["acting"]["state"] == document["acting"]["state"].replace("pi_fallback", "fallback")
    wished_w = [phase["policy_action_w"] for phase in shown["phases"]]
    if run.parent.name == "version_1":
        assert wished_w == [phase["wished_w"] for phase in document["phases"]]
    else:
        assert shown == document


def test_the_fallback_s_state_of_version_2_has_its_name_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, told in ((2, "pi_fallback"), (3, "fallback")):
        document = {"schema_version": version, "acting": {"state": told}, "phases": []}
        monkeypatch.setattr(
            status_command, "HTTPConnection", lambda *_, shown=document, **__: Answering(shown)
        )
        answer = json.loads(CliRunner().invoke(status_command.status, ["--json"]).output)
        assert answer == document | {"acting": {"state": "fallback"}}


class Answering:
    """A connection to a daemon that answers with this document."""

    status = 200

    def __init__(self, document: object) -> None:
        self._document = document

    def request(self, *_: object) -> None:
        pass

    def getresponse(self) -> "Answering":
        return self

    def read(self, _limit: int) -> bytes:
        return json.dumps(self._document).encode()

    def close(self) -> None:
        pass
