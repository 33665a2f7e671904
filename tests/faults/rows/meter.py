"""Rows M1 to M23 of the fault table: the meter and its wire. M24 is a start (`tests.faults.starts`)."""

from math import inf, nan

from daemon.monitoring.bus_watch import MOST
from tests.faults.injections import meter
from tests.faults.observation import Observation
from tests.faults.rig import METER_LINK
from tests.faults.row import BARE, NIGHT, SERIAL, TCP, Row

TICK_S = 1.8
"""The next tick begins within 1 s, and its read takes 0.75 s at most."""
REST_S, BACK_S, JUMP_BACK_S = 5.0, 33.0, 94.0
"""Figure A1; 30 good samples, what is left of the tick, and the reconnect; the same after a jump that no load
makes, which is refused for a minute."""
STALE_S = 0.3
"""The meter measures anew every 0.2 s: what it measured so long before a request is fresh."""


def _failed(seen: Observation) -> bool:
    return bool(seen.errors)


def _fresh(seen: Observation) -> bool:
    return seen.oldest_accepted_s <= STALE_S


def _stop(
    number: str, name: str, within_s: float = TICK_S, rig: str = TCP, back_s: float = BACK_S, **wrong: object
) -> Row:
    """Registers that are wrong all the time: refused, and rest."""
    right: object = 1.0 if "scale" in wrong else 0 if "short_by" in wrong else False
    right = None if {"told", "exception"} & wrong.keys() else right
    return Row(
        number,
        meter.faults(name, right=right, **wrong),
        ("safe_stop",),
        _failed,
        within_s,
        lasts_s=max(8.0, within_s + 5.0),
        rest_s=REST_S,
        recovered_s=back_s,
        rig=rig,
    )


def _exception(code: int) -> Row:
    return _stop("M4", f"exception {code} for every request", exception=code)


