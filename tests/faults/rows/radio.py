"""Rows Z1 to Z24 of the fault table: coordinator, air and slaves. Z16 and Z22 are no injections (`unrun`)."""

import bellows.types as t

from plant.radio.slave_firmware import Firmware, Ignored, Status
from tests.faults.injections import Injection, air, coordinator
from tests.faults.observation import Observation
from tests.faults.rig import RADIO_LINK
from tests.faults.row import SERIAL, USUAL, Row

LOST_S, USABLE_S = 3.0, 15.0
"""Figure A3: a dead coordinator is noticed, and the radio usable again."""
TTL_REST_S = 17.4
"""Figure A2: time to live, the slave's ramp, and 0.2 s on air of the last frame; both told every 20 ms."""
BACK_S = 33.0
SLEW_MAX_W_PER_S = 1010.0
KEEP_ALIVE_S = 4.5
"""A frame goes out after 3 s of silence at the latest, with the tick."""
HEARD_S = 16.5
"""A slave that was heard up to 5 s ago is given up 15 s after that report, in a tick."""
N_S = 6.0
"""One second for each slave of the rig; 5 s would be those of five."""
DISOBEDIENT_S = 35.0
"""15 s that earlier setpoints may explain, 10 s of reports that agree, and the next report of every 5 s."""
SHOWN_BELOW = (
    "told all that it can draw, it does what it is told: it shows once it has been told less for 15 s"
)
EVERYDAY = ("reentry", "meter_late")


def _down(seen: Observation) -> bool:
    return seen.radio("losses") > 0


def _refused(seen: Observation) -> bool:
    return seen.radio("frames_refused") > 0


def _told(seen: Observation) -> bool:
    """Some cause says that the slaves are not reached."""
    return any(name not in EVERYDAY for name in seen.new_causes)


def _firmwares(seen: Observation) -> list[Firmware]:
    return list(seen.pair.whole.far_end.radio.firmwares.values())


def _ignored(seen: Observation) -> bool:
    """A slave has ignored a frame whose counter was not new."""
    return sum(firmware.ignored[Ignored.COUNTER] for firmware in _firmwares(seen)) > seen.ignored


def _gently(seen: Observation) -> bool:
    return seen.slew_max_w_per_s <= SLEW_MAX_W_PER_S


def _gone(seen: Observation) -> bool:
    return any(not state.available for state in seen.slaves)


def _all_gone(seen: Observation) -> bool:
    return bool(seen.slaves) and not any(state.available for state in seen.slaves)


def _unheard(seen: Observation) -> bool:
    return any(state.report_age_s > 7.0 for state in seen.slaves)


def _expired(seen: Observation) -> bool:
    """A slave has told that its time to live ran out."""
    return any(f._reported[1] is Status.RESTING_TIME_TO_LIVE for f in _firmwares(seen))


def _noticed_slave(seen: Observation) -> bool:
    """A slave is led as one that does not do what it is told, or is out of the allocation."""
    return seen.not_following or _gone(seen)


def _lost(number: str, fault: Injection, lasts_s: float, rig: str = "tcp") -> Row:
    """The coordinator is away for so long."""
    return Row(
        number,
        fault,
        ("none", "fallback") if lasts_s < 5.0 else ("safe_stop",),
        _down,
        LOST_S,
        lasts_s=lasts_s,
        recovered_s=USABLE_S if lasts_s < 5.0 else USABLE_S + BACK_S,
        usable_s=USABLE_S,
        rig=rig,
    )


def _mute(number: str, fault: Injection) -> Row:
    """Frames leave the daemon and reach nobody: slaves rest by themselves, and somebody must be told."""
    return Row(
        number,
        fault,
        ("fallback", "safe_stop"),
        _told,
        20.0,
        lasts_s=30.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        recovered_s=BACK_S + 10.0,
    )


