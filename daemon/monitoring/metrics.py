"""Prometheus exposition of the figures: one collector, rendered at most once per second.

Nothing is set while a tick runs; only a scrape turns the figures into text. Before the first tick, and
for whatever is not known, there is no series rather than a wrong zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core.decision import Source, State
from core.metering import exported_w, imported_w
from core.modes import Mode
from core.site import PHASE_NAMES, Phases
from daemon.monitoring.accumulators import Histogram
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import heard_power_w, is_silent

RENDER_EVERY_S = 1.0

Families = Iterator[Metric]


class FiguresCollector(Collector):
    """All `sunkeep_*` families over one `Figures`."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Families:
        """Yield every family whose value is known."""
        yield from _identity(self._figures)
        yield from _energy(self._figures)
        yield from _safety(self._figures)
        yield from _edges(self._figures)
        yield from _timing(self._figures)
        if self._figures.decision is not None:
            yield from _powers(self._figures)
            yield from _slaves(self._figures)
            yield from _control(self._figures)
            yield from _authority(self._figures)


@dataclass(slots=True)
class Exposition:
    """The text of a scrape.

    `process_*` series (memory, descriptors, start time) come from prometheus_client.
    """

    figures: Figures
    registry: CollectorRegistry = field(init=False)
    _text: bytes = b""
    _rendered_at_s: float = -RENDER_EVERY_S

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(FiguresCollector(self.figures))
        ProcessCollector(registry=self.registry)

    def render(self, at_s: float) -> bytes:
        """The exposition in Prometheus' text format 0.0.4, at most a second old."""
        if not 0.0 <= at_s - self._rendered_at_s < RENDER_EVERY_S:
            self._text = generate_latest(self.registry)
            self._rendered_at_s = at_s
        return self._text


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sunkeep_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"sunkeep_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, rows: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"sunkeep_{name}", text, labels=[label])
    for key, value in rows.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, text: str, label: str, rows: dict[str, float]) -> Metric:
    family = CounterMetricFamily(f"sunkeep_{name}", text, labels=[label])
    for key, value in rows.items():
        family.add_metric([key], value)
    return family


def _by_phase(values: Phases | list[int]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(PHASE_NAMES, values, strict=True)}


def _identity(f: Figures) -> Families:
    info = GaugeMetricFamily(
        "sunkeep_build_info",
        "Always 1; version of the daemon, policy in use and law of the fallback.",
        labels=["version", "policy", "fallback"],
    )
    info.add_metric([f.about.version, f.about.policy_name, f.about.fallback_law], 1.0)
    yield info
    text = "1 while the policy that is configured or activated is not used: it is missing or does not verify."
    yield _gauge("policy_refused", text, float(bool(f.about.policy_problem)))
    yield _gauge("paused", "1 while the owner has paused the site.", float(f.pause.is_on))
    text = "1 while the configuration file is refused and an older configuration stays in force."
    yield _gauge("configuration_refused", text, float(bool(f.about.configuration_problem)))
    yield _counter("policy_swaps", "Policies taken over between two ticks since the start.", f.policy_swaps)
    text = "Policies refused while the daemon ran, since the start; the one before stayed in force."
    yield _counter("policy_refusals", text, f.policy_refusals)
    modes = {mode.value: float(mode is f.about.mode) for mode in Mode}
    yield _gauges("mode", "1 for the configured mode, 0 for the others.", "mode", modes)
    yield _counter("ticks", "Decisions taken since the start.", f.ticks)
    if f.snapshot is not None:
        uptime_s = f.snapshot.at_s - f.started_at_s
        yield _gauge("uptime_seconds", "Time from the start of the daemon to the newest tick.", uptime_s)


def _powers(f: Figures) -> Families:
    snapshot, decision = f.snapshot, f.decision
    if snapshot is None or decision is None:
        return
    if f.meter_known():
        grid_w, metering = snapshot.grid_power_w, f.site.metering
        text = "Power at the meter per phase; positive is import, negative is export."
        yield _gauges("grid_power_watts", text, "phase", _by_phase(grid_w))
        yield _gauge("export_power_watts", "Power exported, as billed.", exported_w(grid_w, metering))
        yield _gauge("import_power_watts", "Power imported, as billed.", imported_w(grid_w, metering))
    if isfinite(snapshot.meter_age_s):
        text = "Age of the newest valid meter sample at the tick."
        yield _gauge("meter_sample_age_seconds", text, snapshot.meter_age_s)
    if f.without_w is not None:
        text = "Power the meter would show without the slaves (estimated), per phase; positive is import."
        yield _gauges("uncontrolled_grid_power_watts", text, "phase", _by_phase(f.without_w))
    text = "Power the slaves take (absorb) or feed (generate) per phase, estimated between their reports."
    yield _gauges("placed_power_watts", text, "phase", _by_phase(f.placed_w))
    text = "Setpoint total per phase that safety let through in the newest tick."
    yield _gauges("safe_action_watts", text, "phase", _by_phase(decision.safe_action_w))
    text = "Setpoint total per phase that is on air."
    yield _gauges("on_air_power_watts", text, "phase", _by_phase(snapshot.on_air.action_w))
    if decision.policy_action_w is not None:
        text = "Setpoint total per phase that the policy proposed, before mapping and safety."
        yield _gauges("policy_action_watts", text, "phase", _by_phase(decision.policy_action_w))
    text = "Setpoint total per phase that the fallback proposed."
    yield _gauges("fallback_action_watts", text, "phase", _by_phase(decision.fallback_action_w))


