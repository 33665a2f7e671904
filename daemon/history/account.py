"""What is counted for the report. The accounts of parts add up to the account of the whole."""

from dataclasses import dataclass, field, fields

from core.decision import State
from daemon.monitoring.energy_ledger import EnergyTotals
from daemon.monitoring.figures import Counts


@dataclass(slots=True)
class Episode:
    """How often something began, and how long it lasted in all."""

    times: int = 0
    lasted_s: float = 0.0


@dataclass(slots=True)
class Account:
    """One day, or the sum of several.

    Energies in J, times in s. `reachable_j` is the part of the surplus that the slaves that answered could
    have taken. `recorded_s` lies between ticks of the journal, `unrecorded_s` in its gaps; in
    `unsynchronised_s` the wall clock, and so the date, was not known. `unanswered_s` is the radio's loss, as
    the daemon saw it, held over the time in which it was up. `causes` are those that led to the state they
    stand beside. `saved`, `spent` on import and `earned` by export are money at the prices of their moments;
    `co2_g` is what the grid would have emitted for the energy that was not bought.
    """

    energy: EnergyTotals = field(default_factory=EnergyTotals)
    counts: Counts = field(default_factory=Counts)
    state_s: dict[State, float] = field(default_factory=lambda: dict.fromkeys(State, 0.0))
    causes: dict[tuple[State, str], Episode] = field(default_factory=dict)
    reachable_j: float = 0.0
    ticks: int = 0
    missed_samples: int = 0
    frames_sent: int = 0
    frames_refused: int = 0
    recorded_s: float = 0.0
    unrecorded_s: float = 0.0
    unsynchronised_s: float = 0.0
    radio_up_s: float = 0.0
    unanswered_s: float = 0.0
    saved: float = 0.0
    spent: float = 0.0
    earned: float = 0.0
    co2_g: float = 0.0

    def spell(self, state: State, cause: str) -> Episode:
        """The spell of a cause, to be counted on."""
        return self.causes.setdefault((state, cause), Episode())

    def add(self, other: "Account") -> None:
        """Add another account to this one."""
        self.energy.add(other.energy)
        for name in Counts.__slots__:
            setattr(self.counts, name, getattr(self.counts, name) + getattr(other.counts, name))
        for state, lasted_s in other.state_s.items():
            self.state_s[state] += lasted_s
        for (state, cause), spell in other.causes.items():
            own = self.spell(state, cause)
            own.times += spell.times
            own.lasted_s += spell.lasted_s
        for entry in fields(self):
            if entry.type in (int, float):
                setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))

    @property
    def surplus_used_j(self) -> float:
        """What would have been exported without the slaves and was not."""
        return self.energy.exported_without_j - self.energy.exported_j

    @property
    def used_share(self) -> float | None:
        """Share of the surplus that was not exported; None without a surplus."""
        surplus_j = self.energy.exported_without_j
        return self.surplus_used_j / surplus_j if surplus_j > 0.0 else None

    @property
    def acknowledged_share(self) -> float | None:
        """Share of the answers due from the slaves that came; None while the radio was never up."""
        return 1.0 - self.unanswered_s / self.radio_up_s if self.radio_up_s > 0.0 else None
