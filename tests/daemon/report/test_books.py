"""Accounts of a journal: equal to what the daemon counted, the sum of their parts, nothing across gaps."""

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.decision import Source, State
from core.modes import Mode, ModePlan
from core.snapshot import SlaveState
from daemon.history.account import Account
from daemon.journal.records import Continuation, Event, PolicyChange, Start
from daemon.monitoring.energy_ledger import EnergyTotals
from daemon.monitoring.figures import Figures
from daemon.report.books import GAPS_KEPT, JournalGap
from daemon.report.reading import DateRange, needed, newest, read
from daemon.runtime.journal_completion import read_whole
from daemon.simulation.score import Score
from daemon.simulation.simulate import default_site
from tests.daemon.report.accounts import MIDNIGHT_S, UTC_ZONE, booked, tick, values, with_verdict
from tests.daemon.report.journals import FIRST_DAY_UNIX_S, configure, lived, start_of, write
from tests.support import virtual_time
from tests.support.full_daemon import until, whole

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return start_of(configure(tmp_path), MIDNIGHT_S)


def test_the_report_of_a_lived_run_is_what_the_daemon_counted(tmp_path: Path) -> None:
    """The whole daemon on real wires, through a meter that fails: every total is the same number."""
    figures = virtual_time.run(_live(tmp_path))
    books = booked(read_whole(tmp_path / "journal", decides=False))
    total = books.total()
    assert total.energy.measured_s > 20.0
    assert total.energy.placed_j > 0.0
    for name in EnergyTotals.__slots__:
        assert getattr(total.energy, name) == pytest.approx(getattr(figures.ledger.total, name), rel=1e-9), (
            name
        )
    assert total.counts == figures.counts
    assert total.ticks == figures.ticks
    assert total.frames_sent == sum(figures.frames.values())
    assert total.recorded_s == pytest.approx(sum(figures.source_s.values()))
    acted_s = {Source.POLICY: State.RL_ACTIVE, Source.FALLBACK: State.FALLBACK, Source.HOLD: State.HOLD}
    for source, state in acted_s.items():
        assert total.state_s[state] == pytest.approx(figures.source_s[source]), state
    assert total.causes[State.SAFE_STOP, "meter_lost"].times == 1
    assert total.causes[State.SAFE_STOP, "meter_lost"].lasted_s > 3.0
    assert total.causes[State.SAFE_STOP, "rest_ordered"].times == 1
    assert total.missed_samples > 10


async def _live(folder: Path) -> Figures:
    async with whole(folder) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 20.0)
        pair.far_end.meter.faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 6.0)
        pair.far_end.meter.faults.mute = False
        await asyncio.sleep(15.0)
        await pair.stop()
        assert pair.service.figures is not None
        return pair.service.figures


def test_the_report_of_a_simulated_noon_is_near_what_the_site_lived(tmp_path: Path) -> None:
    """The score knows the true powers; the journal knows a meter with noise and a belief of the slaves."""
    config = configure(tmp_path)
    score = Score(default_site())
    records = lived(config, ModePlan(Mode.PRODUCTION), start_s=39600, end_s=41400, score=score)
    total = booked(records).total()
    lived_wh = score.summary()
    assert lived_wh["export_wh"] > 20.0
    assert total.energy.exported_j / 3600.0 == pytest.approx(lived_wh["export_wh"], rel=0.05)
    assert total.energy.imported_j / 3600.0 == pytest.approx(lived_wh["import_wh"], rel=0.05)


def test_a_day_worked_out_by_hand(start: Start) -> None:
    """400 W leave while 600 W are placed: 1000 W of surplus, of which slaves of 700 W could take 700 W."""
    ticks = [tick(MIDNIGHT_S + n, 50.0 + n, n) for n in range(11)]
    total = booked([start, *ticks]).total()
    assert (total.energy.exported_j, total.energy.placed_j) == (4000.0, 6000.0)
    assert (total.energy.exported_without_j, total.reachable_j) == (10_000.0, 7000.0)
    assert total.used_share == pytest.approx(0.6)
    assert (total.recorded_s, total.state_s[State.RL_ACTIVE], total.ticks) == (10.0, 10.0, 11)


@pytest.mark.parametrize(("numbers", "reason"), [((1, 2), "no ticks"), ((1, 3601), "not in the journal")])
def test_nothing_is_counted_across_a_gap(start: Start, numbers: tuple[int, int], reason: str) -> None:
    first, second = numbers
    ticks = [
        tick(MIDNIGHT_S, 10.0, 0),
        tick(MIDNIGHT_S + 1, 11.0, first),
        tick(MIDNIGHT_S + 3601, 3611.0, second),
        tick(MIDNIGHT_S + 3602, 3612.0, second + 1),
    ]
    books = booked([start, *ticks])
    total = books.total()
    assert (total.energy.exported_j, total.energy.measured_s, total.recorded_s) == (800.0, 2.0, 2.0)
    assert total.unrecorded_s == 3600.0
    assert books.gaps == [JournalGap(3600.0, MIDNIGHT_S + 1, reason)]