def _slaves(f: Figures) -> Families:
    snapshot, decision = f.snapshot, f.decision
    if snapshot is None or decision is None:
        return
    names = ["slave", "phase"]
    setpoint = GaugeMetricFamily(
        "sunkeep_slave_setpoint_watts", "Setpoint decided for a slave.", labels=names
    )
    power = GaugeMetricFamily(
        "sunkeep_slave_power_watts", "Power of a slave, while it is heard.", labels=names
    )
    there = GaugeMetricFamily(
        "sunkeep_slave_available", "1 while a slave takes part, 0 while it is not heard.", labels=names
    )
    age = GaugeMetricFamily("sunkeep_slave_report_age_seconds", "Age of a slave's last report.", labels=names)
    text = "1 while a slave does what it is told as far as it says, 0 while it does not."
    follows = GaugeMetricFamily("sunkeep_slave_following", text, labels=names)
    text = "1 while a slave may draw power, 0 while its dead-man is neither proven nor waived."
    allowed = GaugeMetricFamily("sunkeep_slave_may_draw", text, labels=names)
    apart = {one.slave for one in decision.not_following}
    rows = zip(f.site.slaves, snapshot.slaves, decision.setpoints_w, strict=False)
    for place, (slave, state, setpoint_w) in enumerate(rows):
        key = [slave.name, slave.phase_name]
        setpoint.add_metric(key, setpoint_w)
        there.add_metric(key, float(not is_silent(state, f.radio.up)))
        follows.add_metric(key, float(place not in apart))
        allowed.add_metric(key, float(slave.may_draw))
        if (power_w := heard_power_w(state)) is not None:
            power.add_metric(key, power_w)
        if isfinite(state.report_age_s):
            age.add_metric(key, state.report_age_s)
    yield from (setpoint, power, there, follows, allowed, age)


def _energy(f: Figures) -> Families:
    total = f.ledger.total
    yield _counter("exported_energy_joules", "Energy exported, as billed.", total.exported_j)
    yield _counter("imported_energy_joules", "Energy imported, as billed.", total.imported_j)
    text = "Energy the slaves took while it was drawn from the grid, as billed."
    yield _counter("avoidable_import_energy_joules", text, total.avoidable_import_j)
    yield _counter("placed_energy_joules", "Energy the slaves took or fed (estimated).", total.placed_j)
    text = "Energy that would have been exported without the slaves (estimated)."
    yield _counter("uncontrolled_exported_energy_joules", text, total.exported_without_j)
    text = "Energy that would have been imported without the slaves (estimated)."
    yield _counter("uncontrolled_imported_energy_joules", text, total.imported_without_j)
    yield _counter("energy_measured_seconds", "Time the energies are measured over.", total.measured_s)
    text = "Time without a valid meter sample, missing in the energies."
    yield _counter("energy_unmeasured_seconds", text, total.unmeasured_s)
    if f.snapshot is not None and (reduction := f.ledger.reduction_1h(f.snapshot.at_s)) is not None:
        text = "Share of the last hour's export that control prevented; absent below 50 Wh without control."
        yield _gauge("export_reduction_ratio", text, reduction)


def _control(f: Figures) -> Families:
    if f.snapshot is None:
        return
    at_s = f.snapshot.at_s
    text = "Changes of the setpoint on air beyond the deadband."
    yield _counters("action_changes", text, "phase", _by_phase(f.changes))
    text = "Turns of the setpoint on air by more than 100 W."
    yield _counters("action_reversals", text, "phase", _by_phase(f.reversals))
    changes, reversals = f.changes_per_min(at_s)
    text = "Changes of the setpoint on air per minute and phase over the last 5 minutes."
    yield _gauge("action_changes_per_minute", text, changes)
    text = "Reversals of the setpoint on air per minute and phase over the last 5 minutes."
    yield _gauge("action_reversals_per_minute", text, reversals)
    text = "What is left of the controllers' gains: 1, and less after the loop has swung by itself."
    yield _gauge("gain_share_ratio", text, 1.0 if f.decision is None else f.decision.gain_share)
    yield from _learned(f)
    text = "Population standard deviation over the phases."
    action_w, grid_w = f.imbalance_w() or (0.0, 0.0)
    rows = {"action": action_w} | ({"grid": grid_w} if f.meter_known() else {})
    yield _gauges("phase_imbalance_watts", text, "of", rows)


