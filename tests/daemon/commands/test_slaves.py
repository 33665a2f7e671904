"""`sunkeep slaves` as an installer types it."""

import json
from pathlib import Path

from click.testing import CliRunner

from daemon.commands.installing.slaves import slaves
from daemon.identification.record import CommissioningRecord, save_record
from tests.daemon.identification.test_record import TOML, _measured


def test_the_command_shows_what_was_measured(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(TOML + f'[state]\ndirectory = "{tmp_path}"\n')
    empty = CliRunner().invoke(slaves, ["--config", str(config)])
    assert "Nothing was measured yet" in empty.output
    save_record(CommissioningRecord().with_slaves([_measured()]), tmp_path)
    shown = CliRunner().invoke(slaves, ["--config", str(config)])
    assert "2.40 ± 0.20" in shown.output
    facts = json.loads(CliRunner().invoke(slaves, ["--config", str(config), "--json"]).output)
    assert facts["slaves"][0]["measured"]["lag_s"]["value"] == 1.2
    assert facts["slaves"][0]["not_used_because"] == ""
