"""The score against tables worked out by hand."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import ImbalanceOf, Limits
from core.roles import Role
from core.site import Metering, Phases, Site, Slave
from daemon.simulation.score import Score, unsafe_reasons

SITE = Site(slaves=tuple(Slave(i, f"s{i}", i % 3, 3000) for i in range(6)))
PER_PHASE = replace(SITE, metering=Metering.PER_PHASE)


def scored(site: Site, rows: list[tuple[Phases, Phases]]) -> dict[str, float]:
    score = Score(site)
    for grid_w, slaves_w in rows:
        score.step(grid_w, slaves_w, (0.0, 0.0, 0.0))
    return dict(score.summary())


ROWS: list[tuple[Phases, Phases]] = [
    (
        (-3600.0, 1800.0, 0.0),
        (900.0, 900.0, 0.0),
    ),  # net: 1800 exported; per phase: 3600 and 1800, 900 avoidable
    (
        (3600.0, 0.0, -720.0),
        (1440.0, 360.0, 0.0),
    ),  # net: 2880 imported, 1800 avoidable; per phase 720, 3600, 1440
]


def test_energies_of_a_netting_meter() -> None:
    got = scored(SITE, ROWS)
    assert got["seconds"] == 2
    assert got["export_wh"] == pytest.approx(0.5)
    assert got["import_wh"] == pytest.approx(0.8)
    assert got["avoidable_import_wh"] == pytest.approx(0.5)
    assert got["j_wh"] == pytest.approx(0.75)
    assert got["peak_export_w"] == 1800


def test_energies_phase_by_phase() -> None:
    got = scored(PER_PHASE, ROWS)
    assert got["export_wh"] == pytest.approx(1.2)
    assert got["import_wh"] == pytest.approx(1.5)
    assert got["avoidable_import_wh"] == pytest.approx(0.25 + 0.4)
    assert got["j_wh"] == pytest.approx(1.2 + 0.325)
    assert got["peak_export_w"] == 3600


def test_a_generator_could_have_fed_what_was_imported() -> None:
    site = replace(SITE, role=Role.GENERATE)
    got = scored(site, [((3600.0, 3600.0, 3600.0), (4000.0, 5000.0, 0.0))])  # room 1000 + 0 + 5000 W
    assert got["avoidable_import_wh"] == pytest.approx(6000 / 3600)


def test_peak_of_ten_seconds_is_the_highest_moving_average() -> None:
    exports = [0.0] * 7 + [1000.0] * 4 + [3000.0] + [0.0] * 20
    got = scored(SITE, [((-e, 0.0, 0.0), (0.0, 0.0, 0.0)) for e in exports])
    assert got["peak10s_export_w"] == pytest.approx(700.0)
    assert got["peak_export_w"] == 3000


def test_imbalance_is_the_population_deviation() -> None:
    got = scored(SITE, [((300.0, 0.0, -300.0), (0.0,) * 3), ((0.0,) * 3, (0.0,) * 3)])
    assert got["imbalance_std_w"] == pytest.approx(300 * (2 / 3) ** 0.5 / 2)


def test_changes_and_reversals_are_per_minute_and_phase() -> None:
    score = Score(SITE)
    for second in range(60):
        on = 200.0 if second % 20 >= 10 else 0.0  # on at 10, 30, 50, off at 20, 40
        score.step((0.0,) * 3, (0.0,) * 3, (on, on / 5, 0.0))
    got = score.summary()
    assert got["setpoint_changes_per_min"] == pytest.approx(5 / 3)
    assert got["reversals_per_min"] == pytest.approx(4 / 3)


def test_frames_are_counted_in_nine_seconds() -> None:
    score = Score(SITE)
    for at_s in (0.0, 1.0, 2.0, 8.9, 9.0, 11.0):
        score.frame(at_s, (0,) * 6, False)
    got = score.summary()
    assert (got["frames_sent"], got["max_frames_per_9s"], got["unsafe_actions"]) == (6, 4, 0)
    score.frame(20.0, (0,) * 6, False, frames=2)
    assert score.summary()["frames_sent"] == 8


@pytest.mark.parametrize(
    ("setpoints", "before", "elapsed", "rest", "reasons"),
    [
        ((500, 0, 0, 500, 0, 0), (0.0, 0.0, 0.0), 1.0, False, ()),
        ((500, 0, 0, 501, 0, 0), (0.0, 0.0, 0.0), 1.0, False, ("step",)),
        ((1000, 0, 0, 1000, 0, 0), (0.0, 0.0, 0.0), 2.0, False, ()),
        ((1000, 0, 0, 1001, 0, 0), (0.0, 0.0, 0.0), inf, False, ("step",)),  # credit ends at two seconds
        ((0, 0, 0, 0, 0, 0), (5000.0, 5000.0, 5000.0), 0.1, True, ()),
        ((0, 0, 0, 0, 0, 0), (5000.0, 5000.0, 5000.0), 0.1, False, ("step",)),
        ((2500, 0, 0, 2501, 0, 0), (5000.0, 0.0, 0.0), 2.0, False, ("box", "imbalance")),
        ((3001, 0, 0, 0, 0, 0), (3001.0, 0.0, 0.0), 2.0, False, ("box",)),
        ((-1, 0, 0, 0, 0, 0), (0.0, 0.0, 0.0), 2.0, False, ("box",)),
        ((2121, 0, 0, 2121, 0, 0), (4242.0, 0.0, 0.0), 2.0, False, ()),  # deviation 1999.7 W
        ((2122, 0, 0, 2121, 0, 0), (4243.0, 0.0, 0.0), 2.0, False, ("imbalance",)),  # 2000.2 W
        ((nan, 0, 0, 0, 0, 0), (0.0, 0.0, 0.0), 2.0, False, ("finite",)),
        ((0, 0, 0), (0.0, 0.0, 0.0), 2.0, False, ("finite",)),
        ((0, 0, 0, 0, 0, 0), (0.0, 0.0, 0.0), nan, False, ("step",)),
    ],
)
def test_unsafe_vectors(
    setpoints: tuple[int, ...], before: Phases, elapsed: float, rest: bool, reasons: tuple[str, ...]
) -> None:
    assert unsafe_reasons(setpoints, before, elapsed, rest, SITE) == reasons


def test_limits_of_the_site_are_judged() -> None:
    tight = replace(
        SITE, limits=Limits(phase_max_w=400.0, step_max_w_per_s=100.0, imbalance_of=ImbalanceOf.GRID)
    )
    assert unsafe_reasons((500, 0, 0, 0, 0, 0), (0.0,) * 3, 1.0, False, tight) == ("box", "step")
    free = replace(SITE, limits=Limits(imbalance_of=ImbalanceOf.GRID))
    assert unsafe_reasons((2500, 0, 0, 2500, 0, 0), (5000.0, 0.0, 0.0), 1.0, False, free) == ()


def test_a_frame_is_judged_against_the_last_one() -> None:
    score = Score(SITE)
    assert score.frame(5.0, (1000, 0, 0, 1000, 0, 0), False) == ()
    score.step((0.0,) * 3, (0.0,) * 3, (2000.0, 0.0, 0.0))
    assert score.frame(6.0, (1000, 1001, 0, 1000, 0, 0), False) == ("step",)
    assert score.summary()["unsafe_actions"] == 1
    assert score.unsafe == {"step": 1}


def test_a_settled_score_counts_from_here_on() -> None:
    score = Score(SITE)
    for at_s, watts in ((1.0, 500), (3.0, 1000)):
        score.frame(at_s, (watts, 0, 0, 0, 0, 0), False)
        score.step((-100.0, 0.0, 0.0), (0.0,) * 3, (float(watts), 0.0, 0.0))
    fresh = score.settled()
    assert not any(fresh.summary().values())
    assert fresh.frame(3.5, (1501, 0, 0, 0, 0, 0), False) == ("step",)  # against what was on air then
    fresh.step((0.0,) * 3, (0.0,) * 3, (700.0, 0.0, 0.0))
    got = fresh.summary()
    assert (got["frames_sent"], got["max_frames_per_9s"], got["seconds"]) == (1, 3, 1)
    assert got["reversals_per_min"] == pytest.approx(20.0)  # up before, down now
    assert score.summary()["seconds"] == 2


@given(st.lists(st.tuples(*[st.floats(-9000, 9000)] * 3), min_size=1, max_size=40))
def test_the_two_meterings_agree_on_the_balance(grids: list[Phases]) -> None:
    rows: list[tuple[Phases, Phases]] = [(g, (500.0, 0.0, 100.0)) for g in grids]
    net, each = scored(SITE, rows), scored(PER_PHASE, rows)
    balance = sum(map(sum, grids)) / 3600
    for got in (net, each):
        assert got["import_wh"] - got["export_wh"] == pytest.approx(balance, abs=1e-6)
        assert got["avoidable_import_wh"] <= got["import_wh"] + 1e-9
    assert net["export_wh"] <= each["export_wh"] + 1e-9
