"""The versions of the journal's format: what its keys and texts mean in the code of today.

Version 1 is what Sunkeep 0.1 wrote; its files name no version. Version 2 begins every file with a line that
does. Version 3 tells what slaves echo and which of them do not follow. A table never changes once journals of
its version exist: whoever renames a field or a member renames it here on the right-hand side only, and
tests/daemon/journal holds journals of every version against it.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
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
from core.following import Deviation, NotFollowing
from core.modes import Mode
from core.snapshot import GroupOnAir, OnAirState, SlaveState, Snapshot
from core.state_estimate import StateEstimate
from daemon.journal.records import (
    AnyRecord,
    Continuation,
    Event,
    PolicyChange,
    Segment,
    Start,
    Tick,
    checked,
    unchecked,
)
from daemon.system.file_format import Constant, FileFormat, FormatError, Keys, Texts

VERSION = 3
"""What is written."""
KIND = "kind"
"""The key that tells which record a line is."""
_SEGMENT = "segment"
_KINDS: dict[str, type] = {
    "start": Start,
    "policy": PolicyChange,
    "continuation": Continuation,
    "tick": Tick,
    "event": Event,
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
        "pi_fallback": State.PI_FALLBACK,
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
    SupervisorDecision: {"state": "state", "source": "source", "causes": "causes"},
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
        "sight": "sight",
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
    "sight": "sight",
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
    Start: {**_KEYS[Start], "measured": "measured"},
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
FORMATS = {
    1: FileFormat(_KEYS, _TEXTS),
    2: FileFormat({**_KEYS, Decision: _DECISION_2}, _TEXTS),
    3: FileFormat(_KEYS_3, _TEXTS_3),
}


class VersionError(ValueError):
    """A file of a version that this release does not know."""


class LineReader:
    """Reads the lines of one file, the first of which may tell the version; without it they are version 1.

    Where the first line is damaged, every version is tried.
    """

    def __init__(self) -> None:
        self._versions: tuple[int, ...] = ()

    def read(self, line: bytes) -> AnyRecord | None:
        """The record of the next line; None for one that tells the version.

        Raises:
            VersionError: the file cannot be read by this release.
            ValueError: the checksum does not match or the content is no record.
        """
        is_first = not self._versions
        if is_first:
            self._versions = tuple(FORMATS)
        content = unchecked(line)
        if is_first:
            self._versions = (1,)
            if content.get(KIND) == _SEGMENT:
                version = content.get("version")
                if not isinstance(version, int) or version not in FORMATS:
                    raise VersionError(f"is of version {version} of the format, made by a newer Sunkeep")
                self._versions = (version,)
                return None
        *others, last = self._versions
        for version in others:
            with suppress(ValueError):
                return from_content(content, version)
        return from_content(content, last)


def to_line(record: AnyRecord | Segment, version: int = VERSION) -> bytes:
    """A record as one line of the journal."""
    if isinstance(record, Segment):
        content: dict[str, object] = {KIND: _SEGMENT, "version": record.version}
    else:
        content = FORMATS[version].encode(record)
    return checked(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())


def from_line(line: bytes, version: int = VERSION) -> AnyRecord:
    """The record of one line.

    Raises:
        ValueError: the checksum does not match or the content is not a record of this version.
    """
    return from_content(unchecked(line), version)


def from_content(content: dict[str, object], version: int) -> AnyRecord:
    """The record of a JSON object. Raises ValueError: it is none."""
    kind = _KINDS.get(str(content.get(KIND)))
    try:
        if kind is None:
            raise FormatError("kind: unknown")
        record: AnyRecord = FORMATS[version].decode(kind, content)
        return record
    except FormatError as error:
        raise ValueError(f"not a record of version {version} ({error})") from None


def to_segment(records: Iterable[AnyRecord]) -> bytes:
    """A whole file of the journal."""
    return b"".join(map(to_line, (Segment(version=VERSION), *records)))
