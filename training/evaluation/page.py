"""An evaluation as one HTML page that needs nothing else: verdict first, then what it rests on."""

from collections.abc import Iterable, Sequence
from html import escape

from training.contest.results import PI, ControllerResult, condition
from training.evaluation import words
from training.evaluation.criteria import Criterion
from training.evaluation.judgement import BundleEvaluation
from training.evaluation.plots import bound_plot, day_plot, delay_plot, frontier_plot

STYLE = """
:root { color-scheme: light dark;
  --ground: #f4f5f2; --card: #ffffff; --line: #dfe3de; --text: #18211d; --muted: #56625c;
  --good: #0f766a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #0f1412; --card: #171e1b; --line: #2a332f; --text: #e8edea; --muted: #a3b0a9;
  --good: #4fc4b1; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
h1 { font-size: 1.15rem; margin: 0 0 .75rem; font-weight: 600; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1rem 1.25rem; }
.verdict { border-left: .4rem solid var(--bad); }
.verdict.holds { border-left-color: var(--good); }
.verdict p:first-child { font-size: 1.35rem; line-height: 1.3; font-weight: 600; margin-top: 0; }
.muted, small { color: var(--muted); }
.scroll { overflow-x: auto; padding: .25rem .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; color: var(--muted); }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.yes { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; }
tr.policy td { font-weight: 600; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; } figcaption { font-size: .9rem; color: var(--muted); margin-bottom: .25rem; }
figure svg { display: block; width: 100%; height: auto; }
.billed { display: none; color: var(--muted); }
@media (max-width: 40rem) {
  .criteria thead { display: none; } .criteria tr, .criteria td { display: block; }
  .criteria tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .criteria td { border: 0; padding: .1rem .25rem; } .criteria td:first-child { font-weight: 600; }
  .criteria td:nth-child(2) { color: var(--muted); } .billed { display: inline; }
}
li { margin: .25rem 0; max-width: 46rem; }
"""


def page(judgement: BundleEvaluation) -> str:
    """The whole page, UTF-8 text."""
    own = judgement.metering
    billings = [own, *(metering for metering in judgement.criteria if metering != own)]
    parts = [
        _verdict(judgement),
        _criteria(judgement, billings),
        _plots(judgement, billings),
        _bound(judgement),
        *(_standings(judgement, metering) for metering in billings),
        _days(judgement),
        _product(judgement),
        _terms(judgement),
    ]
    title = f"Evaluation of {judgement.bundle}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _verdict(judgement: BundleEvaluation) -> str:
    kind = "verdict holds" if judgement.holds else "verdict"
    facts = (
        f"Bundle {judgement.sha256[:12]}, trained at {judgement.commit[:12]}. "
        "J is export + 0.5 avoidable import, in Wh, without what exceeds all slaves. Beside it stands the "
        "retuned PI on the same hours, slaves and radios."
    )
    said = (words.verdict(judgement), words.basis(judgement), facts)
    lines = "".join(f"<p>{escape(text)}</p>" for text in said)
    return f'<section class="card {kind}">{lines}</section>'


def _criteria(judgement: BundleEvaluation, billings: Sequence[str]) -> str:
    """One row for each demand, one column for each billing; the first one decides."""
    rows = [
        (
            escape(same[0].name),
            escape(same[0].demand),
            *(_found(criterion, metering) for criterion, metering in zip(same, billings, strict=True)),
        )
        for same in zip(*(judgement.criteria[metering] for metering in billings), strict=True)
    ]
    heads = ("criterion", "demand", *(f"billed {words.BILLED[metering]}" for metering in billings))
    own = words.BILLED[billings[0]]
    note = f"<p class='muted'>The verdict is that of the sites this bundle is for, billed {own}.</p>"
    return f"<h2>Criteria</h2>{note}" + _table(heads, rows).replace('"card scroll"', '"card scroll criteria"')


def _found(criterion: Criterion, metering: str) -> str:
    kind, word = ("yes", "holds") if criterion.holds else ("no", "fails")
    literal = f"<br><small>{escape(criterion.literal)}</small>" if criterion.literal else ""
    billed = f'<span class="billed">billed {words.BILLED[metering]}: </span>'
    return f'{billed}<span class="{kind}">{word}</span> {escape(words.figure(criterion))}{literal}'


def _plots(judgement: BundleEvaluation, billings: Sequence[str]) -> str:
    kinds = (
        ("Export against avoidable import, {}: below the line is better", frontier_plot),
        ("J when every frame is late and nobody is told, {}", delay_plot),
        ("J against the PI by day, {}: left is better", day_plot),
    )
    figures = [
        (caption.format(f"billed {words.BILLED[metering]}"), plot(judgement, metering))
        for caption, plot in kinds
        for metering in billings
    ]
    if judgement.gaps:
        figures.append(("PI, policy and clairvoyant bound", bound_plot(judgement)))
    drawn = "".join(
        f'<figure class="card"><figcaption>{escape(caption)}</figcaption>{svg}</figure>'
        for caption, svg in figures
    )
    return f'<h2>Plots</h2><div class="plots">{drawn}</div>'


