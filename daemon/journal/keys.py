"""The tables of the journal's format: what its keys and texts mean in the code of today.

A table never changes once journals of its version exist: whoever renames a field or a member renames it here
on the right-hand side only, and tests/daemon/journal holds journals of every version against it.
"""

from enum import Enum

from core.decision import (
    Anomaly,
    Authority,
    Decision,
    Intervention,
    Send,
    Source,
    State,
    SupervisorDecision,
    Switch,
)
from core.estimation.following import Deviation, NotFollowing
from core.estimation.learned_response import LearnedResponse
from core.estimation.state_estimate import StateEstimate
from core.estimation.swinging import Swinging
from core.modes import Mode
from core.snapshot import DeviceOrder, GroupOnAir, OnAirState, SlaveState, Snapshot
from daemon.journal.records import (
    Checkpoint,
    Continuation,
    Event,
    Outcome,
    PolicyChange,
    Start,
    Tick,
    TickInputs,
)
from daemon.system.file_format import Constant, Derived, FileFormat, Keys, Texts

KIND = "kind"
"""The key that tells which record a line is."""
KINDS: dict[str, type] = {
    "start": Start,
    "policy": PolicyChange,
    "continuation": Continuation,
    "tick": Tick,
    "event": Event,
    "inputs": TickInputs,
    "memory": Checkpoint,
}

