"""A second master on the meter's line is told once, a disturbance now and then is not."""

from daemon.monitoring.bus_watch import MOST, BusWatch


def test_it_is_told_once_when_bytes_come_again_and_again() -> None:
    watch, told = BusWatch(), []
    for second in range(300):
        if watch.update(float(second), 10 * min(second, 100)):
            told.append(second)
    assert told == [MOST + 1]
    assert not watch.is_disturbed


def test_a_disturbance_now_and_then_is_nobody() -> None:
    watch = BusWatch()
    assert not any(watch.update(float(second), second // 25) for second in range(3600))


def test_a_burst_within_one_tick_counts_once() -> None:
    watch = BusWatch()
    assert not any(watch.update(float(second), 500) for second in range(10))
