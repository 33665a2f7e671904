"""`sunkeep report` as a user meets it."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.decision import Authority, State
from core.modes import BLOCK_S, Mode
from daemon import __main__ as command_line
from daemon.journal.records import AnyRecord
from tests.daemon.report.accounts import tick, with_verdict
from tests.daemon.report.journals import configure, start_of, write

FIRST_S = datetime(2026, 6, 1, 10, tzinfo=UTC).timestamp()
DAY_S = 86400.0


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two days of 100 ticks, a stop, a gap, a line that was changed."""
    start = start_of(configure(tmp_path), FIRST_S)
    ticks = [
        tick(FIRST_S + n + (DAY_S - 100.0) * (n >= 100), 10.0 + n + (DAY_S - 100.0) * (n >= 100), n)
        for n in range(200)
    ]
    ticks[20:30] = [with_verdict(one, State.SAFE_STOP, "meter_lost") for one in ticks[20:30]]
    (file,) = write(tmp_path / "journal", iter([start, *ticks]))
    lines = file.read_bytes().splitlines(keepends=True)
    lines[150] = lines[150].replace(b"-400", b"-401")
    file.write_bytes(b"".join(lines))
    return tmp_path / "journal"


def output(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert command_line.main(["report", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_people_read_what_happened(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "--journal", journal, "--currency", "CHF")
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    assert "Simulated site, 2026-06-01 to 2026-06-02 (UTC)" in said
    assert "Mon 01 Jun" in said
    assert "At rest because the meter does not answer: once, 10 s." in said
    assert "CHF saved (0.3 a kWh bought, 0.08 a kWh exported)" in said
    assert "1 gap: 2026-06-01 10:01 24.0 h (no ticks). Nothing is guessed there." in said
    assert "0000.journal:151: checksum does not match" in said
    assert "…" not in text


def test_programs_read_the_same_numbers(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(output(capsys, "--journal", journal, "--json"))
    assert [day["day"] for day in told["days"]] == ["2026-06-01", "2026-06-02"]
    seconds = 99 + 99  # a line of the second day is damaged: its step is held over, as in the daemon
    assert told["total"]["exported_wh"] == pytest.approx(400.0 * seconds / 3600.0, abs=1e-3)
    assert told["total"]["surplus_wh"] == pytest.approx(1000.0 * seconds / 3600.0, abs=1e-3)
    assert told["total"]["saved"] == pytest.approx(0.22 * 0.6 * seconds / 3600.0, abs=1e-4)
    assert told["total"]["stop_s"] == 10.0
    assert told["days"][0]["causes"] == [
        {"state": "stop", "cause": "meter_lost", "times": 1, "lasted_s": 10.0}
    ]
    assert (told["gaps"], told["runs"], told["ticks_left_out"], len(told["damaged"])) == (1, 1, 0, 1)
    assert told["longest_gaps"][0]["reason"] == "no ticks"
    rows = list(csv.DictReader(io.StringIO(output(capsys, "--journal", journal, "--csv"))))
    assert [row["day"] for row in rows] == ["2026-06-01", "2026-06-02"]
    assert float(rows[1]["exported_wh"]) == told["days"][1]["exported_wh"]


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        (("--days", "1"), ["2026-06-02"]),
        (("--days", "9"), ["2026-06-01", "2026-06-02"]),
        (("--to", "2026-06-01"), ["2026-06-01"]),
        (("--from", "2026-06-02"), ["2026-06-02"]),
        (("--from", "2026-06-01", "--to", "2026-06-01"), ["2026-06-01"]),
    ],
)
def test_days_can_be_chosen(
    journal: Path, arguments: tuple[str, ...], days: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(output(capsys, "--journal", journal, "--json", *arguments))
    assert [day["day"] for day in told["days"]] == days


def test_a_tariff_of_ones_own(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--journal", journal, "--json", "--price", "1", "--feed-in", "0")
    told = json.loads(output(capsys, *arguments))
    assert told["total"]["saved"] == pytest.approx(told["total"]["surplus_used_wh"] / 1000.0, abs=1e-4)


REFUSALS = [
    (("--json", "--csv"), "exclude each other"),
    (("--days", "2", "--from", "2026-06-01"), "exclude each other"),
    (("--from", "2026-06-02", "--to", "2026-06-01"), "must not be before"),
    (("--price", "nan"), "not a finite number"),
    (("--feed-in", "1e308"), "not in the range"),
    (("--days", "9" * 20), "not in the range"),
    (("--from", "2027-01-01"), "no tick of 2027-01-01 to the end"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSALS)
def test_what_cannot_be_told_is_refused_in_a_sentence(
    journal: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["report", "--journal", str(journal), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in " ".join(said.split())
    assert "Traceback" not in said


def test_a_folder_without_a_journal_and_a_configuration_of_another_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert command_line.main(["report", "--journal", str(tmp_path / "empty")]) == 2
    assert "no *.journal file" in capsys.readouterr().err
    start = start_of(configure(tmp_path), FIRST_S)
    other = replace(start, settings_toml="[site]\nunknown = 1")
    write(tmp_path / "other", iter([other, tick(FIRST_S, 10.0)]))
    assert command_line.main(["report", "--journal", str(tmp_path / "other")]) == 2
    assert "cannot be read by this version" in capsys.readouterr().err
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a-0000.journal").write_bytes(b"0123 torn")
    assert command_line.main(["report", "--journal", str(tmp_path / "torn")]) == 2
    assert "no run of the daemon" in capsys.readouterr().err


def blocks(count: int, confounded: bool) -> list[AnyRecord]:
    """Blocks of 200 ticks, 2.5 s apart, the policy in every second; it exports 200 W less."""
    records: list[AnyRecord] = []
    for at in range(count):
        begin_s = FIRST_S + at * BLOCK_S
        for number in range(200):
            second = 100.0 + 2.5 * number
            one = tick(begin_s + second, begin_s - FIRST_S + second + 10.0, at * BLOCK_S + number)
            grid_w = -200.0 if at % 2 else -400.0
            seen = replace(one.snapshot, grid_power_w=(grid_w, 0.0, 0.0))
            records.append(
                replace(
                    one,
                    propensity=0.5,
                    block=int(begin_s // BLOCK_S),
                    confounded=confounded,
                    snapshot=seen,
                    authority=(Authority.FALLBACK, Authority.POLICY)[at % 2],
                )
            )
    return records


@pytest.mark.parametrize(
    ("count", "confounded", "words"),
    [
        (24, False, "Export: less with the policy, -200 Wh per hour (95 % interval -200 to -200)."),
        (4, False, "Too few to say: 2 pairs with a surplus, and 12 are needed."),
        (24, True, "This says nothing about which is better."),
    ],
)
def test_the_comparison_says_what_it_knows(
    tmp_path: Path, count: int, confounded: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = start_of(configure(tmp_path, Mode.AB), FIRST_S)
    write(tmp_path / "journal", iter([start, *blocks(count, confounded)]))
    text = output(capsys, "--journal", tmp_path / "journal")
    assert words in " ".join(text.split())
    told = json.loads(output(capsys, "--journal", tmp_path / "journal", "--json"))
    (found,) = told["comparisons"]
    assert found["confounded"] is confounded
    assert (found["export_difference"] is None) != words.startswith("Export")


def test_a_site_that_feeds_has_words_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(tmp_path)
    config.write_text(config.read_text().replace('role = "absorb"', 'role = "generate"'))
    ticks = [tick(FIRST_S + n, 10.0 + n, n) for n in range(3601)]
    write(tmp_path / "journal", iter([start_of(config, FIRST_S), *ticks]))
    text = output(capsys, "--journal", tmp_path / "journal")
    assert "The slaves fed 0.60 kWh, and 0.20 kWh less were bought: 0.09 EUR saved" in " ".join(text.split())
