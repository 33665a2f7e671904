"""The plan's state as plain JSON values: what a file calls it, apart from what the code calls it."""

import json
from typing import Any

from daemon.rollout.evidence import StepEvidence
from daemon.rollout.lot import LotCount, OpenBlock
from daemon.rollout.plan import RolloutStep
from daemon.rollout.walk import Move, MoveKind, RolloutState
from daemon.system.file_format import FileFormat, FormatError, Keys

SCHEMA_VERSION = 1


def _same(*names: str) -> Keys:
    return {name: name for name in names}


_FORMAT = FileFormat(
    {
        RolloutState: _same(
            "policy", "fallback", "step", "since_unix_s", "evidence", "held", "is_ready", "moves"
        ),
        StepEvidence: _same(
            "ran_s",
            "measured_s",
            "sun_s",
            "proposed_s",
            "slow_s",
            "clean_s",
            "violations",
            "anomalies",
            "changes",
            "imbalance_ws",
            "lot",
            "block",
        ),
        LotCount: _same("policy", "fallback", "policy_short", "fallback_short", "log_e"),
        OpenBlock: _same("index", "is_policy", "propensity", "measured_s", "is_mixed"),
        Move: _same("kind", "source", "target", "unix_s", "by", "reasons", "forced"),
    },
    {
        RolloutStep: {
            "shadow": RolloutStep.SHADOW,
            "ab": RolloutStep.AB,
            "share_25": RolloutStep.SHARE_25,
            "share_50": RolloutStep.SHARE_50,
            "share_75": RolloutStep.SHARE_75,
            "share_100": RolloutStep.SHARE_100,
            "production": RolloutStep.PRODUCTION,
        },
        MoveKind: {
            "begun": MoveKind.BEGUN,
            "ready": MoveKind.READY,
            "advanced": MoveKind.ADVANCED,
            "back": MoveKind.BACK,
            "held": MoveKind.HELD,
            "released": MoveKind.RELEASED,
        },
    },
)


def to_record(state: RolloutState) -> dict[str, Any]:
    """Plain JSON values."""
    return {"schema_version": SCHEMA_VERSION, **_FORMAT.encode(state)}


def from_record(record: Any) -> RolloutState | None:
    """The inverse; None for anything that `to_record` does not make, a later version among it."""
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        return None
    content = {key: value for key, value in record.items() if key != "schema_version"}
    try:
        state: RolloutState = _FORMAT.decode(RolloutState, content)
        json.dumps(to_record(state), allow_nan=False)
    except (FormatError, ValueError, OverflowError):
        return None
    return state
