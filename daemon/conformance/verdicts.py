"""What a conformance test found: one verdict for each check, with the rule of the protocol it rests on."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, TypeAlias


class CheckOutcome(Enum):
    """How a check ended. `NOT_JUDGED`: nothing can be said, and `detail` says why."""

    KEPT = "pass"
    BROKEN = "fail"
    NOT_JUDGED = "not judged"


Observation: TypeAlias = tuple[CheckOutcome, str]
"""How a check ended, and what was seen."""


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One check. `rule` is the paragraph of docs/develop/setpoint-protocol.md, such as F4."""

    rule: str
    check: str
    outcome: CheckOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConformanceResult:
    """What became of one slave. It was told up to `watts`, and counters up to `last_counter` are used."""

    slot: int
    name: str
    watts: int
    at_utc: str
    seconds: float
    last_counter: int
    verdicts: tuple[CheckVerdict, ...]

    def count(self, outcome: CheckOutcome) -> int:
        """How many checks ended so."""
        return sum(verdict.outcome is outcome for verdict in self.verdicts)

    @property
    def conforms(self) -> bool:
        """No rule was broken, and at least one was seen to be kept."""
        return not self.count(CheckOutcome.BROKEN) and bool(self.count(CheckOutcome.KEPT))

    def record(self) -> dict[str, Any]:
        """As plain values."""
        verdicts = [asdict(verdict) | {"outcome": verdict.outcome.value} for verdict in self.verdicts]
        return asdict(self) | {"verdicts": verdicts, "conforms": self.conforms}
