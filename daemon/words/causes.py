"""Causes of the supervisor in words, as clauses after "because"."""

from core.causes import Cause

CAUSES: dict[str, str] = {
    Cause.STARTING: "it has just started and checks the meter first",
    Cause.METER_LATE: "the newest meter reading is missing",
    Cause.LATE_TICK: "the computer was too busy to be on time",
    Cause.METER_LOST: "the meter does not answer",
    Cause.RADIO_LOST: "the radio coordinator has not answered for too long",
    Cause.REST_ORDERED: "it was told to rest",
    Cause.TICK_ERROR: "an unforeseen error occurred",
    Cause.LOOP_DIVERGES: "the devices do not do what they are told",
    Cause.METER_CONFIG: "the meter refuses what the daemon asks",
    Cause.METER_IDENTITY: "the meter is not the one that was set up",
    Cause.METER_SIGN: "the meter seems to count in the wrong direction",
    Cause.METER_PHASES: "the meter's phases seem to be swapped",
    Cause.FRAME_ROUND_TRIP: "a frame did not decode to what was decided",
    Cause.NO_FRAME_COUNTER: "no frame can be numbered: the counters are used up or cannot be stored",
    Cause.UNKNOWN_ALARM: "a device raised an alarm that is not known",
    Cause.RADIO_DOWN: "the radio coordinator does not answer",
    Cause.SLAVES_SILENT: "no device answers",
    Cause.AIRTIME_LOST: "the radio channel has no room for setpoints",
    Cause.FALLBACK_ORDERED: "the configured mode says so",
    Cause.POLICY_LATE: "the learned policy took too long",
    Cause.STATE_UNWRITABLE: "the state cannot be saved",
    Cause.RESTART_STORM: "it was restarted too often",
    Cause.POLICY_FAULT: "the learned policy gave no usable answer",
    Cause.REENTRY: "the learned policy has to propose well for a minute first",
    Cause.VIOLATION: "the learned policy broke a safety rule in the last hour",
    Cause.ANOMALY: "the site looks unlike anything the policy was trained on",
    Cause.STATE_LOST: "the saved state was lost",
    Cause.DWELL: "the learned policy was told to give way less than 15 minutes ago",
    Cause.REPEATED_LATE_TICKS: "the computer was too busy again and again",
    Cause.REPEATED_VIOLATIONS: "the learned policy broke safety rules again and again",
    Cause.ROLLBACK: "the judge has taken the learned policy out of charge",
}
"""What a cause of the supervisor means. An unknown one is shown by its name."""
ENDED: dict[str, str] = {
    Cause.METER_LOST: "the meter did not answer",
    Cause.RADIO_LOST: "the radio coordinator had not answered for too long",
    Cause.REST_ORDERED: "it was told to rest",
    Cause.TICK_ERROR: "an unforeseen error occurred",
    Cause.LOOP_DIVERGES: "the devices did not do what they were told",
    Cause.METER_CONFIG: "the meter refused what the daemon asked",
    Cause.NO_FRAME_COUNTER: "no frame could be numbered",
}
"""The same of a stop whose reason is over, while good samples are awaited."""
