"""Inputs of the figures beside snapshot and decision: the site, and statistics of meter, radio, process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from core.modes import Mode


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """What is configured; changes only when the settings or the policy do.

    `remark` is one line for people, shown with the site's name (for example which measured day is being
    replayed at the far end of the wires). `fallback_law` is ``pi`` or ``predictive``. `policy_name` is the
    policy in force, `policy_problem` why it is not the one that is configured or activated.
    `configuration_problem` is why the file of now is refused and an older configuration stays in force.
    """

    site_name: str = "Home"
    mode: Mode = Mode.SHADOW
    fallback_law: str = "pi"
    policy_name: str = ""
    policy_problem: str = ""
    configuration_problem: str = ""
    version: str = ""
    remark: str = ""
    anomaly_calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What one tick took. `inference_s` is None when the policy was not asked."""

    compute_s: float = 0.0
    lateness_s: float = 0.0
    inference_s: float | None = None


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """What the owner said: every device rests until `until_unix_s`; None is until further notice."""

    is_on: bool = False
    until_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class HolidayOrder:
    """Until `until_unix_s` every device rests but those that are kept, by name."""

    until_unix_s: float
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceOrders:
    """What the owner said of devices, by their names.

    `boosts` says until when each gets power without a surplus, in unix seconds. `first` are served before all
    others, the most important first.
    """

    boosts: Mapping[str, float] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    holiday: HolidayOrder | None = None


@dataclass(frozen=True, slots=True)
class MeterStatistics:
    """Counters of the meter's driver since the start of the daemon, and how long the last read took.

    `energy_mismatch_ratio` is how far power and energy counters disagree (`daemon.monitoring.energy_check`).
    """

    reads_total: int = 0
    failures_total: int = 0
    reconnects_total: int = 0
    read_s: float | None = None
    energy_mismatch_ratio: float | None = None
    unasked_total: int = 0


@dataclass(frozen=True, slots=True)
class RadioStatistics:
    """Counters of the radio since the start of the daemon.

    `reports_asked_total` grows by the number of slaves with every accepted frame that asks for reports.
    `ack_rate` is the share of the answers due in the last five minutes that came, None while none was due;
    slaves answer unasked as well, so it is no quotient of counters. `foreign_frames_total` came from somebody
    who has no business in this network, `reports_rejected_total` are reports that were not believed.
    `*_broadcasts_total` were handed to the coordinator. `counter_leaps_refused` are slaves that
    told a counter too far ahead. `link_loss_rate` is the share of the answers due in the last minute that did
    not come, 0 while none was due: it shows interference at once. `remark` is what about the network
    contradicts the configuration without stopping it, empty when nothing does.
    """

    up: bool = False
    refused_total: int = 0
    rebuilds_total: int = 0
    reports_asked_total: int = 0
    ack_rate: float | None = None
    foreign_frames_total: int = 0
    reports_rejected_total: int = 0
    frame_counters_left: int | None = None
    counter_leaps_refused: int = 0
    setpoint_broadcasts_total: int = 0
    other_broadcasts_total: int = 0
    link_loss_rate: float = 0.0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ProcessStatistics:
    """The daemon's own housekeeping since its start. `journal_problem` is why nothing can be written now."""

    log_lines_dropped_total: int = 0
    journal_bytes: int = 0
    journal_records_dropped_total: int = 0
    failed_ticks_total: int = 0
    journal_problem: str = ""


@dataclass(frozen=True, slots=True)
class CounterfactualComparison:
    """One quantity of the policy beside the fallback's twin: both in Wh, and where own / twin - 1 lies.

    `excess` is as seen, None while the twin has none; `low` and `high` bound it (99 % each, at any time).
    """

    own_wh: float = 0.0
    twin_wh: float = 0.0
    excess: float | None = None
    low: float = -1.0
    high: float = inf

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or ``open`` while the bounds hold zero between them."""
        return "better" if self.high < 0.0 else "worse" if self.low > 0.0 else "open"


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """What was seen of the policy beside the fallback, in whole spans of the judge."""

    judged_s: float = 0.0
    export: CounterfactualComparison = CounterfactualComparison()
    j: CounterfactualComparison = CounterfactualComparison()


@dataclass(frozen=True, slots=True)
class PlanDemand:
    """One demand of the next step; `found` says in words what there is and what it takes."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class PlanStanding:
    """Where the plan from shadow to production stands.

    `held` says why it does not go on, `ready` that only an operator's word is missing.
    """

    step: str
    steps: tuple[str, ...]
    since_unix_s: float | None
    held: str
    ready: bool
    demands: tuple[PlanDemand, ...]

    @property
    def missing(self) -> tuple[PlanDemand, ...]:
        """What the next step still asks for."""
        return tuple(demand for demand in self.demands if not demand.holds)


@dataclass(frozen=True, slots=True)
class Judgements:
    """`live`: the policy where it was meant to act, the fallback by its twin. `shadow`: the reverse.

    `failed` when the judge ended with a fault, and nobody judges until the next start.
    """

    live: PolicyComparison = PolicyComparison()
    shadow: PolicyComparison = PolicyComparison()
    failed: bool = False