def _bound(judgement: BundleEvaluation) -> str:
    if not judgement.gaps:
        return "<h2>Clairvoyant bound</h2><p>Not computed.</p>"
    lines = "".join(f"<p>{escape(line)}</p>" for line in words.bound_lines(judgement))
    what = (
        "The bound knows the future surplus and the fate of every frame, and sends every second. Nobody can "
        "foresee a kettle, so it is a measure of what is lost to seconds of delay, not a goal."
    )
    return f"<h2>Clairvoyant bound</h2>{lines}<p class='muted'>{what}</p>"


def _standings(judgement: BundleEvaluation, metering: str) -> str:
    heads = (
        *("controller", "site", "J against the PI", "over hours", "export at equal import", "J Wh"),
        *("export Wh", "import Wh", "10 s peak W", "changes /min", "reversals /min", "imbalance W"),
        "frames /min",
    )
    rows = [_cells(row) for row in judgement.standings if row.metering == metering]
    kinds = ["policy" if row[0] == escape(judgement.bundle) else "" for row in rows]
    note = (
        "<p class='muted'>Sums over all hours and radios; export without what exceeds all slaves, import the "
        "avoidable one. Peaks are means over the hours of the hour's highest 10 s. Intervals are 95 %: over "
        "days first, then over hours alone.</p>"
    )
    return f"<h2>All conditions, billed {words.BILLED[metering]}</h2>{note}" + _table(heads, rows, kinds, 2)


def _cells(row: ControllerResult) -> tuple[str, ...]:
    energies = (row.j_wh, row.own_wh, row.avoidable_wh, row.peak10s_export_w)
    rates = (row.changes_per_min, row.reversals_per_min)
    is_pi = row.controller == PI
    return (
        "PI" if is_pi else escape(row.controller),
        condition(row),
        "" if is_pi else words.changed(row.j_change),
        "" if is_pi else words.between(row.j_change.over_hours),
        "" if is_pi else words.changed(row.export_change),
        *(f"{value:,.0f}" for value in energies),
        *(f"{value:.1f}" for value in rates),
        f"{row.imbalance_w:.0f}",
        f"{row.frames_per_min:.1f}",
    )


def _days(judgement: BundleEvaluation) -> str:
    rows = [
        (
            escape(day.day),
            words.BILLED[day.metering],
            str(day.hours),
            f"{day.pi_own_wh:,.0f} / {day.pi_avoidable_wh:,.0f}",
            f"{day.own_wh:,.0f} / {day.avoidable_wh:,.0f}",
            words.percent(day.j_change),
        )
        for day in judgement.by_day
    ]
    heads = (
        "day",
        "billed",
        "hours",
        "PI: export / import Wh",
        "policy: export / import Wh",
        "J against the PI",
    )
    return "<h2>Days</h2>" + _table(heads, rows, numbers_from=2)


def _product(judgement: BundleEvaluation) -> str:
    note = (
        "<p class='muted'>The middle lit hour of each day through the product's own loop: decide(), "
        "supervisor, gate, frames. J of that hour beside the batch's (both with what exceeds all slaves, "
        "neither learning how the slaves answer).</p>"
    )
    rows = [
        (
            escape(hour.day),
            f"{hour.from_s // 3600:02d}:{hour.from_s % 3600 // 60:02d}",
            f"{hour.policy_s:,}",
            str(hour.unsafe),
            str(hour.frames_in_9s),
            f"{hour.j_wh:,.1f}",
            f"{hour.batch_j_wh:,.1f}",
        )
        for hour in judgement.product
    ]
    heads = (
        "day",
        "from",
        "policy acted s",
        "unsafe frames",
        "frames in 9 s, at most",
        "J Wh",
        "J Wh in the batch",
    )
    return f"<h2>In the product's own loop</h2>{note}" + _table(heads, rows, numbers_from=2)


def _terms(judgement: BundleEvaluation) -> str:
    said = list(words.NOT_MEASURED)
    if len(judgement.days) < 10:
        said.append(
            f"{len(judgement.days)} days are few: intervals over days are wide and rough, and say little "
            "about other seasons."
        )
    if not judgement.is_batched:
        said.append("The graph could not be run for many sites at once; it was run site by site.")
    return "<h2>What was not measured</h2><ul>" + "".join(f"<li>{escape(x)}</li>" for x in said) + "</ul>"


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: Sequence[str] = (), numbers_from: int = 99
) -> str:
    """Cells are HTML already; columns from `numbers_from` on are set to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="n">{cell}</{tag}>' if place >= numbers_from else f"<{tag}>{cell}</{tag}>"
            for place, cell in enumerate(cells)
        )

    body = "".join(
        f'<tr class="{kinds[index] if kinds else ""}">{line(row, "td")}</tr>'
        for index, row in enumerate(rows)
    )
    return (
        f'<div class="card scroll"><table><thead><tr>{line(heads, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
