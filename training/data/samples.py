"""One second of a site as a data set knows it, and where such seconds come from: journals and simulated days.

Foreign logs are in `training.data.foreign_logs`. Every source yields samples on a grid of whole Unix seconds
and leaves out seconds it knows nothing of; nothing is interpolated.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from core.allocation import totals_w
from core.decision import Decision, Send
from core.estimation.state_estimate import StateEstimate
from core.roles import Role
from core.site import Metering, Phases, Site
from core.snapshot import Snapshot
from core.tick import decide
from daemon.config.settings import parse_settings
from daemon.journal.records import Continuation, Start, Tick
from daemon.runtime.journal_completion import read_whole
from daemon.simulation.simulate import Scenario, SimulatedController, SimulatedIO

CLOCK_STEP_S = 0.5
"""A wall clock that moved this much against the monotonic one was set: the grid is laid anew."""


class DatasetError(ValueError):
    """Data that cannot become a data set; the message names file and place, and says what to do."""


class Sample(NamedTuple):
    """One tick.

    `second` is Unix time on the grid. `applied_w` is what was on air after the tick. `fallback_action_w`,
    `policy_action_w` and `propensity` are None where the source does not know them. `is_start` says that the
    history of the features begins anew: a restart.
    """

    second: int
    snapshot: Snapshot
    estimate: StateEstimate
    applied_w: Phases
    fallback_action_w: Phases | None = None
    policy_action_w: Phases | None = None
    source: str = "logged"
    propensity: float | None = None
    block: int = -1
    is_confounded: bool = False
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class DatasetTerms:
    """What all data of one set must share: how the slaves act and how the site is billed.

    `site_id` names the site in every row; a site that was renamed is still the same one.
    """

    role: Role
    metering: Metering
    site_id: str = field(default="site", compare=False)

    @classmethod
    def of(cls, site: Site, site_id: str = "site") -> "DatasetTerms":
        """Those of a site. Raises DatasetError when its period is not the grid's second."""
        if site.period_s != 1.0:
            raise DatasetError(
                f"the grid has steps of 1 s; a site with ticks of {site.period_s:g} s does not fit"
            )
        return cls(site.role, site.metering, site_id)


class Grid:
    """Whole Unix seconds for the ticks of one run: anchored once, then counted on the monotonic clock."""

    def __init__(self) -> None:
        self._anchor: tuple[float, float] | None = None

    def second(self, unix_s: float, at_s: float) -> int:
        """The second of a tick; laid anew when the wall clock was set."""
        if self._anchor is None or abs(self._lead(unix_s, at_s)) > CLOCK_STEP_S:
            self._anchor = (unix_s, at_s)
        wall_s, boot_s = self._anchor
        return round(wall_s + at_s - boot_s)

    def _lead(self, unix_s: float, at_s: float) -> float:
        assert self._anchor is not None
        wall_s, boot_s = self._anchor
        return (unix_s - wall_s) - (at_s - boot_s)


def applied_w(decision: Decision, snapshot: Snapshot, *, accepted: bool, site: Site) -> Phases:
    """The action on air after a tick: the frame's if the radio took one, else what was there."""
    if decision.send is not Send.NOTHING and accepted:
        return totals_w(decision.setpoints_w, site)
    return snapshot.on_air.action_w


def journal_samples(path: Path, *, decides: bool = True) -> Iterator[tuple[DatasetTerms, Sample]]:
    """Every tick of a journal file, or of a directory of them, in order.

    Args:
        decides: whether every tick is decided again where the journal does not hold what the fallback
            proposed. It takes several times as long; without, that is unknown.

    Raises:
        JournalError: missing or damaged file (`daemon.journal.records`).
        DatasetError: ticks before any start.
        SettingsError: a configuration in the journal that this version refuses.
    """
    site: Site | None = None
    run: Start | None = None
    grid, is_start = Grid(), True
    for record in read_whole(path, decides=decides):
        if isinstance(record, Continuation) and record.start != run:
            record = record.start  # noqa: PLW2901 - the run's first lines have been removed or dropped
        if isinstance(record, Start):
            run = record
            settings = parse_settings(record.settings_toml, Path(record.settings_path))
            site = settings.with_measured(record.measured).core_site()
            terms, grid, is_start = DatasetTerms.of(site, settings.site.name), Grid(), True
        elif isinstance(record, Tick):
            if site is None:
                raise DatasetError(
                    f"{path}: no start before the first tick; give the directory with all files"
                )
            second = grid.second(record.unix_s, record.snapshot.at_s)
            yield terms, _journalled(record, second, site, is_start=is_start)
            is_start = False


def _journalled(tick: Tick, second: int, site: Site, *, is_start: bool) -> Sample:
    decision = tick.decision
    return Sample(
        second,
        tick.snapshot,
        decision.estimate,
        applied_w(decision, tick.snapshot, accepted=bool(tick.accepted), site=site),
        decision.fallback_action_w if isfinite(decision.fallback_action_w[0]) else None,
        decision.policy_action_w,
        decision.verdict.source.value,
        tick.propensity,
        tick.block,
        tick.confounded,
        is_start,
    )


def simulated_samples(scenario: Scenario, pilot: SimulatedController, midnight_s: int) -> Iterator[Sample]:
    """A part of a simulated day, second by second, as `daemon.simulation.simulate` lives it.

    Args:
        midnight_s: Unix time of the day's beginning.
    """
    site, far_end = scenario.site, scenario.far_end()
    wires, memory = SimulatedIO(scenario, far_end), pilot.memory
    parts: Any = pilot.parts
    for tick in range(scenario.lead_s + scenario.end_s - scenario.start_s):
        snapshot = wires.snapshot()
        decision, memory = decide(snapshot, pilot.authority, memory, parts)
        second = midnight_s + far_end.second
        wires.transmit(decision)
        far_end.step()
        if tick < scenario.lead_s:
            continue
        yield Sample(
            second,
            snapshot,
            decision.estimate,
            applied_w(decision, snapshot, accepted=True, site=site),
            decision.fallback_action_w,
            decision.policy_action_w,
            decision.verdict.source.value,
            1.0,
            is_start=tick == scenario.lead_s,
        )


def day_of(second: int) -> str:
    """The UTC day of a Unix second, as ISO date."""
    return datetime.fromtimestamp(second, UTC).date().isoformat()