ROWS = (
    Row(
        "M1",
        meter.faults("both answers of a tick are lost", right=0, drop=2),
        ("none", "hold"),
        _failed,
        TICK_S,
        lasts_s=3.0,
        recovered_s=2.0,
    ),
    _stop("M2", "no answer", mute=True),
    Row(
        "M3",
        meter.faults("wrong checksum in every answer (RTU)", corrupt=True),
        ("safe_stop",),
        _failed,
        TICK_S,
        rest_s=REST_S,
        recovered_s=BACK_S,
        rig=SERIAL,
    ),
    *map(_exception, (1, 2, 3, 4, 6, 11)),
    *(
        Row(
            "M5",
            meter.faults(f"answers {late_s:g} s late (RTU)", right=0.0, late_s=late_s),
            ("none", "hold", "safe_stop"),
            _failed,
            TICK_S,
            lasts_s=8.0,
            recovered_s=BACK_S,
            rig=SERIAL,
            kept=_fresh,
        )
        for late_s in (0.55, 0.9, 1.05, 1.6)
    ),
    Row(
        "M6",
        meter.faults("each answer is that of the request before", one_behind=True),
        ("none", "hold", "safe_stop"),
        _failed,
        TICK_S,
        recovered_s=BACK_S,
        kept=_fresh,
    ),
    _stop("M7", "frozen in every register", 10.5, frozen=True),
    _stop("M7", "frozen, voltage in another block (EM24)", 10.5, BARE, frozen=True),
    _stop("M7", "power stands still, voltage and current go on", 10.5, frozen_power=True),
    _stop("M7", "power stands still, all else goes on (EM24)", 10.5, BARE, frozen_power=True),
    Row(
        "M7",
        meter.faults("power stands still in a quiet house at night", frozen_power=True),
        ("safe_stop",),
        _failed,
        10.5,
        lasts_s=30.0,
        rig=NIGHT,
        gap="nothing is placed, and power beside voltage times current stays within 10 % and 50 W",
    ),
    _stop("M8", '"not available" in every register', absent=True),
    _stop("M8", "NaN in every register", told=nan),
    _stop("M8", "infinity in every register", told=inf),
    Row(
        "M9",
        meter.faults("phases exchanged in the midst of control", swapped_phases=True),
        ("safe_stop",),
        lambda seen: "meter_phases" in seen.causes or "meter_sign" in seen.causes,
        60.0,
        lasts_s=60.0,
        rest_s=65.0,
        from_onset=True,
        recovered_s=BACK_S,
        acknowledged=True,
        gap="told by moves of the slaves alone: it takes as long as they take (safety-campaigns.md)",
        is_long=True,
    ),
    Row(
        "M10",
        meter.faults("sign turned at night, from rest", reversed_sign=True),
        ("safe_stop",),
        lambda seen: bool({"loop_diverges", "meter_sign", "meter_phases"} & seen.causes.keys()),
        15.0,
        lasts_s=20.0,
        recovered_s=inf,
        rig=NIGHT,
        acknowledged=True,
    ),
    Row(
        "M10",
        meter.faults("sign turned in the midst of control", reversed_sign=True),
        ("safe_stop",),
        lambda seen: bool({"loop_diverges", "meter_sign", "meter_phases"} & seen.causes.keys()),
        15.0,
        lasts_s=60.0,
        rest_s=20.0,
        from_onset=True,
        acknowledged=True,
        gap="a controller that reads import switches off and rests: few moves, little to tell by",
        is_long=True,
    ),
    _stop("M11", "words exchanged", back_s=JUMP_BACK_S, swapped_words=True),
    _stop("M11", "bytes exchanged", back_s=JUMP_BACK_S, swapped_bytes=True),
    Row(
        "M12",
        meter.faults("power ten times too large", right=1.0, scale=10.0),
        ("safe_stop",),
        _failed,
        TICK_S,
        lasts_s=40.0,
        rest_s=REST_S,
        recovered_s=JUMP_BACK_S,
        kept=lambda seen: seen.is_at_rest,
    ),
    Row(
        "M12",
        meter.faults("power ten times too large (EM24)", right=1.0, scale=10.0),
        ("safe_stop",),
        _failed,
        TICK_S,
        lasts_s=40.0,
        rest_s=REST_S,
        recovered_s=JUMP_BACK_S,
        rig=BARE,
        kept=lambda seen: seen.is_at_rest,
        gap="ten times of the little that flows in a well controlled site is little",
    ),
    _stop("M12", "power a thousand times too large", back_s=JUMP_BACK_S, scale=1000.0),
    _stop("M13", "two registers missing", short_by=2),
    Row(
        "M14",
        meter.faults("one phase of an earlier instant", torn=True),
        ("none", "hold", "safe_stop"),
        _failed,
        10.5,
        lasts_s=15.0,
        recovered_s=BACK_S,
        gap="seen once the phase is 10 % and 50 W beside voltage times current, not before",
    ),
    Row(
        "M15",
        meter.bus_noise(),
        ("none", "hold", "safe_stop"),
        lambda seen: seen.event("bus_contention") or seen.unasked > MOST,  # it is told once in a minute
        6.0,
        recovered_s=BACK_S,
        rig=SERIAL,
        kept=_fresh,
    ),
    _stop("M16", "half-open: the connection stays and nothing comes", mute=True),
    Row(
        "M17",
        meter.closed(),
        ("safe_stop",),
        _failed,
        TICK_S,
        rest_s=REST_S,
        recovered_s=BACK_S,
    ),
    Row(
        "M18",
        meter.closed(),
        ("safe_stop",),
        _failed,
        TICK_S,
        lasts_s=3600.0,
        rest_s=REST_S,
        recovered_s=BACK_S,
        kept=lambda seen: seen.connects <= 3600 and seen.descriptors_more <= 0,
        is_long=True,
    ),
    Row(
        "M19",
        meter.exchanged(),
        ("safe_stop",),
        lambda seen: "meter_identity" in seen.causes,
        3.0,
        rest_s=REST_S,
        recovered_s=BACK_S,
        acknowledged=True,
    ),
    Row(
        "M20",
        meter.faults("every answer 0.25 s late", right=0.0, late_s=0.25),
        ("none", "hold"),
        lambda seen: seen.pair.loop is not None and (seen.pair.loop.snapshot_source.read_s or 0.0) >= 0.25,
        2.0,
        recovered_s=3.0,
    ),
    _stop("M21", "zero in every register", zeroed=True),
    Row(
        "M22",
        meter.faults("power 7 % too small", right=1.0, scale=0.93),
        ("none",),
        lambda seen: seen.event("meter_energy_mismatch"),
        2 * 3600.0,
        lasts_s=2 * 3600.0,
        gap="a site that is controlled well lets little flow: a verdict of the counters takes longer",
        is_long=True,
    ),
    Row(
        "M23",
        meter.unplugged(METER_LINK),
        ("safe_stop",),
        _failed,
        TICK_S,
        rest_s=REST_S,
        recovered_s=BACK_S,
        rig=SERIAL,
    ),
)
