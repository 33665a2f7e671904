"""Plots of an evaluation as SVG that takes the page's colours."""

import io
import re
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.contest.results import PI, condition
from training.evaluation.judgement import BundleEvaluation
from training.evaluation.words import BILLED

SIZE_IN = (5.0, 3.3)
INK = "#010203"
"""Stands for the colour of the page's text."""
PI_COLOR, POLICY_COLOR, LAW_COLOR = "#b4620a", "#0f8a7d", "#5b7fb8"
"""Readable on light and on dark ground."""
COLORS = {PI: PI_COLOR, "predictive": LAW_COLOR}
SETTINGS = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}


def drawn(name: str, paint: Callable[[Axes], None]) -> str:
    """One plot as an <svg> element; `name` makes its inner references its own."""
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):  # type: ignore[dict-item]
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        paint(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{name}"', svg, count=1)
    return re.sub(
        r' id="(?:figure|axes|patch|line2d|text|matplotlib|legend|PathCollection|Fill)[^"]*"', "", svg
    )


def frontier_plot(judgement: BundleEvaluation, metering: str) -> str:
    """Export against avoidable import: the PI's margins, the law, the policy."""

    def paint(axes: Axes) -> None:
        points = judgement.frontier[metering]
        margins = sorted(points)
        exports, imports = ([points[m][k] / 1000.0 for m in margins] for k in (0, 1))
        axes.plot(imports, exports, "o-", color=PI_COLOR, markersize=4, label="PI, all margins")
        for row in judgement.standings:
            if (row.metering, condition(row)) == (metering, "usual") and row.controller != PI:
                color = COLORS.get(row.controller, POLICY_COLOR)
                axes.plot(
                    row.avoidable_wh / 1000.0, row.own_wh / 1000.0, "D", color=color, label=row.controller
                )
        axes.set(xlabel="avoidable import, kWh", ylabel="export, kWh", ylim=(0.0, None))
        axes.legend()

    return drawn(f"Export against import, billed {BILLED[metering]}", paint)


def delay_plot(judgement: BundleEvaluation, metering: str) -> str:
    """J of every controller when all frames are late and nobody is told."""

    def paint(axes: Axes) -> None:
        late = [r for r in judgement.standings if r.metering == metering and r.trouble == "none"]
        for name in dict.fromkeys(row.controller for row in late):
            mine = sorted((row.extra_delay_s, row.j_wh / 1000.0) for row in late if row.controller == name)
            color = COLORS.get(name, POLICY_COLOR)
            axes.plot(*zip(*mine, strict=True), "o-", color=color, label="PI" if name == PI else name)
        axes.set(xlabel="extra delay of every frame, s", ylabel="J, kWh", ylim=(0.0, None))
        axes.set_xticks(sorted({row.extra_delay_s for row in late}))
        axes.legend()

    return drawn(f"J by delay, billed {BILLED[metering]}", paint)


def day_plot(judgement: BundleEvaluation, metering: str) -> str:
    """J against the PI, day by day."""

    def paint(axes: Axes) -> None:
        days = [day for day in judgement.by_day if day.metering == metering][::-1]
        changes = [100.0 * day.j_change for day in days]
        axes.barh([day.day for day in days], changes, color=POLICY_COLOR, height=0.6)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set(xlabel="J against the PI, %")
        axes.tick_params(axis="y", labelsize=8.0)

    return drawn(f"J by day, billed {BILLED[metering]}", paint)


def bound_plot(judgement: BundleEvaluation) -> str:
    """J of PI, law or policy and bound on the bound's windows."""

    def paint(axes: Axes) -> None:
        for place, gap in enumerate(judgement.gaps):
            values = [("PI", gap.j_wh[PI], PI_COLOR), ("policy", gap.j_wh[judgement.bundle], POLICY_COLOR)]
            for shift, (name, j_wh, color) in enumerate([*values, ("bound", gap.bound_j_wh, INK)]):
                label = name if place == 0 else None
                axes.bar(place + 0.25 * (shift - 1), j_wh, 0.22, color=color, label=label)
        axes.set_xticks(range(len(judgement.gaps)), [f"billed {BILLED[g.metering]}" for g in judgement.gaps])
        axes.set(ylabel="J of the windows, Wh")
        axes.legend()

    return drawn("Clairvoyant bound", paint)