def _learned(f: Figures) -> Families:
    """How slaves answer by what their moves have told; no series of a phase of which nothing is known."""
    learned = () if f.decision is None else f.decision.learned
    known = {name: one for name, one in zip(PHASE_NAMES, learned, strict=False) if one is not None}
    text = "From a command to its first effect at the meter, as slaves' moves have told."
    yield _gauges("learned_dead_time_seconds", text, "phase", {k: v.dead_time_s for k, v in known.items()})
    text = "The longest dead time that is not ruled out: gains by rule go by it."
    high = {k: v.dead_time_high_s for k, v in known.items()}
    yield _gauges("learned_dead_time_high_seconds", text, "phase", high)
    text = "First-order lag after the dead time, as slaves' moves have told."
    yield _gauges("learned_lag_seconds", text, "phase", {k: v.lag_s for k, v in known.items()})
    text = "Watts at the meter per watt told, as slaves' moves have told."
    yield _gauges("learned_gain_ratio", text, "phase", {k: v.gain for k, v in known.items()})
    text = "1 where estimator and gains go by what was learned."
    yield _gauges("learned_in_force", text, "phase", {k: float(v.in_force) for k, v in known.items()})


def _authority(f: Figures) -> Families:
    if f.decision is None:
        return
    verdict = f.decision.verdict
    states = {state.value: float(state is verdict.state) for state in State}
    yield _gauges("state", "1 for the state of the supervisor, 0 for the others.", "state", states)
    sources = {source.value: float(source is verdict.source) for source in Source}
    yield _gauges("controller_in_use", "1 for whoever the setpoints came from.", "controller", sources)
    text = "Time during which the setpoints came from a controller, since the start."
    seconds = {source.value: value for source, value in f.source_s.items()}
    yield _counters("controller_seconds", text, "controller", seconds)
    causes = {cause: float(cause in verdict.causes) for cause in f.causes_seen}
    yield _gauges("cause_active", "1 while a cause seen since the start is active.", "cause", causes)
    if f.fallback_active is not None:
        text = "1 from when the fallback acts in the policy's place until the policy acts again."
        yield _gauge("fallback_active", text, float(f.fallback_active))


def _safety(f: Figures) -> Families:
    counts = f.counts
    text = "Policy proposals that broke a rule while the policy was in charge, since installation."
    yield _counter("safety_violations", text, counts.violations)
    text = "Policy proposals that broke a rule while another controller was in charge, since installation."
    yield _counter("shadow_violations", text, counts.shadow_violations)
    text = "Times the fallback took over from the policy, since installation."
    yield _counter("fallback_activations", text, counts.fallback_activations)
    text = "Ticks in which the detector flagged at least one feature, since installation."
    yield _counter("anomalies", text, counts.anomalous_ticks)
    text = "Ticks in which the detector's tripping tier fired, since installation."
    yield _counter("anomaly_trips", text, counts.anomaly_trips)
    text = "Episodes of anomaly trips (5 minutes of quiet between two), since installation."
    yield _counter("anomaly_trip_episodes", text, counts.anomaly_episodes)
    text = "1 when the detector's tripping tier is calibrated on this site, else it only flags."
    yield _gauge("anomaly_calibrated", text, float(f.about.anomaly_calibrated))
    yield from _judged(f)
    yield from _plan(f)
    if f.decision is not None:
        flagged = len(f.decision.anomaly.flags)
        yield _gauge("anomaly_flagged_features", "Features flagged in the newest tick.", flagged)
    rows = {rule: float(count) for rule, count in f.interventions.items()}
    yield _counters("gate_interventions", "Changes the safety gate made to what was asked.", "rule", rows)


def _plan(f: Figures) -> Families:
    plan = f.plan
    if plan is None:
        return
    text = "1 for the step of the plan from shadow to production that is in force, 0 for the others."
    yield _gauges("rollout_step", text, "step", {step: float(step == plan.step) for step in plan.steps})
    text = "1 while the next step of the plan still lacks this, 0 once it is there."
    yield _gauges("rollout_missing", text, "demand", {one.name: float(not one.holds) for one in plan.demands})
    yield _gauge("rollout_ready", "1 while the next step waits for an operator alone.", float(plan.ready))
    yield _gauge("rollout_held", "1 while the plan was stopped.", float(bool(plan.held)))