ROWS = (
    _lost("Z1", coordinator.crash(t.NcpResetCode.RESET_WATCHDOG), 1.0),
    _lost("Z1", coordinator.crash(t.NcpResetCode.RESET_ASSERT), 1.0),
    _lost("Z1", coordinator.link_failed(), 1.0),
    _lost("Z2", coordinator.silent(), 10.0),
    _lost("Z2", coordinator.hung_commands(), 4.5),
    _lost("Z3", coordinator.unplug(), 1.0),
    _lost("Z3", coordinator.stick_pulled(RADIO_LINK), 8.0, SERIAL),
    Row(
        "Z2",
        coordinator.silent(unplugged=True),
        ("safe_stop",),
        _down,
        LOST_S,
        lasts_s=20.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        recovered_s=USABLE_S + BACK_S,
        usable_s=USABLE_S,
    ),
    Row(
        "Z4",
        coordinator.silent(unplugged=True),
        ("safe_stop",),
        lambda seen: seen.pair.whole.task.done(),
        45.0,
        lasts_s=60.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        ends_daemon=True,
    ),
    _mute("Z5", coordinator.table_full()),
    Row(
        "Z5",
        coordinator.table_full(9),
        ("none",),
        lambda seen: seen.radio("frames_sent") > 0,
        KEEP_ALIVE_S,
        lasts_s=60.0,
        recovered_s=3.0,
        kept=lambda seen: seen.radio("frames_refused") == 0,
    ),
    Row(
        "Z6",
        coordinator.sending_refused(t.sl_Status.ZIGBEE_MAX_MESSAGE_LIMIT_REACHED),
        ("none",),
        _refused,
        KEEP_ALIVE_S,
        lasts_s=6.0,
        recovered_s=3.0,
    ),
    _mute("Z6", coordinator.sending_refused(t.sl_Status.ALLOCATION_FAILED)),
    _mute("Z6", air.changed("accepted and never transmitted", right=False, silent=True)),
    Row(
        "Z7",
        air.deaf_slave(),
        ("none",),
        lambda seen: seen.radio("repairs") > 0,
        N_S,
        lasts_s=20.0,
        recovered_s=3.0,
        kept=_gently,
    ),
    Row("Z8", air.changed("every frame twice", right=1, copies=2), ("none",), _ignored, 5.0, kept=_gently),
    Row("Z9", air.reordered(), ("none",), _ignored, 40.0, lasts_s=40.0, kept=_gently),
    Row("Z10", air.replayed(), ("none",), _ignored, 10.0, lasts_s=12.0, kept=_gently),
    Row("Z11", air.reports_lost(), ("none",), _unheard, 12.5, lasts_s=13.0, kept=_gently),
    Row("Z12", air.slave_offline(), ("none",), _gone, HEARD_S, lasts_s=20.0, recovered_s=3.0),
    Row(
        "Z13",
        air.slave_restarts(),
        ("none",),
        lambda seen: seen.pair.whole.far_end.radio.firmwares[0].status(seen.now_s) is Status.FOLLOWING,
        KEEP_ALIVE_S,
        kept=_gently,
    ),
    Row(
        "Z14",
        air.slave("stuck at its full power", "stuck_w", lambda *_: 1700.0, None, air.partly_loaded),
        ("none", "fallback", "safe_stop"),
        _noticed_slave,
        DISOBEDIENT_S,
        lasts_s=60.0,
        rig=USUAL,
        shows=lambda pair: bool(air.partly_loaded(pair)),
        gap=SHOWN_BELOW,
    ),
    Row(
        "Z14",
        air.slave("stuck at 0 W", "stuck_w", lambda *_: 0.0, None),
        ("none", "fallback", "safe_stop"),
        _noticed_slave,
        DISOBEDIENT_S,
        lasts_s=60.0,
        rig=USUAL,
    ),
    Row(
        "Z15",
        air.slave("three times too strong", "scale", lambda *_: 3.0, 1.0, air.partly_loaded),
        ("none", "fallback", "safe_stop"),
        _noticed_slave,
        DISOBEDIENT_S,
        lasts_s=60.0,
        rig=USUAL,
        shows=lambda pair: bool(air.partly_loaded(pair)),
        gap=SHOWN_BELOW,
    ),
    Row(
        "Z17",
        air.slave("its time to live ends after 1.5 s", "ttl_share", lambda *_: 0.1, 1.0),
        ("none",),
        _expired,
        10.0,
        lasts_s=15.0,
    ),
    Row(
        "Z18",
        air.bursts(),
        ("none", "fallback"),
        lambda seen: seen.link_loss > 0.2,
        60.0,
        lasts_s=60.0,
        kept=_gently,
    ),
    Row(
        "Z19",
        coordinator.exchanged(),
        ("safe_stop",),
        lambda seen: seen.event("radio_problem"),
        USABLE_S,
        lasts_s=25.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        recovered_s=USABLE_S + BACK_S,
        kept=lambda seen: not seen.is_radio_up,
    ),
    Row(
        "Z20",
        coordinator.blank(),
        ("safe_stop",),
        lambda seen: seen.event("radio_problem"),
        USABLE_S,
        lasts_s=25.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        recovered_s=USABLE_S + BACK_S,
        kept=lambda seen: not seen.is_radio_up,
    ),
    Row(
        "Z21",
        coordinator.counter_rolled_back(),
        ("fallback", "safe_stop"),
        _all_gone,
        HEARD_S + USABLE_S,
        lasts_s=50.0,
        rest_s=TTL_REST_S,
        from_onset=True,
        recovered_s=USABLE_S + BACK_S,
    ),
    Row(
        "Z23",
        coordinator.wrong_encoding(),
        ("safe_stop",),
        lambda seen: "frame_round_trip" in seen.causes,
        KEEP_ALIVE_S + 1.0,
        lasts_s=8.0,
        rest_s=8.0,
        from_onset=True,
        acknowledged=True,
    ),
    Row(
        "Z24",
        air.lossy("every slave misses every frame for 6 s", lambda _rng: lambda _address, _at_s: True),
        ("none",),
        lambda seen: True,
        1.0,
        lasts_s=6.0,
        kept=_gently,
        recovered_s=3.0,
    ),
)
