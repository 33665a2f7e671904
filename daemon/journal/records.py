"""What the journal holds, and how its lines are read (`docs/develop/journal.md`).

One line is ``CRC32 JSON``: eight hexadecimal digits over the bytes of the JSON text, a space, the text.
Floats are written in the shortest form that reads back as the same float, so a replay is exact.
"""

import json
import zlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from core.decision import Anomaly, Authority, Decision, Send, SupervisorDecision
from core.modes import Mode
from core.site import Phases
from core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The first line of a file: the version of its format. A file without one is of version 1."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The daemon started: everything a replay needs besides the ticks.

    `standing` is what outlived the restart (`safety.timers`), `settings_toml` the configuration as it
    was read and `settings_path` where it lay (relative paths in it are resolved against that). Without a
    `bundle_sha256` there was no policy; `bundle_directory` is where the bundle lay. `measured` are the
    numbers of commissioning in force, by name of the slave (`Settings.with_measured`), `watches` what a
    decision observed of its own loop (`core.parts.Watches`).
    """

    version: str
    unix_s: float
    run: str
    settings_path: str
    settings_toml: str
    bundle_sha256: str
    bundle_directory: str = ""
    calibration_sha256: str = ""
    measured: dict[str, Any] = field(default_factory=dict)
    watches: tuple[str, ...] = ()
    standing: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """Between two ticks another bundle took over. Without a hash no policy answers until the next change."""

    unix_s: float
    bundle_sha256: str = ""
    bundle_directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A later segment begins here: what its run started with. The ticks before may have been removed.

    `policy` is the last change of policy before, None when there was none.
    """

    start: Start
    policy: PolicyChange | None = None

    @classmethod
    def of(cls, start: Start, policy: PolicyChange | None = None) -> "Continuation":
        """Of the run that began with `start`."""
        return cls(start=start, policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One tick: what was seen, who should have acted and how likely, what was decided.

    `mode` is the one in force, None in journals that did not tell it yet.
    """

    unix_s: float
    mode: Mode | None = None
    snapshot: Snapshot
    authority: Authority
    propensity: float
    block: int
    confounded: bool
    decision: Decision
    frames_hex: tuple[str, ...] = ()
    accepted: bool | None = None
    meter_raw: tuple[int, ...] = ()

    @property
    def verdict(self) -> SupervisorDecision:
        """Who may act, and why."""
        return self.decision.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of a decision what cannot be computed again from the inputs alone, or is wanted at once.

    `policy_action_w` and `anomaly` come from the bundle and the calibration of that time; `setpoints_w` are
    empty where nothing was to be sent; `rules` name the gate's interventions.
    """

    verdict: SupervisorDecision
    policy_action_w: Phases | None
    setpoints_w: tuple[int, ...]
    withheld: tuple[int, ...]
    send: Send
    anomaly: Anomaly
    violations: tuple[str, ...]
    rules: tuple[str, ...]

    @classmethod
    def of(cls, decision: Decision) -> "Outcome":
        """That of a decision."""
        return cls(
            verdict=decision.verdict,
            policy_action_w=decision.policy_action_w,
            setpoints_w=() if decision.send is Send.NOTHING else decision.setpoints_w,
            withheld=decision.withheld,
            send=decision.send,
            anomaly=decision.anomaly,
            violations=decision.violations,
            rules=tuple(one.rule for one in decision.interventions),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TickInputs:
    """One tick whose decision is computed again from what went in (`daemon.runtime.journal_completion`).

    `digest` is that of the decision (`daemon.journal.digest`). The raw registers of the meter are told with
    whole ticks only: `snapshot` holds what came of them.
    """

    unix_s: float
    mode: Mode | None = None
    snapshot: Snapshot
    authority: Authority
    propensity: float
    block: int
    confounded: bool
    outcome: Outcome
    digest: str
    frames_hex: tuple[str, ...] = ()
    accepted: bool | None = None

    @classmethod
    def of(cls, tick: Tick, digest: str) -> "TickInputs":
        """Those of a tick."""
        return cls(outcome=Outcome.of(tick.decision), digest=digest, **_shared(tick))

    def tick(self, decision: Decision) -> Tick:
        """The whole tick."""
        return Tick(decision=decision, **_shared(self))

    @property
    def verdict(self) -> SupervisorDecision:
        """Who may act, and why."""
        return self.outcome.verdict


def _shared(tick: "Tick | TickInputs") -> dict[str, Any]:
    return {
        "unix_s": tick.unix_s,
        "mode": tick.mode,
        "snapshot": tick.snapshot,
        "authority": tick.authority,
        "propensity": tick.propensity,
        "block": tick.block,
        "confounded": tick.confounded,
        "frames_hex": tick.frames_hex,
        "accepted": tick.accepted,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The memory with which the next tick was decided (`daemon.journal.memory_record`)."""

    shapes: tuple[str, ...]
    values: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened between ticks."""

    unix_s: float
    event: str
    detail: dict[str, Any] = field(default_factory=dict)


AnyRecord: TypeAlias = Start | Continuation | PolicyChange | Tick | TickInputs | Checkpoint | Event
DAMAGED = "The file was changed or damaged."


class JournalError(Exception):
    """A journal cannot be read; the message says which file and line, and what to do."""


def checked(body: bytes) -> bytes:
    """A line of the journal around its JSON text."""
    return b"%08x %s\n" % (zlib.crc32(body), body)


def unchecked(line: bytes) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        ValueError: the checksum does not match or the content is no object.
    """
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("checksum does not match")
    content = json.loads(body)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content
