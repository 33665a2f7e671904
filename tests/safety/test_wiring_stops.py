"""What the supervisor makes of a loop that answers wrongly: stops, and the turned sign behind them."""

from core.decision import State
from safety.wiring_monitor import WiringMonitorState
from tests.safety.search.story import Story


def test_a_meter_with_its_sign_turned_stops_the_site_until_acknowledged() -> None:
    story = Story().tick()
    for step in range(1, 12):
        power_w = 600.0 * (step % 2)
        story.tick(model_w=(power_w, 0.0, 0.0), grid_power_w=(-power_w, 0.0, 0.0))
    assert story.state is State.SAFE_STOP
    assert "meter_sign" in story.watch.standing.latched


def test_the_loop_watch_goes_on_behind_a_missed_sample_and_anew_behind_a_stop() -> None:
    story = Story().tick().tick(model_w=(600.0, 0.0, 0.0), grid_power_w=(600.0, 0.0, 0.0))
    assert story.watch.loop.at_s == story.at_s
    before = story.watch.loop
    assert before.moved_w[0] > 0.0
    assert story.tick(age_s=1.0).watch.loop == before
    story.tick("meter_lost")
    assert story.tick().watch.loop == WiringMonitorState()


def test_a_load_that_switches_while_the_slaves_come_to_rest_does_not_turn_the_meter() -> None:
    """The believed slaves are slower than the fast ramp; the meter is right all the same."""
    story = Story().tick(model_w=(3500.0,) * 3, grid_power_w=(-6000.0,) * 3).tick("meter_lost", age_s=2.6)
    story.tick(model_w=(3500.0,) * 3, grid_power_w=(-6160.0,) * 3)
    story.tick(model_w=(1900.0,) * 3, grid_power_w=(-5035.0, -7854.0, -7450.0))
    assert story.causes[0] == "meter_lost"
    assert story.watch.standing.latched == ()


def test_the_third_stop_by_a_diverging_loop_within_ten_minutes_waits_for_an_operator() -> None:
    """A sign that is wrong before the start is met again after every stop."""
    story = Story().tick("loop_diverges", times=5)  # one stop, however long it is seen
    story.tick(times=60).tick("loop_diverges", step_s=300.0)
    assert "loop_diverges" in story.causes
    assert "meter_sign" not in story.causes
    story.tick(times=60).tick("loop_diverges", step_s=600.0 - 300.0 - 124.0)  # ten minutes after the first
    assert "meter_sign" in story.causes
    assert story.watch.standing.latched == ("meter_sign",)
    assert story.tick(times=60).state is State.SAFE_STOP
    assert story.tick(acknowledged=("meter_sign",)).state is not State.SAFE_STOP


def test_three_of_them_in_more_than_ten_minutes_do_not() -> None:
    story = Story().tick("loop_diverges").tick(times=60).tick("loop_diverges", step_s=300.0)
    story.tick(times=60).tick("loop_diverges", step_s=181.0)
    assert "loop_diverges" in story.causes
    assert "meter_sign" not in story.causes
    story.tick(times=60).tick("loop_diverges")  # the last three do
    assert "meter_sign" in story.causes
