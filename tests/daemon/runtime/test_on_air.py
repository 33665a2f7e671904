"""What may be on air, by what the coordinator said."""

from core.site import Site, Slave
from core.snapshot import GroupOnAir, OnAirState
from daemon.runtime.on_air import LONGEST_WAY_S, OnAir
from drivers.zigbee.setpoint_frame import SetpointFrame

SITE = Site(slaves=(Slave(4, "a", 0, 3000), Slave(5, "b", 1, 3000)))


def frame(*setpoints_w: int, base: int = 4) -> SetpointFrame:
    return SetpointFrame(1, 15, base, setpoints_w, safe_release=False, report=False)


def air(a: int, b: int, age_s: float, *doubts: OnAirState) -> OnAirState:
    return OnAirState((float(a), float(b), 0.0), (a, b), age_s, doubts)


def told(*frames: tuple[SetpointFrame, float, bool]) -> OnAir:
    on_air = OnAir(SITE, 15.0)
    for one, at_s, is_accepted in frames:
        (on_air.accepted if is_accepted else on_air.unconfirmed)(one, at_s)
    return on_air


def test_nothing_at_first() -> None:
    assert OnAir(SITE, 15.0).at(100.0) == air(0, 0, float("inf"))


def test_what_was_accepted_is_there_until_its_time_has_run_out() -> None:
    on_air = told((frame(700, 300), 100.0, True))
    assert on_air.at(100.5) == air(700, 300, 0.5)
    assert on_air.at(110.0) == air(700, 300, 10.0)
    assert on_air.at(115.1) == air(0, 0, 115.1 - 100.0)


def test_whose_time_is_nearly_over_may_be_at_rest_when_the_next_frame_comes() -> None:
    on_air = told((frame(700, 300), 100.0, True))
    assert on_air.at(115.0) == air(700, 300, 15.0, air(0, 0, 15.0))
    assert on_air.at(110.1).doubts == (air(0, 0, 110.1 - 100.0),)


def test_a_frame_for_some_slaves_leaves_the_others() -> None:
    on_air = told((frame(700, 300), 100.0, True), (frame(900, base=5), 101.0, True))
    assert on_air.at(101.0) == air(700, 900, 0.0)


def test_a_frame_of_which_nobody_spoke_may_be_there_since_now() -> None:
    on_air = told((frame(700, 300), 100.0, True), (frame(800, 400), 101.0, False))
    assert on_air.at(103.0) == air(800, 400, 0.0, air(700, 300, 3.0))


def test_said_again_it_stays_one_doubt_and_accepted_it_is_none() -> None:
    on_air = told(
        (frame(700, 300), 100.0, True), (frame(800, 400), 101.0, False), (frame(800, 400), 102.0, False)
    )
    assert on_air.at(103.0) == air(800, 400, 0.0, air(700, 300, 3.0))
    on_air.accepted(frame(800, 400), 103.0)
    assert on_air.at(104.0) == air(800, 400, 1.0)


def test_the_same_setpoints_again_are_a_doubt_about_their_instant() -> None:
    on_air = told((frame(700, 300), 100.0, True), (frame(700, 300), 103.0, False))
    assert on_air.at(104.0) == air(700, 300, 0.0, air(700, 300, 4.0))


def test_rest_without_an_answer_leaves_everything_possible() -> None:
    on_air = told(
        (frame(700, 300), 100.0, True), (frame(800, 400), 101.0, False), (frame(0, 0), 102.0, False)
    )
    assert on_air.at(103.0) == air(0, 0, 0.0, air(800, 400, 0.0), air(700, 300, 3.0))


def test_a_doubt_ends_with_the_time_of_the_slaves_and_of_the_longest_way() -> None:
    on_air = told((frame(700, 300), 100.0, True), (frame(800, 400), 101.0, False))
    assert on_air.at(110.0).doubts == (air(700, 300, 10.0),)
    assert on_air.at(115.0).doubts == (air(0, 0, 14.0), air(700, 300, 15.0))
    assert on_air.at(115.5).doubts == (air(0, 0, 14.5),)
    last_s = 101.0 + 15.0 + LONGEST_WAY_S
    assert on_air.at(last_s) == air(800, 400, 0.0, air(0, 0, last_s - 101.0))
    assert on_air.at(last_s + 0.5) == air(0, 0, last_s + 0.5 - 101.0)