_TEXTS: dict[type[Enum], Texts] = {
    Authority: {"policy": Authority.POLICY, "fallback": Authority.FALLBACK, "rest": Authority.REST},
    Mode: {
        "shadow": Mode.SHADOW,
        "ab": Mode.AB,
        "rollout": Mode.ROLLOUT,
        "production": Mode.PRODUCTION,
    },
    Send: {
        "nothing": Send.NOTHING,
        "change": Send.CHANGE,
        "keep_alive": Send.KEEP_ALIVE,
        "safe": Send.SAFE,
    },
    Source: {
        "policy": Source.POLICY,
        "fallback": Source.FALLBACK,
        "hold": Source.HOLD,
        "rest": Source.REST,
    },
    State: {
        "init": State.INIT,
        "hold": State.HOLD,
        "pi_fallback": State.FALLBACK,
        "rl_active": State.RL_ACTIVE,
        "safe_stop": State.SAFE_STOP,
    },
}
_KEYS: dict[type, Keys] = {
    Start: {
        KIND: Constant("start"),
        "version": "version",
        "unix_s": "unix_s",
        "run": "run",
        "settings_path": "settings_path",
        "settings_toml": "settings_toml",
        "bundle_sha256": "bundle_sha256",
        "bundle_directory": "bundle_directory",
        "calibration_sha256": "calibration_sha256",
        "standing": "standing",
    },
    PolicyChange: {
        KIND: Constant("policy"),
        "unix_s": "unix_s",
        "bundle_sha256": "bundle_sha256",
        "bundle_directory": "bundle_directory",
    },
    Continuation: {KIND: Constant("continuation"), "start": "start", "policy": "policy"},
    Tick: {
        KIND: Constant("tick"),
        "unix_s": "unix_s",
        "mode": "mode",
        "snapshot": "snapshot",
        "authority": "authority",
        "propensity": "propensity",
        "block": "block",
        "confounded": "confounded",
        "decision": "decision",
        "frames_hex": "frames_hex",
        "accepted": "accepted",
        "meter_raw": "meter_raw",
    },
    Event: {KIND: Constant("event"), "unix_s": "unix_s", "event": "event", "detail": "detail"},
    SlaveState: {"available": "available", "power_w": "power_w", "report_age_s": "report_age_s"},
    OnAirState: {
        "action_w": "action_w",
        "setpoints_w": "setpoints_w",
        "age_s": "age_s",
        "doubts": "doubts",
    },
    Snapshot: {
        "tick": "tick",
        "at_s": "at_s",
        "grid_power_w": "grid_power_w",
        "meter_age_s": "meter_age_s",
        "slaves": "slaves",
        "on_air": "on_air",
        "alarms": "alarms",
        "acknowledged": "acknowledged",
        "extra_delay_s": "extra_delay_s",
        "link_loss_rate": "link_loss_rate",
        "policy_latency_s": "policy_latency_s",
        "hour": "hour",
    },
    SupervisorDecision: {"state": "state", "source": Derived("source"), "causes": "causes"},
    StateEstimate: {
        "fresh": "fresh",
        "meter_w": "meter_w",
        "surplus_w": "surplus_w",
        "model_w": "model_w",
        "command_w": "command_w",
        "capacity_w": "capacity_w",
        "credit_s": "credit_s",
        "delay_s": "delay_s",
        "sign": "sign",
    },
    Anomaly: {"flags": "flags", "trip": "trip"},
    Intervention: {"rule": "rule", "before_w": "before_w", "after_w": "after_w"},
    Decision: {
        "tick": "tick",
        "authority": "authority",
        "verdict": "verdict",
        "sight": "estimate",
        "wished_w": "policy_action_w",
        "steady_w": "fallback_action_w",
        "asked_w": "requested_action_w",
        "allowed_w": "safe_action_w",
        "setpoints_w": "setpoints_w",
        "send": "send",
        "anomaly": "anomaly",
        "violations": "violations",
        "interventions": "interventions",
    },
}
_DECISION_2: Keys = {
    "tick": "tick",
    "authority": "authority",
    "verdict": "verdict",
    "sight": "estimate",
    "policy_action_w": "policy_action_w",
    "fallback_action_w": "fallback_action_w",
    "requested_action_w": "requested_action_w",
    "safe_action_w": "safe_action_w",
    "setpoints_w": "setpoints_w",
    "send": "send",
    "anomaly": "anomaly",
    "violations": "violations",
    "interventions": "interventions",
}
_KEYS_3: dict[type, Keys] = {
    **_KEYS,
    SlaveState: {**_KEYS[SlaveState], "applied_w": "applied_w", "told_w": "told_w"},
    NotFollowing: {"slave": "slave", "deviation": "deviation", "limit_w": "limit_w"},
    OnAirState: {**_KEYS[OnAirState], "groups": "groups", "still_s": "still_s"},
    GroupOnAir: {
        "slaves": "slaves",
        "age_s": "age_s",
        "low_w": "low_w",
        "high_w": "high_w",
        "unconfirmed": "unconfirmed",
        "may_rest": "may_rest",
    },
    Switch: {"place": "place", "from_w": "from_w", "to_w": "to_w"},
    Decision: {
        **_DECISION_2,
        "not_following": "not_following",
        "withheld": "withheld",
        "switch": "switch",
    },
}
_TEXTS_3: dict[type[Enum], Texts] = {
    **_TEXTS,
    Deviation: {
        "draws_less": Deviation.DRAWS_LESS,
        "draws_more": Deviation.DRAWS_MORE,
        "applies_other": Deviation.APPLIES_OTHER,
    },
}
_OUTCOME_4: Keys = {
    "verdict": "verdict",
    "policy_action_w": "policy_action_w",
    "setpoints_w": "setpoints_w",
    "withheld": "withheld",
    "send": "send",
    "anomaly": "anomaly",
    "violations": "violations",
    "rules": "rules",
}
_INPUTS_4: Keys = {
    KIND: Constant("inputs"),
    **{key: name for key, name in _KEYS[Tick].items() if key not in (KIND, "decision", "meter_raw")},
    "outcome": "outcome",
    "digest": "digest",
}
_CHECKPOINT_4: Keys = {KIND: Constant("memory"), "shapes": "shapes", "values": "values"}
_KEYS_4: dict[type, Keys] = {
    **_KEYS_3,
    Start: {**_KEYS[Start], "measured": "measured", "watches": "watches"},
    Swinging: {"phase": "phase", "gain_share": "gain_share", "delay_s": "delay_s", "lag_s": "lag_s"},
    LearnedResponse: {
        "dead_time_s": "dead_time_s",
        "dead_time_high_s": "dead_time_high_s",
        "lag_s": "lag_s",
        "gain": "gain",
        "moving_s": "moving_s",
        "in_force": "in_force",
    },
    Decision: {**_KEYS_3[Decision], "swinging": "swinging", "learned": "learned"},
    TickInputs: _INPUTS_4,
    Outcome: _OUTCOME_4,
    Checkpoint: _CHECKPOINT_4,
}
_KEYS_5: dict[type, Keys] = {
    **_KEYS_4,
    SlaveState: {**_KEYS_4[SlaveState], "order": "order", "priority": "priority"},
}
_TEXTS_5: dict[type[Enum], Texts] = {
    **_TEXTS_3,
    DeviceOrder: {"boost": DeviceOrder.BOOST, "rest": DeviceOrder.REST},
}
FORMATS = {
    1: FileFormat(_KEYS, _TEXTS),
    2: FileFormat({**_KEYS, Decision: _DECISION_2}, _TEXTS),
    3: FileFormat(_KEYS_3, _TEXTS_3),
    4: FileFormat(_KEYS_4, _TEXTS_3),
    5: FileFormat(_KEYS_5, _TEXTS_5),
}
DIGESTED = FileFormat(
    {
        kind: _KEYS_3[kind]
        for kind in (Decision, SupervisorDecision, StateEstimate, Anomaly, Intervention, NotFollowing, Switch)
    },
    _TEXTS_3,
)
"""What a digest is made of. A new field of these classes is a new key in a later version, and not here."""
