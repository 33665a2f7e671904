"""A site's own days out of its journals: what they are, where they lie, what each is for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from plant.site.stepped import bare_grid_w
from plant.site.trace import DAY_S, Trace, TraceError, load_trace
from tests.training.nine_heaters import SITE, site
from tests.training.site_days import NOON_S, lived, write_journals
from training.batched.day_runs import HOUR_S, lit_hours
from training.batched.windows import measured, read_days, varied
from training.champion.own_days import (
    CHOOSE,
    JUDGE,
    ROTA,
    TEACH,
    apart_w,
    kept_days,
    require_enough,
    role_of,
    sources_of,
    write_days,
)
from training.champion.retraining import FineTuning
from training.data.days import Day, DaysError
from training.data.journal_days import SiteDays, read_site_days
from training.data.samples import DatasetTerms
from training.evaluation.logs import Rebuilt

WINDOW_S = FineTuning().window_s


def sunny_days(count: int, surplus_w: float = 900.0) -> SiteDays:
    """Days of one surplus, from 2026-05-29."""
    dates = [str(np.datetime64("2026-05-29") + n) for n in range(count)]
    return SiteDays(DatasetTerms.of(site()), {date: np.full((DAY_S, 3), -surplus_w / 3.0) for date in dates})


def test_the_days_of_journals_are_the_days_that_were_lived(tmp_path: Path) -> None:
    """Slaves at rest leave nothing but the meter's noise; slaves that act leave what is not known of them."""
    for name, trace, error_w in (
        ("night", Trace("night", np.full((DAY_S, 3), 400.0), np.zeros(DAY_S)), 12.0),
        ("noon", Trace("noon", np.full((DAY_S, 3), 400.0), np.full(DAY_S, 4000.0)), 60.0),
    ):
        folder = write_journals(tmp_path / name, list(lived(SITE, 1, 600, trace)), SITE)
        (bare_w,) = read_site_days([folder]).bare_w.values()
        known = np.flatnonzero(np.isfinite(bare_w).all(axis=1))
        assert known.tolist() == list(range(NOON_S + 14, NOON_S + 599))
        apart = bare_w[known][60:] - bare_grid_w(trace, "3ph")[known][60:]
        assert float(np.sqrt((apart**2).mean())) < error_w
    # and it is the noise that was drawn: night differs from the truth by more than rounding
    assert float(np.abs(apart).max()) > 1.0


def test_a_day_is_written_as_a_trace_whose_phases_are_what_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bare_w = rng.normal(-500.0, 1500.0, (DAY_S, 3))
    bare_w[50_000:50_010] = np.nan
    _, pv_w = apart_w(bare_w)
    assert np.nanmin(pv_w) == 0.0
    days = write_days(SiteDays(DatasetTerms.of(site()), {"2026-05-29": bare_w}), [], tmp_path / "days")
    (day,) = days
    again_w = bare_grid_w(day.load(), day.connection)
    assert np.nanmax(np.abs(again_w - bare_w)) < 0.01
    assert np.isnan(again_w).all(axis=1).sum() == 10
    with pytest.raises(TraceError, match="not a finite number"):
        load_trace(day.path)


def test_days_are_kept_as_long_as_their_journals_are_what_they_were(tmp_path: Path) -> None:
    journal, other = tmp_path / "journal", tmp_path / "other"
    for folder in (journal, other):
        folder.mkdir()
        (folder / "run-0000.journal").write_bytes(b"one\n")
    folder = tmp_path / "days"
    assert kept_days(sources_of([journal]), folder) is None
    days = write_days(sunny_days(1), sources_of([journal, other]), folder)
    assert kept_days(sources_of([journal, other]), folder) == days
    for others in ([journal], [other, journal]):
        with pytest.raises(DaysError, match="days of other journals; give another --out"):
            kept_days(sources_of(others), folder)
    (journal / "run-0000.journal").write_bytes(b"one\ntwo\n")
    with pytest.raises(DaysError, match=r"journal: has changed .*then 4 bytes in 1 segment, now 8 "):
        kept_days(sources_of([journal, other]), folder)
    (journal / "run-0000.journal").write_bytes(b"one\n")
    (journal / "run-0001.journal").write_bytes(b"")
    with pytest.raises(DaysError, match="then 4 bytes in 1 segment, now 4 bytes in 2 segments"):
        kept_days(sources_of([journal, other]), folder)
    (journal / "run-0001.journal").unlink()
    assert kept_days(sources_of([journal, other]), folder) == days


