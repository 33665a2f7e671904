"""Sections that are right one by one and wrong together."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from math import ceil, floor
from urllib.parse import urlsplit

from core.roles import Role
from core.site import SUNKEEP
from daemon.config.sections import (
    FallbackSection,
    MeterSection,
    ModeSection,
    RadioSection,
    SiteSection,
    SlaveSection,
    minute_of_day,
)
from daemon.config.toml_lines import Location

Contradiction = tuple[Location, str, str]
"""Where, why, and what to do."""

LOCAL_SCHEMES = ("", "device", "linux")
"""Of the paths that the serial library opens (serialx): a device file. Every other one is a connection."""
KEEP_ALIVES_PER_TTL = 3
"""A slave must be able to miss two frames in a row before it rests."""
BROADCASTS_MAX = 8
"""Broadcasts that a network carries in 9 s (Silicon Labs, AN1138)."""
BROADCAST_WINDOW_S = 9.0
FRAME_SLOTS = 30
"""Setpoints of one frame (setpoint protocol)."""
GAINS_OF = {
    "pi": ("kp", "ki"),
    "predictive": ("k_up", "k_down", "trend_s", "slope_share", "slope_max_w_per_s", "lead"),
}
"""Keys of [fallback] that only one law has."""
METER_TRIES = 2
METER_SHARE = 0.75
"""The meter may take this share of a period; the rest is for the decision and the radio."""

PUSH_PERIOD_S = 1.0
"""DSMR 5.0.2 P1 companion standard, 5.1: a telegram every second. SML meters are not faster."""


def meter_fits(site: SiteSection, meter: MeterSection) -> Iterator[Contradiction]:
    """A Modbus meter needs a profile, and time for two tries; one that pushes needs neither, but a second."""
    if meter.pushes:
        yield from _push_fits(site, meter)
        return
    if meter.profile is None:
        why, what = (
            "is missing: it says what the registers mean",
            "`sunkeep meter profiles` lists the known ones",
        )
        yield ("meter", "profile"), why, what
    if meter.timeout_s is None:
        return
    longest_s = METER_SHARE * site.period_s / METER_TRIES
    if not meter.timeout_s <= longest_s:
        yield (
            ("meter", "timeout_s"),
            f"{meter.timeout_s:g} s, tried {METER_TRIES} times, does not fit a period of {site.period_s:g} s",
            f"Write at most {longest_s:g}, or leave it out",
        )


def _push_fits(site: SiteSection, meter: MeterSection) -> Iterator[Contradiction]:
    for key, is_given in (
        ("profile", meter.profile is not None),
        ("invert", meter.invert),
        ("timeout_s", meter.timeout_s is not None),
    ):
        if is_given:
            why = f'has no meaning with type = "{meter.transport.type}", whose telegrams are standard'
            yield ("meter", key), why, "Remove it"
    if not site.period_s >= PUSH_PERIOD_S:
        yield (
            ("site", "period_s"),
            f"{site.period_s:g} s is shorter than what such a meter sends in",
            f"Write at least {PUSH_PERIOD_S:g}",
        )


def coordinator_is_here(radio: RadioSection) -> Iterator[Contradiction]:
    """Behind a network address anybody may stand, and listen: that wants an explicit word."""
    if radio.remote_coordinator == "accepted" or _is_here(radio.path):
        return
    yield (
        ("radio", "path"),
        f"{_host_of(radio.path) or 'an unnamed host'} is another machine, and a coordinator on a network "
        "asks nobody for a password: whoever reaches its port has the network key and the slaves",
        "Plug the coordinator into this machine; or, on a network that nobody else can reach, write "
        'remote_coordinator = "accepted" in [radio]',
    )


def _is_here(path: str) -> bool:
    """A serial device, or a port that only this machine can reach."""
    try:
        if urlsplit(path).scheme in LOCAL_SCHEMES:
            return True
        host = _host_of(path)
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(path: str) -> str:
    try:
        return urlsplit(path).hostname or ""
    except ValueError:
        return ""


def air_fits(
    site: SiteSection, radio: RadioSection, slaves: Sequence[SlaveSection]
) -> Iterator[Contradiction]:
    """Keep-alives must reach the slaves in time, and the air must carry them."""
    air = radio.airtime
    silence_s = max(air.keep_alive_s, site.period_s)
    if not radio.ttl_s >= KEEP_ALIVES_PER_TTL * silence_s:
        yield (
            ("radio", "ttl_s"),
            f"{radio.ttl_s} s is less than {KEEP_ALIVES_PER_TTL} keep-alives of {silence_s:g} s: "
            "slaves would rest after two lost frames",
            f"Write at least {KEEP_ALIVES_PER_TTL * silence_s:g}, or shorten keep_alive_s",
        )
    if not air.keep_alive_s * air.frames_per_s >= 1.0:
        yield (
            ("radio", "airtime", "keep_alive_s"),
            f"{air.keep_alive_s:g} s is more often than the {air.frames_per_s:g} frames per second allowed",
            f"Write at least {1.0 / air.frames_per_s:g}",
        )
    frames = frames_for([slave.slot for slave in slaves if slave.driver == SUNKEEP])
    broadcasts = frames * (air.burst_frames + BROADCAST_WINDOW_S * air.frames_per_s)
    if not broadcasts < BROADCASTS_MAX:
        each = f" of {frames} frames each" if frames > 1 else ""
        yield (
            ("radio", "airtime", "burst_frames"),
            f"{air.burst_frames:g} at once and {air.frames_per_s:g} per second{each} are more than the "
            f"{BROADCASTS_MAX} broadcasts in {BROADCAST_WINDOW_S:g} s that a Zigbee network carries",
            "For example write " + ", ".join(f"{k} = {v:g}" for k, v in airtime_for(frames).items()),
        )


def airtime_for(frames: int) -> dict[str, float]:
    """Keys of [radio.airtime], and a ttl_s beside it, that the air carries for so many frames at a time."""
    if frames == 1:
        return {"frames_per_s": 0.5, "burst_frames": 3.0, "keep_alive_s": 3.0, "ttl_s": 15}
    share = BROADCASTS_MAX / frames
    rate = min(0.5 / frames, 0.9 * (share - 1.0) / BROADCAST_WINDOW_S)
    rate = floor(100.0 * rate) / 100.0
    keep_alive_s = ceil(1.0 / rate)
    return {
        "frames_per_s": rate,
        "burst_frames": max(1.0, floor(10.0 * 0.95 * (share - BROADCAST_WINDOW_S * rate)) / 10.0),
        "keep_alive_s": float(keep_alive_s),
        "ttl_s": max(15, KEEP_ALIVES_PER_TTL * keep_alive_s),
    }


def frames_for(slots: Sequence[int]) -> int:
    """How many frames carry setpoints for these slots."""
    frames, end = 0, -1
    for slot in sorted(slots):
        if slot > end:
            frames, end = frames + 1, slot + FRAME_SLOTS - 1
    return frames


def export_cap_fits(site: SiteSection) -> Iterator[Contradiction]:
    """Only a generator can be curtailed; a load that is full cannot hold an export limit."""
    if site.export_cap_required and site.role is not Role.GENERATE:
        yield (
            ("site", "export_cap_required"),
            'an export limit cannot be held by slaves with role "absorb"',
            'Set role = "generate" for slaves that feed in, or export_cap_required = false',
        )


def gains_fit(fallback: FallbackSection) -> Iterator[Contradiction]:
    """Gains belong to the law that acts, and let it act."""
    for law, names in GAINS_OF.items():
        for name in names:
            if law != fallback.law and getattr(fallback, name) is not None:
                yield (
                    ("fallback", name),
                    f'is a gain of law = "{law}", and the law is "{fallback.law}"',
                    f'Remove it, or write law = "{law}"',
                )
    if fallback.law == "pi" and fallback.kp == 0.0 and fallback.ki == 0.0:
        yield ("fallback", "ki"), "0 with kp = 0: the controller would never move", "Write for example 0.25"


def windows_fit(mode: ModeSection) -> Iterator[Contradiction]:
    """A window has a length, and starts on the day it names."""
    for index, window in enumerate(mode.schedule):
        location: Location = ("mode", "schedule", index)
        if minute_of_day(window.start) == minute_of_day(window.end):
            yield (
                (*location, "end"),
                "the window ends when it starts",
                'For a whole day write "00:00" to "24:00"',
            )
        if window.start == "24:00":
            yield (*location, "start"), "a window cannot start at 24:00", 'Write "00:00" and the next weekday'
        if not window.weekdays:
            yield (*location, "weekdays"), "names no day", "Name one, or leave it out for every day"
        if len(set(window.weekdays)) != len(window.weekdays):
            yield (*location, "weekdays"), "names a day twice", "Name each day once"