def test_a_gap_over_midnight_belongs_to_both_days_and_what_lies_wholly_in_it_is_no_day(start: Start) -> None:
    books = booked(
        [
            start,
            tick(MIDNIGHT_S - 3600, 10.0),
            start,
            tick(MIDNIGHT_S + 2 * 86400 + 60, 10.0),
        ]
    )
    assert {day.day: account.unrecorded_s for day, account in books.days.items()} == {1: 3600.0, 4: 60.0}
    assert books.gaps == [JournalGap(2 * 86400 + 3660.0, MIDNIGHT_S - 3600, "between two runs")]
    assert books.runs == 2


def test_between_runs_a_clock_that_is_not_set_makes_no_gap(start: Start) -> None:
    unset = tick(MIDNIGHT_S + 7200, 10.0)
    unset = replace(unset, snapshot=replace(unset.snapshot, hour=None))
    books = booked([start, tick(MIDNIGHT_S, 10.0), start, unset, tick(MIDNIGHT_S + 7201, 11.0)])
    assert books.gaps_total == 0
    assert books.total().unsynchronised_s == 0.0
    late = replace(unset, snapshot=replace(unset.snapshot, at_s=11.0))
    assert booked([start, tick(MIDNIGHT_S, 10.0), late]).total().unsynchronised_s == 1.0


def test_only_the_longest_gaps_are_kept_and_all_are_counted(start: Start) -> None:
    ticks = [tick(MIDNIGHT_S + 10.0 * n * n, 10.0 * n * n, n) for n in range(GAPS_KEPT + 10)]
    books = booked([start, *ticks])
    assert books.gaps_total == GAPS_KEPT + 9
    assert min(books.gaps).lasted_s == 10.0 * (2 * 9 + 1)
    assert books.total().unrecorded_s == pytest.approx(10.0 * (GAPS_KEPT + 9) ** 2)


def test_days_are_those_of_the_site(start: Start) -> None:
    """Midnight in Berlin is 22:00 UTC in June."""
    ticks = [tick(MIDNIGHT_S - 7200 + n, 10.0 + n) for n in (-1, 0, 1)]
    books = booked([start, *ticks], zone=BERLIN)
    assert {day: account.ticks for day, account in books.days.items()} == {
        date(2026, 6, 1): 1,
        date(2026, 6, 2): 2,
    }


def test_a_stop_is_counted_once_and_only_for_what_stops(start: Start) -> None:
    ticks = [tick(MIDNIGHT_S + n, 10.0 + n, n) for n in range(8)]
    for n in (2, 3, 4, 7):
        ticks[n] = with_verdict(ticks[n], State.SAFE_STOP, "meter_lost", "meter_late", "reentry")
    ticks[6] = with_verdict(ticks[6], State.FALLBACK, "reentry")
    total = booked([start, *ticks]).total()
    told = {key: (spell.times, spell.lasted_s) for key, spell in total.causes.items()}
    assert told == {(State.SAFE_STOP, "meter_lost"): (2, 4.0), (State.FALLBACK, "reentry"): (1, 1.0)}


def test_the_radio_and_refused_frames(start: Start) -> None:
    ticks = [tick(MIDNIGHT_S + n, 10.0 + n, n) for n in range(4)]
    for n, (loss, alarms) in enumerate([(0.0, ()), (0.2, ()), (0.4, ()), (0.0, ("radio_down",))]):
        seen = replace(ticks[n].snapshot, link_loss_rate=loss, alarms=alarms)
        ticks[n] = replace(ticks[n], snapshot=seen, frames_hex=("13",), accepted=n != 2)
    total = booked([start, *ticks]).total()
    assert total.acknowledged_share == pytest.approx(0.7)
    assert (total.frames_sent, total.frames_refused) == (3, 1)
    assert Account().acknowledged_share is None
    assert Account().used_share is None


def test_what_fits_no_configuration_is_left_out_and_counted(start: Start) -> None:
    unreadable = replace(start, settings_toml="[site]\nunknown = 1")
    other_role = replace(start, settings_toml=start.settings_toml.replace('"absorb"', '"generate"'))
    one = tick(MIDNIGHT_S, 10.0)
    fewer = replace(one, snapshot=replace(one.snapshot, slaves=(SlaveState(),)))
    books = booked([one, unreadable, one, other_role, one, start, fewer, one])
    assert (books.left_out, books.total().ticks, books.runs) == (4, 1, 1)