@pytest.mark.parametrize(("pv_w", "is_kept"), [(0.0, False), (850.0, False), (950.0, True)])
def test_a_day_without_a_sunny_hour_is_no_day(tmp_path: Path, pv_w: float, is_kept: bool) -> None:
    """A house that takes 600 W: as dark as a day that `evaluation.logs` would replay no hour of."""
    bare_w = np.full((DAY_S, 3), (600.0 - pv_w) / 3.0)
    days = write_days(SiteDays(DatasetTerms.of(site()), {"2026-05-29": bare_w}), [], tmp_path)
    assert (len(days), len(list(tmp_path.glob("*.parquet")))) == (is_kept, is_kept)
    assert bool(Rebuilt({Day(tmp_path, TEACH, "3ph"): bare_w}, 0).hours()) is is_kept


def test_half_unknown_seconds_are_damage_and_no_gap(tmp_path: Path) -> None:
    bare_w = np.full((DAY_S, 3), -500.0)
    write_days(SiteDays(DatasetTerms.of(site()), {"2026-05-29": bare_w}), [], tmp_path)
    path = tmp_path / "2026-05-29.parquet"
    table = parquet.read_table(path).to_pydict()
    table["p_b_w"][77] = float("nan")
    parquet.write_table(pa.table(table), path)
    with pytest.raises(TraceError, match="column p_b_w, row 77"):
        load_trace(path, has_gaps=True)


def test_nobody_lives_an_unknown_second(tmp_path: Path) -> None:
    pv_w = np.where(np.abs(np.arange(DAY_S) - NOON_S) < 7500, 4000.0, 0.0)
    bare_w = np.full((DAY_S, 3), 200.0) - pv_w[:, None] / 3.0
    whole = write_days(SiteDays(DatasetTerms.of(site()), {"2026-05-29": bare_w}), [], tmp_path / "whole")
    bare_w[NOON_S + 50] = np.nan
    gappy = write_days(SiteDays(DatasetTerms.of(site()), {"2026-05-29": bare_w}), [], tmp_path / "gappy")
    assert lit_hours(whole[0]) == tuple(NOON_S - 7499 + HOUR_S * n for n in range(4))
    assert lit_hours(gappy[0]) == (NOON_S - 7499, NOON_S - 3899, NOON_S + 112, NOON_S + 3712)
    sunshine, rng = read_days(gappy), np.random.default_rng(1)
    assert all(np.isfinite(varied(sunshine, 600, rng)).all() for _ in range(200))
    assert len(measured(sunshine, 600)) == len(measured(read_days(whole), 600)) - 1


def test_a_date_keeps_its_role_whatever_other_days_there_are() -> None:
    dates = [str(np.datetime64("2026-05-29") + np.timedelta64(n, "D")) for n in range(40)]
    roles = [role_of(date) for date in dates]
    assert roles[:35] == roles[5:]
    assert sorted(roles[:5]) == sorted(ROTA) == sorted([TEACH, TEACH, CHOOSE, JUDGE, JUDGE])
    weekdays = {role: {n % 7 for n in range(35) if roles[n] == role} for role in (TEACH, CHOOSE, JUDGE)}
    assert all(found == set(range(7)) for found in weekdays.values())


def test_too_few_days_are_refused_with_their_numbers(tmp_path: Path) -> None:
    days = [Day(tmp_path / str(n), role, "3ph") for n, role in enumerate((TEACH, TEACH, CHOOSE, JUDGE))]
    with pytest.raises(DaysError) as refused:
        require_enough(days, WINDOW_S, dates=9)
    text = str(refused.value)
    assert "4 of 9 days have a whole sunny hour" in text
    assert "2 to teach, 1 to choose, 1 to judge; needed are 2 to teach, 1 to choose, 3 to judge" in text
    enough = write_days(sunny_days(7), [], tmp_path)
    assert {role: len(found) for role, found in require_enough(enough, WINDOW_S).items()} == {
        TEACH: 3,
        CHOOSE: 1,
        JUDGE: 3,
    }


def test_days_without_a_window_to_choose_on_are_refused_before_anything_is_taught(tmp_path: Path) -> None:
    """A roof that leaves more than all slaves can take, all day long: sunny hours, and no window."""
    days = write_days(sunny_days(7, 14_000.0), [], tmp_path / "beyond")
    assert len(days) == 7
    with pytest.raises(DaysError) as refused:
        require_enough(days, WINDOW_S)
    (chooses,) = (day.path.stem for day in days if day.split == CHOOSE)
    assert (
        f"none of the days that choose ({chooses}) has 1260 s without a gap in which 300 to 13000 W are to "
        "spare on average. Let the site run for some days more"
    ) in str(refused.value)
    others = write_days(sunny_days(7), [], tmp_path / "others")
    assert require_enough(days, WINDOW_S, [day for day in others if day.split == CHOOSE])
    with pytest.raises(DaysError, match="86400 s without a gap"):
        require_enough(others, DAY_S)
