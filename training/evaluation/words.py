"""Figures of an evaluation in words, the same on the terminal and on the page."""

from math import isfinite

from training.contest.bootstrap import Change, Interval
from training.evaluation.criteria import Criterion
from training.evaluation.judgement import BundleEvaluation

BILLED = {"net": "net", "per_phase": "by phase"}
NOT_MEASURED = (
    "Nothing on this page comes from a real site: days are measured, slaves, radio and meter are simulated.",
    "Slaves that generate, slaves with a minimum power, a battery's charge, thermal limits.",
    "Training seeds: a bundle is one of them. Intervals cover hours and days of this split, not seeds.",
    "Export at equal import is known only where nothing is late or in trouble: there alone the PI's margins"
    " were swept.",
    "How long the policy takes to answer, which depends on the machine (`python -m benchmarks`).",
)


def percent(ratio: float, digits: int = 1) -> str:
    """A relative change, with sign; a dash where it is not known."""
    return f"{100.0 * ratio:+.{digits}f} %".replace("-", "−") if isfinite(ratio) else "–"


def between(interval: Interval | None) -> str:
    """An interval of relative changes."""
    if interval is None or not all(map(isfinite, interval)):
        return "[not known]" if interval is not None else ""
    low, high = (f"{100.0 * x:+.1f}".replace("-", "−") for x in interval)
    return f"[{low}, {high}]"


def changed(change: Change) -> str:
    """A change with its interval over days."""
    return f"{percent(change.value)} {between(change.over_days)}".strip() if isfinite(change.value) else "–"


def figure(criterion: Criterion) -> str:
    """The value of a criterion with its unit and interval."""
    if criterion.unit == "ratio":
        return f"{percent(criterion.value)} {between(criterion.interval)}".strip()
    if not criterion.unit:
        return f"{criterion.value:,.0f}"
    digits = 1 if criterion.value < 100.0 else 0
    return f"{criterion.value:,.{digits}f} {criterion.unit}"


def verdict(judgement: BundleEvaluation) -> str:
    """One sentence."""
    own = judgement.criteria[judgement.metering]
    failed = [criterion.name for criterion in own if not criterion.holds]
    billed = BILLED[judgement.metering]
    if not failed:
        return f"{judgement.bundle} keeps all {len(own)} criteria, billed {billed}."
    missed = f"{len(failed)} of {len(own)} criteria"
    return f"{judgement.bundle} misses {missed}, billed {billed}: {'; '.join(failed)}."


def basis(judgement: BundleEvaluation) -> str:
    """What the figures rest on."""
    hours = next(row.hours for row in judgement.standings) // judgement.radios
    return (
        f"{hours} lit hours of {len(judgement.days)} days (split {judgement.split}), each with "
        f"{judgement.radios} far {'end' if judgement.radios == 1 else 'ends'} under every billing and "
        f"condition; {judgement.hours_lived:,} hours lived in {judgement.seconds:,.0f} s."
    )


def bound_lines(judgement: BundleEvaluation) -> list[str]:
    """What is said of the clairvoyant bound, a line for each billing."""
    return [
        f"Clairvoyant bound, billed {BILLED[gap.metering]}, {gap.windows} windows of 10 min: J "
        f"{gap.j_wh['pi']:.0f} Wh for the PI, {gap.j_wh[judgement.bundle]:.0f} Wh for the policy, "
        f"{gap.bound_j_wh:.0f} Wh at the bound. The policy closes "
        f"{100.0 * gap.shares[judgement.bundle].value:.1f} % of the gap "
        f"{between(gap.shares[judgement.bundle].over_days)}."
        for gap in judgement.gaps
    ]
