"""What the detector would have been shown, rebuilt from journals: the features of normal control."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.decision import State
from core.estimation.learning import LearningState, learn_responses
from core.estimation.state_estimate import EstimatorState, estimate_state
from core.parts import Watches
from core.site import Site
from daemon.calibration.fit import Days
from daemon.config.settings import SettingsError, parse_settings
from daemon.journal.reader import journal_files, read_journal
from daemon.journal.records import AnyRecord, Continuation, Start, Tick, TickInputs
from daemon.journal.segments import name_of, size_bytes
from models.features import FEATURE_NAMES, FeatureObserver, Observed

NORMAL = (State.FALLBACK, State.RL_ACTIVE)
ROWS_AT_ONCE = 65536


@dataclass(slots=True)
class JournalFeatures:
    """Features and hours of the ticks in normal control, and what else was seen on the way.

    `left_out` ticks were not normal control: no fresh sample, at rest, or in the fallback of an anomaly,
    which would teach the detector what it is there to find.
    """

    site: Site
    left_out: int = 0
    bytes_read: int = 0
    first_unix_s: float = float("inf")
    last_unix_s: float = float("-inf")
    _full: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]] = field(default_factory=list)
    _rows: list[tuple[float, ...]] = field(default_factory=list)
    _hours: list[int] = field(default_factory=list)

    @property
    def ticks(self) -> int:
        """Ticks that count."""
        return len(self._hours)

    @property
    def days(self) -> float:
        """Days of ticks that count."""
        return self.ticks * self.site.period_s / 86400.0

    def take(self, tick: Tick | TickInputs, features: tuple[float, ...]) -> None:
        """Keep one tick of normal control."""
        self._rows.append(features)
        self._hours.append(-1 if tick.snapshot.hour is None else tick.snapshot.hour)
        self.first_unix_s = min(self.first_unix_s, tick.unix_s)
        self.last_unix_s = max(self.last_unix_s, tick.unix_s)
        if len(self._rows) == ROWS_AT_ONCE:
            self._pack()

    def arrays(self) -> Days:
        """Everything that was kept."""
        self._pack()
        features = np.concatenate(self._full) if self._full else np.zeros((0, len(FEATURE_NAMES)), np.float32)
        return Days(features, np.array(self._hours, np.int8), self.site.period_s)

    def _pack(self) -> None:
        if self._rows:
            self._full.append(np.array(self._rows, np.float32))
            self._rows.clear()


def gather(journal: Path, site: Site, tell: Callable[[float], None] = lambda _: None) -> JournalFeatures:
    """Replay the observer over a journal.

    Every start in the journal brings its own site; `site` stands for ticks before the first one, and for
    what is calibrated: days of another role or period do not count.

    Args:
        journal: a directory of journals, or one file.
        tell: called with the share of the bytes that is done, file by file.

    Raises:
        JournalError: missing or damaged.
    """
    gathered = JournalFeatures(site)
    for records in _runs(journal, gathered, tell):
        _replay(records, gathered)
    return gathered


def _runs(
    journal: Path, gathered: JournalFeatures, tell: Callable[[float], None]
) -> Iterator[Iterator[AnyRecord]]:
    """One iterator per run: files of a run share the start of their names."""
    files = journal_files(journal)
    total = size_bytes(files) or 1
    runs: dict[str, list[Path]] = {}
    for file in files:
        runs.setdefault(name_of(file).rpartition("-")[0], []).append(file)

    def records(members: list[Path]) -> Iterator[AnyRecord]:
        for file in members:
            yield from read_journal(file)
            gathered.bytes_read += size_bytes([file])
            tell(gathered.bytes_read / total)

    for members in runs.values():
        yield records(members)


def _replay(records: Iterator[AnyRecord], gathered: JournalFeatures) -> None:
    observer = FeatureObserver()
    site, belief = gathered.site, EstimatorState()
    responses, watches = LearningState(), Watches.of(())
    observed: Observed = observer.cold
    for record in records:
        if isinstance(record, Continuation) and observed is observer.cold:
            site, watches = _site_of(record.start) or site, Watches.of(record.start.watches)
        elif isinstance(record, Start):
            site, belief, observed = _site_of(record) or site, EstimatorState(), observer.cold
            responses, watches = LearningState(), Watches.of(record.watches)
        elif isinstance(record, Tick | TickInputs):
            if len(record.snapshot.slaves) != len(site.slaves):
                gathered.left_out += 1
                continue
            if watches.responses:
                responses = learn_responses(site, record.snapshot, responses)
            estimate, belief = estimate_state(site, record.snapshot, belief, responses.in_force)
            features, observed = observer.observe(record.snapshot, estimate, observed)
            if estimate.fresh and _is_normal(record) and _is_same_kind(site, gathered.site):
                gathered.take(record, features)
            else:
                gathered.left_out += 1


def _is_normal(tick: Tick | TickInputs) -> bool:
    verdict = tick.verdict
    return verdict.state in NORMAL and "anomaly" not in verdict.causes


def _is_same_kind(site: Site, other: Site) -> bool:
    return site.role is other.role and site.period_s == other.period_s and site.metering is other.metering


def _site_of(start: Start) -> Site | None:
    """The site as it was configured then; None when this version cannot read that configuration."""
    try:
        settings = parse_settings(start.settings_toml, Path(start.settings_path))
        return settings.with_measured(start.measured).core_site()
    except SettingsError:
        return None
