"""Whether a challenger takes the champion's place: a rule of four clauses, every one of which must hold.

Everything is about days that neither taught nor chose, on the same slaves, radios and readings, billed as
the site is. A figure that is not known satisfies nothing, so that doubt keeps the champion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.site import Metering
from training.batched.scenarios import FaultScenario
from training.contest.bootstrap import Change, change_of, draws_of
from training.contest.relative_to_pi import of_j
from training.contest.results import LATE_S, ControllerResult, Field
from training.evaluation.criteria import CriteriaAnswers, Criterion, criteria
from training.evaluation.words import between, percent


@dataclass(frozen=True)
class Rival:
    """One of the two, with its place in the contest and everything `sunkeep evaluate` asks of a bundle."""

    name: str
    answers: CriteriaAnswers
    criteria: tuple[Criterion, ...]

    @classmethod
    def of(
        cls, rows: Sequence[ControllerResult], name: str, metering: Metering, answers: CriteriaAnswers
    ) -> "Rival":
        """Judged by the criteria of `sunkeep evaluate`."""
        return cls(name, answers, tuple(criteria(rows, name, metering, answers)))

    @property
    def kept(self) -> frozenset[str]:
        """Names of the criteria that it keeps."""
        return frozenset(criterion.name for criterion in self.criteria if criterion.holds)


@dataclass(frozen=True)
class Clause:
    """One part of the rule: what it demands, what was found, whether it holds."""

    demand: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Succession:
    """What became of it. Changes are of J, the challenger's against the champion's in the same hours.

    Their values are of the sums of all hours. Their intervals over days are Student's t of the days' changes,
    as the rule is asked with few days.
    """

    j_change: Change
    late_j_change: Change
    clauses: tuple[Clause, ...]

    @property
    def challenger_wins(self) -> bool:
        """Whether every clause holds."""
        return bool(self.clauses) and all(clause.holds for clause in self.clauses)


def succession(
    field: Field, rows: Sequence[ControllerResult], metering: Metering, champion: Rival, challenger: Rival
) -> Succession:
    """Ask the rule. `field` and `rows` hold both, under every condition of `sunkeep evaluate`."""
    usual = j_change(field, metering, champion.name, challenger.name, 0)
    late = j_change(field, metering, champion.name, challenger.name, LATE_S)
    lost = sorted(champion.kept - challenger.kept)
    answers = challenger.answers
    violations = sum(row.violations for row in rows if row.controller == challenger.name)
    broken = violations + answers.outside + answers.unsafe + answers.unanswered
    clauses = (
        Clause(
            "J below the champion's: 95 % interval of the days' changes (Student's t) below 0",
            f"{percent(usual.value)} {between(usual.over_days)}",
            usual.value < 0.0 and usual.over_days[1] < 0.0,
        ),
        Clause(
            "no criterion lost that the champion keeps",
            "; ".join(lost) or f"{len(challenger.kept)} of {len(challenger.criteria)} kept, none lost",
            not lost,
        ),
        Clause(
            f"J not above the champion's when frames are {LATE_S} s late, untold",
            f"{percent(late.value)} {between(late.over_days)}",
            late.value <= 0.0,
        ),
        Clause(
            "no violation, no answer that is no number, under any condition",
            f"{broken}",
            broken == 0,
        ),
    )
    return Succession(usual, late, clauses)


def j_change(field: Field, metering: Metering, before: str, after: str, delay_s: int) -> Change:
    """How J changes from one controller to another, with nothing in trouble."""
    at = field.rows(after, metering, delay_s, FaultScenario.NONE)
    heats = [field.heats[after][row] for row in at]
    if heats != [field.heats[before][row] for row in at]:
        raise ValueError("the two did not live the same hours")

    mine, other = (field.tallies[name].rows(at) for name in (after, before))
    return change_of(of_j(mine, other), draws_of(heats))
