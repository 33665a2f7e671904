"""What is seen of a daemon from the onset of a fault on: ticks, counters, events, slaves."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.decision import Source, State
from core.estimation.following import FollowingState
from core.snapshot import SlaveState
from daemon.system.clock import boottime_s
from drivers.zigbee.radio_statistics import RadioCounts
from plant.radio.slave_firmware import Ignored
from tests.campaigns.pairs import Pair
from tests.faults.log_file import LogFile

ACTING = (Source.FALLBACK, Source.POLICY)
SEVERITY = {
    State.RL_ACTIVE: "none",
    State.FALLBACK: "fallback",
    State.HOLD: "hold",
    State.SAFE_STOP: "safe_stop",
    State.INIT: "init",
}
POWER_BLOCK_WORDS = 36
"""Of the SDM630 profile: what `Reading.raw` holds."""


@dataclass
class Observation:
    """From now on. `look` brings it up to date."""

    pair: Pair
    log: LogFile
    began_s: float = field(default_factory=boottime_s)
    events: list[dict[str, Any]] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    states: set[State] = field(default_factory=set)
    ticks: int = 0
    power_max_w: float = 0.0
    slew_max_w_per_s: float = 0.0
    oldest_accepted_s: float = 0.0
    tick_age_max_s: float = 0.0
    descriptors: int = 0
    ignored: int = 0
    policy_before: str = ""
    _swaps: tuple[int, int] = (0, 0)
    _connects: int = 0
    _unasked: int = 0
    _first: State = State.RL_ACTIVE
    _usual: frozenset[str] = frozenset()
    _seen_tick: int = -1
    _errors: dict[str, int] = field(default_factory=dict)
    _radio: RadioCounts = field(default_factory=RadioCounts)
    _words: dict[tuple[int, ...], float] = field(default_factory=dict)
    _slaves_w: dict[int, float] = field(default_factory=dict)
    _looked_at_s: float = 0.0

    def __post_init__(self) -> None:
        assert self.pair.loop is not None
        self.log.read()
        self._errors = dict(self.pair.loop.snapshot_source.errors_total)
        self._radio = self.statistics
        self._usual = frozenset(self.pair.lived[-1].decision.verdict.causes) | {"reentry", "policy_fault"}
        self._first = self.pair.lived[-1].decision.verdict.state
        self._seen_tick = self.pair.lived[-1].snapshot.tick
        self._connects = self.pair.loop.snapshot_source.meter.connects
        self._unasked = self.pair.loop.snapshot_source.meter.unasked_total
        self._swaps, self.policy_before = self._swapped, self.policy_name
        firmwares = self.pair.whole.far_end.radio.firmwares.values()
        self.ignored = sum(firmware.ignored[Ignored.COUNTER] for firmware in firmwares)
        self.descriptors = len(list(Path("/proc/self/fd").iterdir()))
        self._slaves_w, self._looked_at_s = self.pair.whole.reference_w(), boottime_s()

    @property
    def statistics(self) -> RadioCounts:
        """The radio's counters."""
        assert self.pair.loop is not None
        return self.pair.loop.snapshot_source.radio.statistics

    @property
    def errors(self) -> dict[str, int]:
        """Failed reads since the onset, by kind."""
        assert self.pair.loop is not None
        now = self.pair.loop.snapshot_source.errors_total
        return {
            kind: n - self._errors.get(kind, 0) for kind, n in now.items() if n > self._errors.get(kind, 0)
        }

    @property
    def connects(self) -> int:
        """Attempts to connect to the meter since the onset."""
        assert self.pair.loop is not None
        return self.pair.loop.snapshot_source.meter.connects - self._connects

    @property
    def unasked(self) -> int:
        """How often bytes came since the onset that nobody had asked for."""
        assert self.pair.loop is not None
        return self.pair.loop.snapshot_source.meter.unasked_total - self._unasked

    @property
    def descriptors_more(self) -> int:
        """Open descriptors beyond those at the onset."""
        return len(list(Path("/proc/self/fd").iterdir())) - self.descriptors

    @property
    def new_causes(self) -> set[str]:
        """Causes since the onset that were not active before."""
        return self.causes.keys() - self._usual

    def radio(self, name: str) -> int:
        """By how much a counter of the radio has grown."""
        grown: int = (getattr(self.statistics, name) or 0) - (getattr(self._radio, name) or 0)
        return grown

    def event(self, *names: str) -> bool:
        """Whether one of these events was logged."""
        return any(event["event"] in names for event in self.events)

    @property
    def last_good_s(self) -> float:
        """When the newest sample that was believed was asked for."""
        assert self.pair.loop is not None
        return self.pair.loop.snapshot_source._sample_at_s

    @property
    def now_s(self) -> float:
        """On the clock of all instants here."""
        return boottime_s()

    @property
    def slaves(self) -> tuple[SlaveState, ...]:
        """As the newest tick saw them."""
        return self.pair.lived[-1].snapshot.slaves

    @property
    def link_loss(self) -> float:
        """Share of the answers due in the last minute that did not come, as the metrics tell it."""
        figures = self.pair.whole.service.figures
        return 0.0 if figures is None else figures.radio.link_loss_rate

    @property
    def _swapped(self) -> tuple[int, int]:
        figures = self.pair.whole.service.figures
        return (0, 0) if figures is None else (figures.policy_swaps, figures.policy_refusals)

    @property
    def policy_swaps(self) -> int:
        """Policies taken over since the onset."""
        return self._swapped[0] - self._swaps[0]

    @property
    def policy_refusals(self) -> int:
        """Policies refused since the onset."""
        return self._swapped[1] - self._swaps[1]

    @property
    def policy_name(self) -> str:
        """Of the one in force."""
        figures = self.pair.whole.service.figures
        return "" if figures is None else figures.about.policy_name

    @property
    def is_radio_up(self) -> bool:
        """Whether the daemon has a coordinator with a network."""
        assert self.pair.loop is not None
        network = self.pair.whole.far_end.radio.air.extended_pan_id
        return self.pair.loop.snapshot_source.radio.up and network is not None

    @property
    def not_following(self) -> bool:
        """Whether the newest decision leads some slave that does not do what it is told."""
        return bool(self.pair.lived[-1].decision.not_following)

    @property
    def is_at_rest(self) -> bool:
        """Whether the newest decision is to rest."""
        return self.pair.lived[-1].decision.verdict.source is Source.REST

    @property
    def is_up(self) -> bool:
        """Whether a controller acts on fresh samples over a radio that is up."""
        last = self.pair.lived[-1]
        acts = last.decision.verdict.source in ACTING and last.decision.estimate.fresh
        return acts and self.is_radio_up

    def look(self) -> None:
        """Take in what has happened."""
        self.events += self.log.read()
        for lived in self.pair.lived:
            if lived.snapshot.tick <= self._seen_tick:
                continue
            self._seen_tick = lived.snapshot.tick
            self.ticks += 1
            self.states.add(lived.decision.verdict.state)
            self.causes.update(lived.decision.verdict.causes)
        self._look_at_slaves()
        self._look_at_samples()

    def _look_at_slaves(self) -> None:
        now_s, slaves_w = boottime_s(), self.pair.whole.reference_w()
        if now_s > self._looked_at_s:
            steps_w = [watts - self._slaves_w.get(slot, 0.0) for slot, watts in slaves_w.items()]
            self.slew_max_w_per_s = max(self.slew_max_w_per_s, max(steps_w) / (now_s - self._looked_at_s))
        self._slaves_w, self._looked_at_s = slaves_w, now_s
        self.power_max_w = max(self.power_max_w, sum(slaves_w.values()))

    def _look_at_samples(self) -> None:
        """How old what was believed was when it was believed: its registers tell when they were measured."""
        meter = self.pair.whole.far_end.meter
        words = tuple(meter._words.get(at, 0) for at in range(POWER_BLOCK_WORDS))
        self._words.setdefault(words, boottime_s())
        assert self.pair.loop is not None
        reading = self.pair.loop.snapshot_source.reading
        if reading is None or len(reading.raw) != POWER_BLOCK_WORDS:
            return
        sample_s, measured_s = self.last_good_s, self._words.get(reading.raw)
        if measured_s is not None and sample_s > self.began_s:
            self.oldest_accepted_s = max(self.oldest_accepted_s, sample_s - measured_s)

    @property
    def reaction(self) -> str:
        """The worst state since the onset, as the fault table has it."""
        order = list(SEVERITY)
        worst = max(self.states, key=order.index, default=self._first)
        return SEVERITY[worst] if worst is not self._first or self.new_causes else "none"


def clear_standing(pair: Pair) -> None:
    """Spare the hours of a fallback that a fault has started, and the pause of slaves that are led."""
    assert pair.loop is not None
    watch = pair.loop.memory.watch
    standing = replace(watch.standing, left_s=(), latched=(), recent_s=())
    watch = replace(watch, standing=standing)
    pair.loop.memory = replace(pair.loop.memory, watch=watch, following=FollowingState())