def test_every_tick_tells_the_mode_whatever_segment_it_stands_in(start: Start) -> None:
    by_lot = tick(100.0, 11.0, propensity=0.5, block=4, mode=Mode.AB)
    for heading in (start, Continuation.of(start)):
        books = booked([heading, by_lot])
        assert [block.design.value for block in books.trial.blocks.values()] == ["pairs"]
    books = booked([start, tick(100.0, 11.0, propensity=0.5, block=4)])  # of a version that did not tell it
    assert [block.design.value for block in books.trial.blocks.values()] == ["share"]


def test_in_a_journal_that_did_not_tell_the_mode_a_reload_does(start: Start) -> None:
    reloaded = Event(unix_s=0.0, event="configuration_reloaded", detail={"mode": "ab"})
    by_lot = tick(100.0, 11.0, propensity=0.5, block=4)
    books = booked([start, tick(99.0, 10.0), reloaded, by_lot])
    assert [block.design.value for block in books.trial.blocks.values()] == ["pairs"]
    nonsense = Event(unix_s=0.0, event="configuration_reloaded", detail={"mode": ["?"]})
    books = booked([start, nonsense, by_lot])
    assert [block.design.value for block in books.trial.blocks.values()] == ["share"]


def test_a_later_segment_alone_tells_which_policy_acted(start: Start) -> None:
    change = PolicyChange(unix_s=0.0, bundle_sha256="b" * 64)
    books = booked([Continuation.of(start, change), tick(3700.0, 10.0, propensity=0.5, block=4)])
    assert [block.policy_sha256 for block in books.trial.blocks.values()] == ["b" * 64]


def test_another_policy_within_a_block_makes_it_nobody_s(start: Start) -> None:
    change = PolicyChange(unix_s=0.0, bundle_sha256="b" * 64)
    ticks = [
        tick(900.0 * block + 100.0 + s, 10.0 + s, propensity=0.5, block=block)
        for block in (4, 5)
        for s in (0, 1)
    ]
    books = booked([start, *ticks[:1], change, *ticks[1:]])
    found = [(block.is_mixed, block.policy_sha256) for block in books.trial.blocks.values()]
    assert found == [(True, start.bundle_sha256), (False, "b" * 64)]


def test_segments_that_are_not_needed_are_not_read_and_change_nothing(tmp_path: Path) -> None:
    start = start_of(configure(tmp_path), FIRST_DAY_UNIX_S)
    hours = range(72)
    ticks = [
        tick(FIRST_DAY_UNIX_S + 3600.0 * h + s, 3600.0 * h + s, 60 * h + s) for h in hours for s in range(60)
    ]
    files = write(tmp_path / "journal", iter([start, *ticks]), ticks=60 * 6)
    assert len(files) == 12
    span = DateRange(date(2026, 6, 2), date(2026, 6, 2))
    chosen = needed(files, span, UTC_ZONE)
    assert chosen == files[3:]
    told: list[float] = []
    fewer = booked(read(chosen, pytest.fail, told.append), span)
    assert fewer.done
    assert values(fewer.total()) == values(booked(read(files, pytest.fail), span).total())
    assert fewer.total().ticks == 24 * 60
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert needed(files, DateRange(), UTC_ZONE) == files
    found = newest(files)
    assert found == (start, FIRST_DAY_UNIX_S + 3600.0 * 71 + 59)


def test_damage_is_named_and_what_is_whole_is_counted(tmp_path: Path) -> None:
    start = start_of(configure(tmp_path), MIDNIGHT_S)
    ticks = [tick(MIDNIGHT_S + n, 10.0 + n, n) for n in range(400)]
    files = write(tmp_path / "journal", iter([start, *ticks]), ticks=110)
    files[1].write_bytes(files[1].read_bytes()[:-400])
    text = files[3].read_bytes().splitlines(keepends=True)
    text[50] = text[50].replace(b"-400", b"-401")
    files[3].write_bytes(b"".join(text) + b"0123 torn")
    (tmp_path / "journal" / "20260602T000000Z-2-0000.journal").touch()
    damaged: list[str] = []
    files = sorted((tmp_path / "journal").iterdir())
    books = booked(read(files, damaged.append))
    assert [f"{files[1]}: not a complete gzip" in damaged[0], f"{files[3]}:51: checksum" in damaged[1]] == [
        True
    ] * 2
    assert len(damaged) == 2
    total = books.total()
    assert 280 <= total.ticks < 399
    assert total.recorded_s + total.unrecorded_s == pytest.approx(399.0)
    assert [gap.reason for gap in books.gaps] == ["not in the journal"]
    found = newest(files)
    assert found is not None
    assert found[1] == MIDNIGHT_S + 399
    assert newest(files[:0]) is None
