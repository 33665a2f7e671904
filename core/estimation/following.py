"""Whether each slave does what it is told, and what it may be told while it does not.

Two things are compared with what was told: the setpoint that a slave echoes, and the power that it measures.
A slave that draws less is full, open or broken: its capacity falls to what it draws, and others take over.
One that draws more cannot be led: it is told 0 W. After a pause each is tried with a little more. All that a
report can do is lower what its own slave is told, seldom; it never raises anything beyond the configuration.
"""

from dataclasses import dataclass, replace
from enum import Enum
from math import inf, isfinite

from core.site import Site, Slave
from core.snapshot import METER_LOST_S, SlaveState, Snapshot

SETTLE_S = 15.0
"""What was told earlier explains no power of now: 5 s on the way, 3 s of ramp, a lag of 2 s three times."""
CONFIRM_S = 10.0
CONFIRM_REPORTS = 3
"""Reports in a row, over so long, before a power is believed: every slave is asked each 5 s."""
TOLERANCE_W = 200.0
TOLERANCE_SHARE = 0.3
"""A resistive load draws 81 to 121 % at the ends of the voltage band (EN 50160: 230 V +- 10 %), and ratings
are rounded; a third of the elements lost, the mildest fault of a heater, lies beyond."""
FURTHER_SHARE = 0.5
"""A slave that is held to its limit already must fall short by more, or a weak one would end at nothing."""
SUSPECTED_FOR_S = 120.0
"""Reports that agree count together for so long; those between that tell nothing do not part them."""
RETRY_S = 300.0
RETRY_MAX_S = 1800.0
"""A full boiler takes water now and then. A try costs a few hundred watts for a quarter of a minute."""
ROUNDING_S = 1e-3
"""Of the instant of a report, which is told as an age."""


class Deviation(Enum):
    """In which way a slave does not do what it is told."""

    DRAWS_LESS = "draws_less"
    DRAWS_MORE = "draws_more"
    APPLIES_OTHER = "applies_other"


@dataclass(frozen=True, slots=True)
class NotFollowing:
    """A slave that does not do what it is told: its place in `Site.slaves`, and the most it is told now."""

    slave: int
    deviation: Deviation
    limit_w: int


@dataclass(frozen=True, slots=True)
class SlaveRecord:
    """What is remembered of one slave.

    `suspected` is what the newest reports in a row speak for (`suspicions` of them since `suspected_at_s`,
    with `suspect_w` at most), `sound` how many in a row since `sound_at_s` showed that a try succeeds.
    `limit_w` stands while `deviation` does; `is_tried` while the slave is told a little more than that.
    """

    heard_at_s: float = -inf
    suspected: Deviation | None = None
    suspicions: int = 0
    suspected_at_s: float = 0.0
    suspect_w: float = 0.0
    sound: int = 0
    sound_at_s: float = 0.0
    deviation: Deviation | None = None
    limit_w: int = 0
    is_tried: bool = False
    retry_at_s: float = inf
    retry_pause_s: float = RETRY_S
    released_at_s: float = -inf


@dataclass(frozen=True, slots=True)
class FollowingState:
    """What was on air lately, as (since when, setpoints), oldest first, and what is known of each slave."""

    told: tuple[tuple[float, tuple[int, ...]], ...] = ()
    began_at_s: float = inf
    at_s: float = -inf
    slaves: tuple[SlaveRecord, ...] = ()


def check_following(site: Site, snapshot: Snapshot, state: FollowingState) -> FollowingState:
    """Take in one tick.

    Without a report that says what it answers (`SlaveState.told_w`) nothing is judged and nothing remembered.
    """
    if not state.slaves and all(slave.told_w is None for slave in snapshot.slaves):
        return state
    state = _remember(site, snapshot, state)
    cells = zip(site.slaves, snapshot.slaves, state.slaves, strict=True)
    return replace(
        state,
        slaves=tuple(
            _retried(_heard(slave, place, seen, record, state), snapshot.at_s)
            for place, (slave, seen, record) in enumerate(cells)
        ),
    )


def limit_capacities(site: Site, snapshot: Snapshot, state: FollowingState) -> Snapshot:
    """The same image, with the slaves that do not follow limited to what they may be told."""
    if all(record.deviation is None for record in state.slaves):
        return snapshot
    cells = zip(site.slaves, snapshot.slaves, state.slaves, strict=True)
    return replace(snapshot, slaves=tuple(_limited(*cell) for cell in cells))


