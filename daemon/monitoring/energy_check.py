"""Whether the power that the meter tells is what its own energy counters count. For an alarm alone.

However a meter nets its phases, import minus export of its counters grows by the integral of the sum of the
phases' power. So both are taken between the same two instants, over an hour or until enough has flowed. A
meter whose powers are scaled or signed wrongly, and which tells neither voltage nor current beside them,
is found out by its counters.

Counters are coarse and some are slow. They are compared only where one of them was just seen to change:
there it is up to date to within the reads around it, however seldom the meter updates it (both counters at
once, if seldom). What remains unknown is bounded, and a difference counts only beyond it.

Pure: time and readings are arguments.
"""

from dataclasses import dataclass, field, replace
from math import inf, isfinite, sqrt

from core.site import Phases
from core.snapshot import METER_LOST_S
from drivers.ports import EnergyCounters

LIMIT = 0.05
"""Meters of class B and Modbus meters of class 1 stay within 1 to 2 % of both (EN 50470-3, IEC 62053-21)."""
MEASURED_S = 3600.0
"""A verdict rests on so much at least."""
LONGEST_S = 86400.0
"""Without a verdict for so long, nothing is known: a site that is nearly balanced has nothing to compare."""
LATENCY_S = 2.5
"""Counters are told up to so much later or earlier than power: a missed sample, or the meter's own pace."""
SPREAD = 3.0
"""Standard errors granted for what the power does between two samples."""
COUNTERS = 2
"""Each counter may be up to one step behind, at one end of a span and not at the other."""
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict: the same time by counters and by power, import minus export."""

    counted_wh: float
    integrated_wh: float
    flow_wh: float
    """Integral of the magnitude of the power."""
    uncertain_wh: float
    measured_s: float

    @property
    def larger_wh(self) -> float:
        """What the difference is held against: also where the meter tells hardly any power."""
        return max(self.flow_wh, abs(self.counted_wh))

    @property
    def ratio(self) -> float:
        """Difference that nothing explains, as a share: 0 for a sound meter, 0.9 at ten times the power."""
        beyond_wh = abs(self.counted_wh - self.integrated_wh) - self.uncertain_wh
        return max(0.0, beyond_wh) / self.larger_wh if self.larger_wh > 0.0 else 0.0

    @property
    def agrees(self) -> bool:
        """Whether the difference is small enough."""
        return self.ratio <= LIMIT

    @property
    def certain(self) -> bool:
        """Whether it would have told any difference of more than twice the limit."""
        return 0.0 < self.uncertain_wh <= LIMIT * self.larger_wh

    def told(self) -> dict[str, float]:
        """For log and journal."""
        return {
            "ratio": round(self.ratio, 3),
            "counted_wh": round(self.counted_wh, 1),
            "integrated_wh": round(self.integrated_wh, 1),
            "uncertain_wh": round(self.uncertain_wh, 1),
            "measured_s": round(self.measured_s),
        }


@dataclass(slots=True)
class _Flow:
    """Power, integrated."""

    net_wh: float = 0.0
    magnitude_wh: float = 0.0
    variance_wh2: float = 0.0
    measured_s: float = 0.0

    def add(self, other: "_Flow") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class _CounterWindow:
    """Spans from one change of a counter to another, since `began_at_s`; gaps lie between them.

    `ends_wh` bounds the error of all ends of spans but the newest.
    """

    began_at_s: float
    counted_wh: float = 0.0
    flow: _Flow = field(default_factory=_Flow)
    ends_wh: float = 0.0
    spans: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A reading of both counters; `*_gross_wh` is what had flowed on all phases when each was read."""

    import_wh: float
    export_wh: float
    import_at_s: float
    export_at_s: float
    import_gross_wh: float
    export_gross_wh: float

    @property
    def net_wh(self) -> float:
        return self.import_wh - self.export_wh


