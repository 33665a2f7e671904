"""The short form of the campaign about the wiring: minutes of the shipped day."""

from dataclasses import replace

from tests.campaigns.wiring import LATCHING, WiringResult, detections, false_stops, live, plan


def test_the_right_wiring_is_not_stopped_and_a_runaway_is() -> None:
    lives = plan([None], 1, right=1, ramps=4, faults=1)
    found = [live(life) for life in lives if not life.fault or life.kind == "sign of the meter, at night"]
    assert len(found) == 6
    assert not any(cause in one.spoke_s for one in found[:5] for cause in LATCHING)
    assert found[5].stopped_s is not None
    assert found[5].stopped_s <= 30.0
    assert found[5].rose_w > 1000.0
    assert 1 <= found[5].moves <= found[5].stopped_s


def test_tables() -> None:
    right, *_, wrong = plan([None], 1, right=3, ramps=0, faults=1)
    false = WiringResult(right, {"meter_sign": 3.0, "loop_diverges": 1.0, "late_tick": 0.0}, 0.0, 3)
    text = false_stops([WiringResult(right, {}, 0.0, 3), false])
    assert "| right | 0.7 | 1 | 0 | 1 | - |" in text
    assert "| right | 0.7 | 0 | 0 | 0 | 102.71 |" in false_stops([WiringResult(right, {}, 0.0, 3)] * 2)
    found = [
        WiringResult(wrong, {"loop_diverges": 8.0, "meter_sign": 20.0}, 5000.0, 3),
        WiringResult(wrong, {"meter_phases": 40.0}, 0.0, 3),
        WiringResult(wrong, {"meter_lost": 1.0, "meter_sign": -5.0}, 3000.0, 3),
        WiringResult(wrong, {}, 100.0, 3),
    ]
    assert f"| {wrong.kind} | 4 | 25 % | 25 % | 50 % | 50 % | 8 | 3 | 3 | 50 % | 1 |" in detections(found)
    silent = replace(wrong, kind="phases exchanged")
    assert "| phases exchanged | 1 | 0 % | 0 % | 0 % | 0 % | - | - | - | 0 % | 0 |" in detections(
        [WiringResult(silent, {}, 0.0, 3)]
    )
