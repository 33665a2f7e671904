"""A comparison for people: the policy's blocks and the fallback's, side by side."""

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from core.decision import Authority
from daemon.report.comparison import Arm, Comparison, Estimate
from daemon.report.trial import Design

ARM_NAMES = {Authority.POLICY: "policy's", Authority.FALLBACK: "other's"}
DESIGNS = {
    Design.PAIRS: "pairs of 15-minute blocks, the order drawn by lot",
    Design.SHARE: "15-minute blocks, each drawn by lot",
    Design.SCHEDULE: "fixed hours",
}


def side_by_side(found: Comparison, law: str) -> Iterator[RenderableType]:
    """A table and what it says; `law` is the fallback in words."""
    policy = f"Policy {found.policy_sha256[:8]}" if found.policy_sha256 else "Policy"
    yield Text(f"{policy} against {law}: {DESIGNS[found.design]}", "bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Wh per hour", no_wrap=True)
    for name in ("Blocks", "Surplus", "Exported", "by slaves", "J", "Policy acted"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, arm in (("policy", found.policy), (law, found.fallback)):
        table.add_row(name, *_arm(arm))
    if found.policy or found.fallback:
        yield table
    yield from map(Text, verdict(found))
    counted = ", ".join(f"{count} of the {ARM_NAMES[arm]}" for arm, count in found.incomplete.items())
    yield Text(
        f"Blocks belong to whom they were assigned to, whoever acted; their first minute does not count. "
        f"Not counted: {found.without_surplus} blocks without a surplus; incomplete: {counted}."
    )


def _arm(arm: Arm | None) -> tuple[str, ...]:
    if arm is None:
        return ("0", *("–",) * 5)
    figures = (arm.surplus_w, arm.export_w, arm.avoidable_import_w, arm.j_w)
    return (str(arm.blocks), *(f"{value:,.0f}" for value in figures), percent(arm.acted_share))


def verdict(found: Comparison) -> Iterator[str]:
    """What the comparison says, sentence by sentence."""
    if found.confounded:
        yield (
            "Confounded: the hours were fixed, so the sun differs as well as the controller. "
            "This says nothing about which is better."
        )
    elif found.too_few or found.export is None or found.j is None:
        yield f"Too few to say: {found.too_few}."
    else:
        yield _said("Export", found.export)
        yield _said("J (export + 0.5 import by devices)", found.j)


def _said(name: str, found: Estimate) -> str:
    told = "no difference shown"
    if found.high_w < 0.0:
        told = "less with the policy"
    elif found.low_w > 0.0:
        told = "more with the policy"
    bounds = f"95 % interval {found.low_w:+,.0f} to {found.high_w:+,.0f}"
    return f"{name}: {told}, {found.value_w:+,.0f} Wh per hour ({bounds})."


def percent(share: float | None) -> str:
    """As people write it; a dash for what is not known."""
    return "–" if share is None else f"{100.0 * share:.1f} %"
