"""A policy that says the same while the sun comes and goes is told once; at night and in full sun it may."""

from math import sin

from daemon.policy.stuck_policy import STUCK_S, StuckPolicy

FULL_W = (5000.0, 5000.0, 5000.0)


def told_at(proposed_of, surplus_of, seconds: int = 2000) -> list[int]:  # type: ignore[no-untyped-def]
    watch = StuckPolicy()
    return [s for s in range(seconds) if watch.update(float(s), proposed_of(s), surplus_of(s), FULL_W)]


def clouds(second: int) -> tuple[float, float, float]:
    return (1500.0 + 1000.0 * sin(second / 60.0), 800.0, 0.0)


def test_the_same_under_clouds_is_told_once() -> None:
    assert told_at(lambda _s: (800.0, 800.0, 0.0), clouds) == [int(STUCK_S)]


def test_who_answers_to_the_sun_is_not_stuck() -> None:
    assert told_at(clouds, clouds) == []
    assert told_at(lambda s: (800.0 + 2.0 * (s // 500), 0.0, 0.0), clouds) == []


def test_the_same_at_night_and_in_full_sun_is_right() -> None:
    assert told_at(lambda _s: (0.0, 0.0, 0.0), lambda s: (-500.0 - 1000.0 * (s // 40 % 2), 0.0, 0.0)) == []
    assert told_at(lambda _s: FULL_W, lambda s: (6000.0 + 1000.0 * (s // 40 % 2),) * 3) == []


def test_silence_begins_anew() -> None:
    assert told_at(lambda s: None if s % 500 == 0 else (800.0, 800.0, 0.0), clouds) == []