def _judged(f: Figures) -> Families:
    if f.judgements.failed:
        return
    runs = {"live": f.judgements.live, "shadow": f.judgements.shadow}
    text = "Time in which the policy was compared with the fallback, one of them by its twin, in whole hours."
    yield _gauges("judged_seconds", text, "run", {run: told.judged_s for run, told in runs.items()})
    family = GaugeMetricFamily(
        "sunkeep_judged_excess_ratio",
        "What the policy cost more than the fallback; the bounds hold 99 % each, at any time.",
        labels=["run", "quantity", "bound"],
    )
    for run, told in runs.items():
        for quantity, beside in (("export", told.export), ("j", told.j)):
            rows = {"estimate": beside.excess, "low": beside.low, "high": beside.high}
            for bound, value in rows.items():
                if beside.excess is not None and value is not None and isfinite(value):
                    family.add_metric([run, quantity, bound], value)
    yield family


def _edges(f: Figures) -> Families:
    yield _counter("meter_reads", "Reads of the meter that were tried.", f.meter.reads_total)
    text = "Times that bytes came on the meter's line while nothing was asked for."
    yield _counter("meter_unasked", text, f.meter.unasked_total)
    yield _counter("meter_failures", "Reads of the meter that gave no valid sample.", f.meter.failures_total)
    yield _counter(
        "meter_reconnects", "Connections to the meter that were made anew.", f.meter.reconnects_total
    )
    if f.meter.read_s is not None:
        yield _gauge("meter_read_seconds", "Duration of the newest read.", f.meter.read_s)
    if f.meter.energy_mismatch_ratio is not None:
        text = "Share by which power and energy counters of the meter differ beyond what their steps explain."
        yield _gauge("meter_energy_mismatch_ratio", text, f.meter.energy_mismatch_ratio)
    yield _gauge("radio_up", "1 while the coordinator answers, else 0.", float(f.radio.up))
    yield _counter("radio_rebuilds", "Times the radio was built anew after a loss.", f.radio.rebuilds_total)
    text = "Frames the coordinator did not accept."
    yield _counter("frames_refused", text, f.radio.refused_total)
    sent = {send.value: float(count) for send, count in f.frames.items()}
    yield _counters("frames_sent", "Frames the coordinator accepted, by reason.", "reason", sent)
    yield _counter("reports_asked", "Reports of slaves that were asked for.", f.radio.reports_asked_total)
    yield _counter(
        "reports_heard",
        "Reports of slaves that were heard, also those that nobody asked for.",
        f.reports_heard,
    )
    text = "Frames dropped because they came from somebody who has no business in this network."
    yield _counter("foreign_frames", text, f.radio.foreign_frames_total)
    text = "Broadcasts handed to the coordinator: of setpoints, and others (a start costs one)."
    broadcasts = {"setpoints": f.radio.setpoint_broadcasts_total, "others": f.radio.other_broadcasts_total}
    yield _counters("broadcasts", text, "of", {of: float(count) for of, count in broadcasts.items()})
    if f.radio.frame_counters_left is not None:
        text = "Counters of frames that the site key has left, of 4294967295."
        yield _gauge("frame_counters_left", text, f.radio.frame_counters_left)
    text = "Slaves that told a frame counter too far ahead to be believed, since the start."
    yield _gauge("frame_number_leaps_refused", text, f.radio.counter_leaps_refused)
    text = "Reports that were not believed: a wrong tag, an unknown slot, an old or impossible counter."
    yield _counter("reports_rejected", text, f.radio.reports_rejected_total)
    if f.radio.ack_rate is not None:
        text = "Share of the answers due in the last 5 minutes that came."
        yield _gauge("ack_ratio", text, f.radio.ack_rate)
    text = "Share of the answers due in the last minute that did not come."
    yield _gauge("link_loss_ratio", text, f.radio.link_loss_rate)
    text = "Lines of the log dropped because the reader was too slow."
    yield _counter("log_lines_dropped", text, f.house.log_lines_dropped_total)
    yield _gauge("journal_bytes", "Size of the journal on disk.", f.house.journal_bytes)
    text = "Records the journal could not keep."
    yield _counter("journal_records_dropped", text, f.house.journal_records_dropped_total)
    yield _counter("failed_ticks", "Ticks that ended in an unforeseen error.", f.house.failed_ticks_total)


def _timing(f: Figures) -> Families:
    rows: tuple[tuple[str, str, Histogram], ...] = (
        ("inference_seconds", "Time of one inference of the policy.", f.inference),
        ("tick_compute_seconds", "Time of one decision, without waiting for the wires.", f.compute),
        ("tick_lateness_seconds", "How late a tick began after its deadline.", f.lateness),
    )
    for name, text, histogram in rows:
        yield HistogramMetricFamily(
            f"sunkeep_{name}", text, buckets=histogram.cumulative(), sum_value=histogram.sum_s
        )