class EnergyCheck:
    """Compares, reading by reading. `finding` is the newest verdict; None while nothing is known.

    Args:
        gap_s: the longest step between two samples over which power is integrated.
    """

    def __init__(self, gap_s: float = METER_LOST_S) -> None:
        self.finding: Finding | None = None
        self._gap_s = gap_s
        self._at_s = -inf
        self._power_w: Phases | None = None
        self._gross_wh = 0.0
        self._step_wh = inf
        self._since_s = -inf
        self._read: _Read | None = None
        self._edge: _Read | None = None
        self._edge_wh = 0.0
        self._since_edge = _Flow()
        self._window = _CounterWindow(-inf)

    @property
    def disagrees(self) -> bool:
        """Whether power and counters are known to disagree."""
        return self.finding is not None and not self.finding.agrees

    @property
    def ratio(self) -> float | None:
        """Of the newest verdict."""
        return None if self.finding is None else self.finding.ratio

    def update(self, at_s: float, power_w: Phases, energy: EnergyCounters) -> None:
        """Take in a valid sample, and the counters as last read. Missed samples are simply not told.

        Args:
            at_s: monotonic instant of the sample, on the clock of `energy`.
            power_w: grid power per phase, + import.
        """
        if not self._integrate(at_s, power_w):
            self._interrupt(at_s)
        self._at_s, self._power_w = at_s, power_w if all(map(isfinite, power_w)) else None
        if at_s - self._window.began_at_s > LONGEST_S:
            self._interrupt(at_s)
            self.finding, self._window = None, _CounterWindow(at_s)
        self._take(at_s, energy)

    def _integrate(self, at_s: float, power_w: Phases) -> bool:
        """From the last sample to this one, in a straight line. False across a gap."""
        before_w, step_s = self._power_w, at_s - self._at_s
        if before_w is None or not (0.0 < step_s <= self._gap_s and all(map(isfinite, power_w))):
            return False
        hours = step_s / SECONDS_PER_HOUR
        total_w, last_w = sum(power_w), sum(before_w)
        self._gross_wh += sum(map(abs, (*power_w, *before_w))) / 2.0 * hours
        self._since_edge.add(
            _Flow(
                (total_w + last_w) / 2.0 * hours,
                (abs(total_w) + abs(last_w)) / 2.0 * hours,
                ((total_w - last_w) * hours) ** 2 / 2.0,
                step_s,
            )
        )
        return True

    def _interrupt(self, at_s: float) -> None:
        """End the span at its last change of a counter; begin anew with counters read after this instant."""
        if self._edge is not None:
            self._window.ends_wh += self._edge_wh
        self._edge = self._read = None
        self._since_s = at_s

    def _take(self, at_s: float, energy: EnergyCounters) -> None:
        read = self._fresh(energy)
        if read is None:
            return
        before, self._read = self._read, read
        if before is None:
            return
        steps_wh = (read.import_wh - before.import_wh, read.export_wh - before.export_wh)
        if not all(step_wh >= 0.0 for step_wh in steps_wh):  # reset, rolled over, or another meter
            self._interrupt(at_s)
            return
        moved_wh = [step_wh for step_wh in steps_wh if step_wh > 0.0]
        if moved_wh:
            self._step_wh = min(self._step_wh, *moved_wh)
            unseen_wh = self._gross_wh - min(before.import_gross_wh, before.export_gross_wh)
            late_wh = sum(map(abs, self._power_w or ())) * LATENCY_S / SECONDS_PER_HOUR
            self._reach(read, unseen_wh + late_wh, at_s)

    def _fresh(self, energy: EnergyCounters) -> _Read | None:
        """The counters, if both were read since the last gap and one of them just now."""
        import_wh, export_wh, last = energy.import_wh, energy.export_wh, self._read
        if import_wh is None or export_wh is None or not isfinite(import_wh + export_wh):
            return None
        if not min(energy.import_at_s, energy.export_at_s) >= self._since_s:
            return None
        new = _Read(
            import_wh, export_wh, energy.import_at_s, energy.export_at_s, self._gross_wh, self._gross_wh
        )
        if last is None:
            return new
        if new.import_at_s == last.import_at_s:
            new = replace(new, import_gross_wh=last.import_gross_wh)
        if new.export_at_s == last.export_at_s:
            new = replace(new, export_gross_wh=last.export_gross_wh)
        told_before = (last.import_at_s, last.export_at_s)
        return None if (new.import_at_s, new.export_at_s) == told_before else new

    def _reach(self, read: _Read, error_wh: float, at_s: float) -> None:
        """A counter has changed: a span ends here, or begins. `error_wh` bounds what is unknown here."""
        window = self._window
        if window.spans == 0:
            window = self._window = _CounterWindow(at_s)
        if self._edge is None:
            window.ends_wh += error_wh
            window.spans += 1
        else:
            window.counted_wh += read.net_wh - self._edge.net_wh
            window.flow.add(self._since_edge)
        self._edge, self._edge_wh, self._since_edge = read, error_wh, _Flow()
        if window.flow.measured_s >= MEASURED_S:
            self._judge(at_s)

    def _judge(self, at_s: float) -> None:
        window, flow = self._window, self._window.flow
        uncertain_wh = (
            window.ends_wh
            + self._edge_wh
            + COUNTERS * self._step_wh * window.spans
            + SPREAD * sqrt(flow.variance_wh2)
        )
        finding = Finding(window.counted_wh, flow.net_wh, flow.magnitude_wh, uncertain_wh, flow.measured_s)
        if finding.certain or not finding.agrees:
            self.finding = finding
            self._window = _CounterWindow(at_s, ends_wh=self._edge_wh, spans=1)
