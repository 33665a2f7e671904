"""The short form of the fault table: some rows of each kind, one trial each; and a table that can say no."""

from dataclasses import replace

import pytest

from tests.faults import campaign, not_injected, starts
from tests.faults.report import missed, table, unexplained
from tests.faults.row import FaultTrialResult, Row
from tests.faults.whole_table import run

SHORT = ("M2", "M6", "M8", "M13", "M19", "Z1", "Z2", "Z3", "Z6", "Z23", "P3", "P8", "M24")


@pytest.mark.slow
def test_rows_of_every_kind_hold_or_say_why_not() -> None:
    done = run(SHORT, 1, 1, short=True)
    assert unexplained(done) == [], table(done)
    kinds = {one.row.number for one in done if isinstance(one, FaultTrialResult)}
    assert kinds >= set(SHORT) - {"M24"}


def test_every_row_of_the_fault_table_is_there() -> None:
    numbers = {row.number for row in campaign.ROWS} | {case.number for case in starts.CASES}
    numbers |= {"P12", *not_injected.WHY}
    wanted = {
        f"{letter}{n}" for letter, most in (("M", 24), ("P", 17), ("Z", 24)) for n in range(1, most + 1)
    }
    assert numbers == wanted


def row(number: str) -> Row:
    return campaign.chosen([number], short=False)[0]


def test_the_table_says_what_did_not_hold() -> None:
    lost = row("M2")
    sound = FaultTrialResult(lost, "meter_lost", 0.5, "safe_stop", 4.7, 30.0, True)
    bad = [
        replace(sound, detected_s=None),
        replace(sound, detected_s=lost.within_s + 0.1),
        replace(sound, reaction="hold"),
        replace(sound, rest_s=None),
        replace(sound, rest_s=5.1),
        replace(sound, recovered_s=None),
        replace(sound, recovered_s=60.0),
        replace(sound, kept=False),
    ]
    assert unexplained([sound]) == []
    for one in bad:
        assert len(missed(lost, [sound, one])) == 1
        assert len(unexplained([sound, one])) == 1
        assert "**no**, 1 of 2" in table([sound, one])


def test_a_trial_that_could_not_be_made_counts() -> None:
    lost = row("M2")
    assert unexplained([campaign.FailedTrial(lost, "the daemon ended")]) == ["M2 no answer: the daemon ended"]


def test_a_row_with_a_reason_is_told_and_explained() -> None:
    known = replace(row("M2"), gap="known")
    late = FaultTrialResult(known, "", None, "none", None, 1.0, True)
    assert unexplained([late]) == []
    assert "**no**, 1 of 1" in table([late])
    assert "known" in table([late])