def not_following(site: Site, state: FollowingState) -> tuple[NotFollowing, ...]:
    """Every slave that does not do what it is told."""
    if not state.slaves:
        return ()
    cells = zip(site.slaves, state.slaves, strict=False)
    return tuple(
        NotFollowing(place, record.deviation, _told_at_most_w(slave, record))
        for place, (slave, record) in enumerate(cells)
        if record.deviation is not None
    )


def _remember(site: Site, snapshot: Snapshot, state: FollowingState) -> FollowingState:
    """What is on air now, and what was within `SETTLE_S`; everything anew after a gap."""
    at_s, resting = snapshot.at_s, (0,) * len(site.slaves)
    told, began_at_s = state.told, state.began_at_s
    if not 0.0 <= at_s - state.at_s <= max(METER_LOST_S, 2.0 * site.period_s):
        told, began_at_s = (), at_s
    for air in (*snapshot.on_air.doubts, snapshot.on_air):
        setpoints_w = air.setpoints_w or resting
        if not told or told[-1][1] != setpoints_w:
            told = (*told, (at_s, setpoints_w))
    while len(told) > 1 and not told[1][0] > at_s - SETTLE_S:  # the next one took its place before the window
        told = told[1:]
    slaves = state.slaves or (SlaveRecord(),) * len(site.slaves)
    return replace(state, told=told, began_at_s=began_at_s, at_s=at_s, slaves=slaves)


def _heard(
    slave: Slave, place: int, seen: SlaveState, record: SlaveRecord, state: FollowingState
) -> SlaveRecord:
    """What the newest report says, if it is new; a slave that is silent says nothing."""
    if not seen.available:
        is_clean = record.suspected is None and not record.sound
        return record if is_clean else replace(record, suspected=None, suspicions=0, sound=0)
    heard_at_s = state.at_s - seen.report_age_s
    if seen.told_w is None or not heard_at_s > record.heard_at_s + ROUNDING_S:
        return record
    record = replace(record, heard_at_s=heard_at_s)
    if not state.at_s - state.began_at_s >= SETTLE_S:
        return record
    lately_w = [setpoints_w[place] for _, setpoints_w in state.told]
    return _take(slave, seen, lately_w, state.at_s, record)


def _take(
    slave: Slave, seen: SlaveState, lately_w: list[int], at_s: float, record: SlaveRecord
) -> SlaveRecord:
    """One new report."""
    deviation = _deviation(seen, lately_w, FURTHER_SHARE if _is_led(record) else TOLERANCE_SHARE)
    if deviation is None:
        if _leaves_suspicion(seen, lately_w, at_s, record):
            return record
        return _sound(slave, seen, at_s, replace(record, suspected=None, suspicions=0))
    power_w = seen.power_w if seen.power_w is not None and isfinite(seen.power_w) else 0.0
    if deviation is record.suspected and at_s - record.suspected_at_s <= SUSPECTED_FOR_S:
        record = replace(
            record, suspicions=record.suspicions + 1, suspect_w=max(power_w, record.suspect_w), sound=0
        )
    else:
        record = replace(
            record, suspected=deviation, suspicions=1, suspected_at_s=at_s, suspect_w=power_w, sound=0
        )
    is_long = record.suspicions >= CONFIRM_REPORTS and at_s - record.suspected_at_s >= CONFIRM_S
    # an echo is no measurement: one is enough
    return _restricted(seen, at_s, record) if is_long or deviation is Deviation.APPLIES_OTHER else record


def _deviation(seen: SlaveState, lately_w: list[int], share: float) -> Deviation | None:
    """What one report speaks for, given everything that the slave may have followed lately."""
    if seen.applied_w != seen.told_w:
        return Deviation.APPLIES_OTHER
    if seen.power_w is None or not isfinite(seen.power_w):
        return None
    told_w = [*lately_w, seen.told_w or 0]
    if seen.power_w > max(told_w) + _tolerance_w(max(told_w), TOLERANCE_SHARE):
        return Deviation.DRAWS_MORE
    if seen.power_w < min(told_w) - _tolerance_w(min(told_w), share):
        return Deviation.DRAWS_LESS
    return None


