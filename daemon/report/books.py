"""Replays a journal through the daemon's own figures, and sums them by local day.

Nothing is measured a second time: `daemon.monitoring.figures` counts a retold tick exactly as it counted the
lived one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from heapq import heappush, heappushpop
from pathlib import Path
from zoneinfo import ZoneInfo

from core.modes import Mode
from core.roles import Role
from core.site import Site
from daemon.config.settings import SettingsError, parse_settings
from daemon.history.account import Account
from daemon.history.booking import TickBooker
from daemon.history.tariff import Tariff, TimeOfUse
from daemon.journal.records import AnyRecord, Continuation, Event, PolicyChange, Start, Tick
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost, SiteInfo
from daemon.report.reading import DateRange
from daemon.report.trial import BlockTrial

GAPS_KEPT = 20
"""The longest gaps are named one by one; all of them are counted."""


@dataclass(frozen=True, slots=True, order=True)
class JournalGap:
    """A time without ticks, by the wall clock."""

    lasted_s: float
    from_unix_s: float
    reason: str


RELOADED = "configuration_reloaded"
FREE = TimeOfUse(Tariff(0.0, 0.0, ""))
"""Where nobody asks for money."""


@dataclass(slots=True)
class DaemonRun:
    """One run of the daemon, as far as it was retold."""

    start: Start
    figures: Figures
    bundle_sha256: str
    booker: TickBooker
    tick: Tick | None = None

    @property
    def site(self) -> Site:
        """The site as it was configured then."""
        return self.figures.site

    def adopt(self, mode: Mode) -> None:
        """The mode in force from now on: as a tick tells it, in old journals as the event of a reload did."""
        if mode is not self.figures.about.mode:
            self.figures.adopt(self.site, replace(self.figures.about, mode=mode))


@dataclass(slots=True)
class JournalAccounting:
    """Accounts by local day, the blocks of a comparison, and the gaps.

    `role` is the newest run's: ticks of slaves that work the other way would not add up, and are left out
    like those whose configuration cannot be read. `done` is set by the first tick after the last day.
    `retold` hears of every tick once the figures of its run hold it.
    """

    zone: ZoneInfo
    role: Role
    span: DateRange = field(default_factory=DateRange)
    tariff: TimeOfUse = FREE
    retold: Callable[[Tick, Figures], None] | None = None
    days: dict[date, Account] = field(default_factory=dict)
    trial: BlockTrial = field(default_factory=BlockTrial)
    gaps: list[JournalGap] = field(default_factory=list)
    gaps_total: int = 0
    runs: int = 0
    left_out: int = 0
    done: bool = False
    _life: DaemonRun | None = None
    _latest: Tick | None = None

    def take(self, record: AnyRecord) -> None:
        """Take in one record."""
        if isinstance(record, Tick):
            self._tell(record)
        elif isinstance(record, Start):
            self._begin(record)
        elif isinstance(record, Continuation):
            if self._life is None or self._life.start != record.start:
                self._begin(record.start)
            if self._life is not None and record.policy is not None:
                self._life.bundle_sha256 = record.policy.bundle_sha256
        elif isinstance(record, PolicyChange) and self._life is not None:
            self._life.bundle_sha256 = record.bundle_sha256
        elif isinstance(record, Event) and record.event == RELOADED and self._life is not None:
            told = [mode for mode in Mode if mode.value == record.detail.get("mode")]
            for mode in told:
                self._life.adopt(mode)

    def total(self) -> Account:
        """All days together."""
        total = Account()
        for account in self.days.values():
            total.add(account)
        return total

    def _begin(self, start: Start) -> None:
        self._life = None
        try:
            settings = parse_settings(start.settings_toml, Path(start.settings_path)).with_measured(
                start.measured
            )
        except SettingsError:
            return  # written by another version: the ticks that follow are left out, and counted
        site = settings.core_site()
        if site.role is self.role:
            self.runs += 1
            figures = Figures(site, SiteInfo(mode=settings.mode.mode), 0.0)
            self._life = DaemonRun(start, figures, start.bundle_sha256, TickBooker(figures))

    def _tell(self, tick: Tick) -> None:
        local = datetime.fromtimestamp(tick.unix_s, self.zone)
        day = local.date()
        if self.span.last is not None and day > self.span.last and tick.snapshot.hour is not None:
            self.done = True
        life = self._life
        if life is None or len(tick.snapshot.slaves) != len(life.site.slaves):
            self.left_out += day in self.span
            return
        figures = life.figures
        self._look_for_gap(life, tick)
        recorded_s = life.booker.recorded_s(tick)
        booked = self.days.get(day)
        if booked is None:
            booked = Account()
            if day in self.span:
                self.days[day] = booked
        if tick.mode is not None:
            life.adopt(tick.mode)
        _live(figures, tick, local)
        life.booker.book(booked, tick, self.tariff.at(local))
        if self.retold is not None:
            self.retold(tick, figures)
        if day in self.span:
            self.trial.book(tick, figures.about.mode, life.bundle_sha256, figures.newest, recorded_s)
        life.tick = self._latest = tick

    def _day(self, unix_s: float) -> date:
        return datetime.fromtimestamp(unix_s, self.zone).date()

    def _look_for_gap(self, life: DaemonRun, tick: Tick) -> None:
        """A gap within a run is seen on the monotonic clock, one between runs only on a synchronised one."""
        if life.tick is not None:
            lasted_s = tick.snapshot.at_s - life.tick.snapshot.at_s
            if lasted_s > life.figures.gap_s:
                in_row = tick.snapshot.tick == life.tick.snapshot.tick + 1
                self._book_gap(lasted_s, tick.unix_s, "no ticks" if in_row else "not in the journal")
        elif self._latest is not None and self._latest.snapshot.hour is not None is not tick.snapshot.hour:
            lasted_s = tick.unix_s - self._latest.unix_s
            if lasted_s > life.figures.gap_s:
                self._book_gap(lasted_s, tick.unix_s, "between two runs")

    def _book_gap(self, lasted_s: float, to_unix_s: float, reason: str) -> None:
        """Days that lie wholly in a gap have no account."""
        from_unix_s = to_unix_s - lasted_s
        first, last = self._day(from_unix_s), self._day(to_unix_s)
        parts = {last: to_unix_s - max(from_unix_s, self._midnight_s(last))}
        if first != last:
            parts[first] = self._midnight_s(first + timedelta(days=1)) - from_unix_s
        for day, part_s in parts.items():
            if day in self.span:
                self.days.setdefault(day, Account()).unrecorded_s += part_s
        if any(day in self.span for day in parts):
            self.gaps_total += 1
            push = heappush if len(self.gaps) < GAPS_KEPT else heappushpop
            push(self.gaps, JournalGap(lasted_s, from_unix_s, reason))

    def _midnight_s(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()


def _live(figures: Figures, tick: Tick, local: datetime) -> None:
    """Tell the figures one tick, as `daemon.service.tick_recorder` did."""
    figures.update(
        tick.snapshot,
        tick.decision,
        cost=Cost(),
        frames_sent=len(tick.frames_hex) if tick.accepted else 0,
        local=local,
    )
