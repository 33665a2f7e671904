"""From what a journal holds to whole ticks: what was not written is computed again by the code that made it.

What came from a bundle or a calibration is in the journal (`Outcome`), so neither is needed here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any

from core.decision import Anomaly, Decision, Intervention
from core.estimation.following import (
    FollowingState,
    NotFollowing,
    check_following,
    limit_capacities,
    not_following,
)
from core.estimation.learned_response import Learned
from core.estimation.learning import LearningState, learn_responses, what_is_learned
from core.estimation.state_estimate import EstimatorState, StateEstimate, estimate_state
from core.parts import Memory, Parts, Watches, initial_memory
from core.scheduling.orders import in_owners_order, rested
from core.scheduling.staged import SchedulerState, has_staged, view_apart, whole_estimate
from core.site import Phases
from core.tick import decide
from daemon.config.settings import SettingsError, parse_settings
from daemon.journal.digest import digest
from daemon.journal.memory_record import from_checkpoint
from daemon.journal.reader import read_journal
from daemon.journal.records import AnyRecord, Checkpoint, Continuation, Outcome, Start, Tick, TickInputs
from daemon.runtime.assembly import assemble_from
from safety.timers import from_record

UNKNOWN: Phases = (nan, nan, nan)
_NEEDED = ("belief", "fallback", "watch", "bucket", "scheduler", "following")
"""Parts of the memory that decide what follows, once the policy's answers are known; and those of the
watches."""


class _Journalled:
    """Observer, policy and detector that say what the journal says they said."""

    cold: None = None

    def __init__(self) -> None:
        self.policy_action_w: Phases | None = None
        self.anomaly = Anomaly()

    def observe(self, *_: Any) -> tuple[tuple[float, ...], None]:
        return (), None

    def propose(self, *_: Any) -> tuple[Phases | None, None]:
        return self.policy_action_w, None

    def inspect(self, *_: Any) -> tuple[Anomaly, None]:
        return self.anomaly, None


@dataclass(slots=True)
class Completion:
    """Makes whole ticks, record by record.

    With `decides` every decision is whole. Without, which is much faster, the three actions after the
    policy's are not numbers, and so are the watts of interventions; everything else is as it was.

    `different` counts ticks that were decided otherwise by this release: what is in the journal counts, the
    rest of their decision is this release's. `unknown` counts ticks that could not be decided again, because
    lines before them are missing: their three actions are not numbers.
    """

    decides: bool = True
    different: int = 0
    unknown: int = 0
    _run: Start | None = None
    _parts: Parts | None = None
    _journalled: _Journalled = field(default_factory=_Journalled)
    _memory: Memory | None = None
    _belief: EstimatorState = field(default_factory=EstimatorState)
    _following: FollowingState = field(default_factory=FollowingState)
    _responses: LearningState = field(default_factory=LearningState)
    _scheduler: SchedulerState = field(default_factory=SchedulerState)
    _expected: int | None = None

    def records(self, records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
        """The records of a journal in order, every tick whole, without checkpoints."""
        for record in records:
            if isinstance(record, Checkpoint):
                self._remember(record)
            elif isinstance(record, Tick | TickInputs):
                yield self._whole(record)
            else:
                if isinstance(record, Start):
                    self._begin(record)
                    self._memory = None if self._parts is None else initial_memory(self._parts)
                elif isinstance(record, Continuation) and record.start != self._run:
                    self._begin(record.start)
                yield record

    def _begin(self, start: Start) -> None:
        self._run, self._memory, self._parts, self._expected = start, None, None, None
        self._belief, self._following, self._scheduler = EstimatorState(), FollowingState(), SchedulerState()
        self._responses = LearningState()
        try:
            read = parse_settings(start.settings_toml, Path(start.settings_path))
            settings = read.with_measured(start.measured)
            standing = from_record(start.standing) if start.standing else None
        except (SettingsError, ValueError):
            return  # written by another release
        watches = Watches.of(start.watches)
        parts = assemble_from(settings, standing=standing, bundle=lambda: None, watches=watches).parts
        part = self._journalled
        self._parts = replace(parts, observer=part, policy=part, detector=part)

    def _remember(self, checkpoint: Checkpoint) -> None:
        if self._parts is None:
            return
        cold = initial_memory(self._parts)
        watches = self._parts.watches
        learned = ("responses",) if watches.responses else ()
        found = from_checkpoint(checkpoint, cold, ("belief", "following", "scheduler", *learned))
        if found is not None:
            self._belief, self._following, self._scheduler = found.belief, found.following, found.scheduler
            self._responses = found.responses
        self._memory = from_checkpoint(checkpoint, cold, (*_NEEDED, *watches.names))
        self._expected = None  # whatever is missing before it

    def _whole(self, tick: Tick | TickInputs) -> Tick:
        if self._expected not in (None, tick.snapshot.tick):
            self._memory = None
        self._expected = tick.snapshot.tick + 1
        if self._parts is not None and self._memory is not None and self._has_to_decide(self._parts):
            return self._decided(tick, self._parts, self._memory)
        estimate = self._look(tick)
        if isinstance(tick, Tick):
            return tick
        self.unknown += self.decides
        return tick.tick(_as_far_as_known(tick, estimate, self._apart(), what_is_learned(self._responses)))

    def _has_to_decide(self, parts: Parts) -> bool:
        """What is left to the modulating slaves is known only once the staged ones were decided about."""
        return self.decides or has_staged(parts.site)

    def _look(self, tick: Tick | TickInputs) -> StateEstimate:
        if self._parts is None or len(tick.snapshot.slaves) != len(self._parts.site.slaves):
            return _BLIND
        site, snapshot = in_owners_order(self._parts.site, tick.snapshot), rested(tick.snapshot)
        self._following = check_following(site, snapshot, self._following)
        seen = limit_capacities(site, snapshot, self._following)
        view = view_apart(site, seen, self._scheduler)
        self._scheduler = replace(self._scheduler, stages=view.stages)
        if self._parts.watches.responses:
            self._responses = learn_responses(view.site, view.snapshot, self._responses)
        estimate, self._belief = estimate_state(
            view.site, view.snapshot, self._belief, self._responses.in_force
        )
        return whole_estimate(estimate, site, seen, view)

    def _apart(self) -> tuple[NotFollowing, ...]:
        return () if self._parts is None else not_following(self._parts.site, self._following)

    def _decided(self, tick: Tick | TickInputs, parts: Parts, memory: Memory) -> Tick:
        outcome = Outcome.of(tick.decision) if isinstance(tick, Tick) else tick.outcome
        self._journalled.policy_action_w, self._journalled.anomaly = outcome.policy_action_w, outcome.anomaly
        decision, self._memory = decide(tick.snapshot, tick.authority, memory, parts)
        self._belief, self._following = self._memory.belief, self._memory.following
        self._responses, self._scheduler = self._memory.responses, self._memory.scheduler
        if isinstance(tick, Tick):
            self.different += digest(decision) != digest(tick.decision)
            return tick
        if digest(decision) != tick.digest:
            self.different += 1
            decision = _with_outcome(decision, outcome)
        return tick.tick(decision)


def read_whole(path: Path, *, decides: bool = True) -> Iterator[AnyRecord]:
    """Records of a file or a directory, every tick whole (`Completion`).

    Raises:
        JournalError: missing or damaged.
    """
    yield from Completion(decides).records(read_journal(path))


_NOWHERE: Phases = (0.0, 0.0, 0.0)
_BLIND = StateEstimate(False, _NOWHERE, _NOWHERE, _NOWHERE, _NOWHERE, _NOWHERE, 0.0, 0.0, 1.0)


def _as_far_as_known(
    tick: TickInputs, estimate: StateEstimate, apart: tuple[NotFollowing, ...], learned: Learned
) -> Decision:
    outcome = tick.outcome
    return Decision(
        tick=tick.snapshot.tick,
        authority=tick.authority,
        verdict=outcome.verdict,
        estimate=estimate,
        policy_action_w=outcome.policy_action_w,
        fallback_action_w=UNKNOWN,
        requested_action_w=UNKNOWN,
        safe_action_w=UNKNOWN,
        setpoints_w=outcome.setpoints_w or tick.snapshot.on_air.setpoints_w,
        send=outcome.send,
        anomaly=outcome.anomaly,
        violations=outcome.violations,
        interventions=tuple(Intervention(rule, UNKNOWN, UNKNOWN) for rule in outcome.rules),
        withheld=outcome.withheld,
        not_following=apart,
        learned=learned,
    )


def _with_outcome(decision: Decision, outcome: Outcome) -> Decision:
    return replace(
        decision,
        verdict=outcome.verdict,
        policy_action_w=outcome.policy_action_w,
        setpoints_w=outcome.setpoints_w or decision.setpoints_w,
        send=outcome.send,
        anomaly=outcome.anomaly,
        violations=outcome.violations,
        withheld=outcome.withheld,
    )