def test_a_partly_accepted_decision_stays_doubtful_where_it_was() -> None:
    on_air = told((frame(700, 300), 100.0, True), (frame(400, base=5), 101.0, False))
    on_air.accepted(frame(500, base=4), 102.0)
    assert on_air.at(102.0) == air(500, 400, 0.0, air(500, 300, 0.0))


def in_two() -> OnAir:
    """Told in two messages: slot 4 in one, slot 5 in the other."""
    return OnAir(SITE, 15.0, ((0,), (1,)))


def a_w(watts: float) -> tuple[float, float, float]:
    return (watts, 0.0, 0.0)


def b_w(watts: float) -> tuple[float, float, float]:
    return (0.0, watts, 0.0)


def test_of_several_groups_each_has_its_own_age_and_time_to_live() -> None:
    on_air = in_two()
    on_air.accepted(frame(700), 100.0)
    on_air.accepted(frame(300, base=5), 101.0)
    on_air.accepted(frame(750), 104.0)
    found = on_air.at(105.0)
    assert (found.action_w, found.setpoints_w, found.age_s) == ((750.0, 300.0, 0.0), (750, 300), 1.0)
    assert found.doubts == ()
    assert found.groups == (
        GroupOnAir((0,), 1.0, a_w(750.0), a_w(750.0)),
        GroupOnAir((1,), 4.0, b_w(300.0), b_w(300.0)),
    )
    found = on_air.at(112.0)
    assert found.groups[1] == GroupOnAir((1,), 11.0, b_w(300.0), b_w(300.0), may_rest=True)
    found = on_air.at(116.5)
    assert (found.setpoints_w, found.groups[1]) == ((750, 0), GroupOnAir((1,), 15.5, a_w(0.0), a_w(0.0)))


def test_of_several_groups_a_message_without_an_answer_widens_its_own() -> None:
    on_air = in_two()
    on_air.accepted(frame(700), 100.0)
    on_air.accepted(frame(300, base=5), 100.0)
    on_air.unconfirmed(frame(900), 103.0)
    found = on_air.at(104.0)
    assert (found.setpoints_w, found.age_s) == ((900, 300), 1.0)
    assert found.groups[0] == GroupOnAir((0,), 1.0, a_w(700.0), a_w(900.0), unconfirmed=True)
    on_air.unconfirmed(frame(800), 105.0)
    assert on_air.at(106.0).groups[0] == GroupOnAir((0,), 1.0, a_w(700.0), a_w(900.0), unconfirmed=True)
    on_air.accepted(frame(800), 107.0)
    assert on_air.at(108.0).groups[0] == GroupOnAir((0,), 1.0, a_w(800.0), a_w(800.0))


def test_of_several_groups_what_may_have_come_late_may_last_longer() -> None:
    on_air = in_two()
    on_air.accepted(frame(700), 100.0)
    on_air.unconfirmed(frame(900), 103.0)
    found = on_air.at(116.0).groups[0]  # the first is over, the second may be
    assert found == GroupOnAir((0,), 13.0, a_w(0.0), a_w(900.0), unconfirmed=True, may_rest=True)
    found = on_air.at(103.0 + 15.0 + LONGEST_WAY_S + 0.1).groups[0]
    assert (found.low_w, found.high_w, found.unconfirmed) == (a_w(0.0), a_w(0.0), False)


def test_nothing_is_still_while_a_message_may_be_on_its_way() -> None:
    """It may change something at any moment until a later one is accepted, and at that one at the latest."""
    on_air = told((frame(700, 0), 100.0, True))
    assert on_air.at(104.0).still_s == 4.0
    on_air.unconfirmed(frame(900, 0), 104.0)
    assert on_air.at(107.0).still_s == 0.0
    on_air.accepted(frame(900, 0), 108.0)
    assert on_air.at(110.0).still_s == 2.0
    on_air.accepted(frame(900, 0), 111.0)
    assert on_air.at(112.0).still_s == 4.0
