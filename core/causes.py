"""Names of everything that lowers authority. What each of them leads to is in ``safety.faults``."""

from enum import StrEnum


class Cause(StrEnum):
    """A cause of lower authority, as journals and the status page name it.

    A member is its own text, so it stands wherever a name does. `Snapshot.alarms` and the causes of a
    decision stay texts: a journal of another release may bring a name that this one does not know.
    """

    STARTING = "starting"
    """The one cause that nobody else can raise: before the first good samples nothing can be lost, so an
    alarm of this name would blind a running site. From outside it is `UNKNOWN_ALARM`."""
    METER_LATE = "meter_late"
    LATE_TICK = "late_tick"
    METER_LOST = "meter_lost"
    RADIO_LOST = "radio_lost"
    REST_ORDERED = "rest_ordered"
    TICK_ERROR = "tick_error"
    LOOP_DIVERGES = "loop_diverges"
    METER_CONFIG = "meter_config"
    METER_IDENTITY = "meter_identity"
    METER_SIGN = "meter_sign"
    METER_PHASES = "meter_phases"
    FRAME_ROUND_TRIP = "frame_round_trip"
    NO_FRAME_COUNTER = "no_frame_counter"
    UNKNOWN_ALARM = "unknown_alarm"
    RADIO_DOWN = "radio_down"
    SLAVES_SILENT = "slaves_silent"
    AIRTIME_LOST = "airtime_lost"
    FALLBACK_ORDERED = "fallback_ordered"
    POLICY_LATE = "policy_late"
    STATE_UNWRITABLE = "state_unwritable"
    RESTART_STORM = "restart_storm"
    POLICY_FAULT = "policy_fault"
    REENTRY = "reentry"
    VIOLATION = "violation"
    ANOMALY = "anomaly"
    STATE_LOST = "state_lost"
    DWELL = "dwell"
    REPEATED_LATE_TICKS = "repeated_late_ticks"
    REPEATED_VIOLATIONS = "repeated_violations"
    ROLLBACK = "rollback"

    def __repr__(self) -> str:
        """As of its text: what was decided and what is read from a journal look alike."""
        return repr(self.value)