def _leaves_suspicion(seen: SlaveState, lately_w: list[int], at_s: float, record: SlaveRecord) -> bool:
    """Whether a report is too little to clear a slave that seemed to draw too much.

    A controller that meets such a slave takes its setpoint back: told next to nothing, or much less than a
    moment ago, a slave that is far too strong stays within what it may have been told.
    """
    if record.suspected is not Deviation.DRAWS_MORE or at_s - record.suspected_at_s > SUSPECTED_FOR_S:
        return False
    told_w = seen.told_w or 0
    return told_w < TOLERANCE_W or told_w < 0.5 * max(lately_w)


def _restricted(seen: SlaveState, at_s: float, record: SlaveRecord) -> SlaveRecord:
    """Told no more than what it was seen to do."""
    pause_s = record.retry_pause_s
    if record.is_tried or (record.deviation is None and at_s - record.released_at_s < RETRY_MAX_S):
        pause_s = min(2.0 * pause_s, RETRY_MAX_S)
    elif record.deviation is None:
        pause_s = RETRY_S
    limit_w = _seen_to_do_w(seen, record)
    return replace(
        record,
        suspected=None,
        suspicions=0,
        deviation=record.suspected,
        limit_w=min(limit_w, record.limit_w) if _is_led(record) else limit_w,
        is_tried=False,
        retry_at_s=at_s + pause_s,
        retry_pause_s=pause_s,
    )


def _seen_to_do_w(seen: SlaveState, record: SlaveRecord) -> int:
    if record.suspected is Deviation.DRAWS_LESS:
        return int(record.suspect_w)
    echo_w, told_w = seen.applied_w or 0, seen.told_w or 0
    is_weaker = record.suspected is Deviation.APPLIES_OTHER and 0 <= echo_w < told_w
    return echo_w if is_weaker else 0


def _sound(slave: Slave, seen: SlaveState, at_s: float, record: SlaveRecord) -> SlaveRecord:
    """A report that speaks against nothing: while the slave is tried, enough of them release it."""
    if not record.is_tried:
        return record
    does_w = seen.power_w if seen.power_w is not None else float(seen.applied_w or 0)
    if not does_w >= 0.5 * (record.limit_w + _told_at_most_w(slave, record)):
        return replace(record, sound=0)
    sound, sound_at_s = record.sound + 1, record.sound_at_s if record.sound else at_s
    if sound >= CONFIRM_REPORTS and at_s - sound_at_s >= CONFIRM_S:
        return SlaveRecord(
            heard_at_s=record.heard_at_s, retry_pause_s=record.retry_pause_s, released_at_s=at_s
        )
    return replace(record, sound=sound, sound_at_s=sound_at_s)


def _retried(record: SlaveRecord, at_s: float) -> SlaveRecord:
    """When the pause is over: try it, unless it deviates even from what it is told now."""
    if not (_is_led(record) and at_s >= record.retry_at_s):
        return record
    if record.suspected is not None:
        return replace(record, retry_at_s=at_s + record.retry_pause_s)
    return replace(record, is_tried=True, sound=0)


def _is_led(record: SlaveRecord) -> bool:
    """Whether the slave is held to its limit."""
    return record.deviation is not None and not record.is_tried


def _told_at_most_w(slave: Slave, record: SlaveRecord) -> int:
    """The limit, or while it is tried so much more that a slave which does not follow would show it."""
    if not record.is_tried:
        return min(record.limit_w, slave.max_w)
    more_w = record.limit_w + 2.0 * _tolerance_w(record.limit_w, TOLERANCE_SHARE)
    if slave.levels_w:
        return next((level_w for level_w in slave.levels_w if level_w >= more_w), slave.max_w)
    return min(max(int(more_w), slave.min_w), slave.max_w)


def _limited(slave: Slave, seen: SlaveState, record: SlaveRecord) -> SlaveState:
    if record.deviation is None:
        return seen
    limit_w = _told_at_most_w(slave, record)
    return replace(seen, limit_w=limit_w if seen.limit_w is None else min(limit_w, seen.limit_w))


def _tolerance_w(told_w: float, share: float) -> float:
    return max(TOLERANCE_W, share * told_w)
