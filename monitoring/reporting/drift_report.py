"""The page of a window: one sentence, then what changed, since when, how much, and what to do.

One file of at most 200 KB that needs no network and no script, in the reader's light or dark,
on a phone as on a wide screen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from contracts.verdict import (
    Estimate,
    Finding,
    Performance,
    QualityFinding,
    SlicePerformance,
    Verdict,
)
from monitoring.reporting.histograms import Shape
from monitoring.reporting.svg import bars, pairs, profile, steps, timeline
from monitoring.verdicts.history import streak, strongest
from monitoring.verdicts.summary import EFFECTS, METRICS, between

MOST_SLICES = 20
MOST_COLUMNS = 120
"""Rows of the table of columns; the verdict's JSON has all."""

NEXT = {
    "stable": "Nothing.",
    "quality": "Mend what sends the data, not the model: do not retrain on this window. "
    "Then judge the window again.",
    "performance": "Labels show that the model has become worse. Look for the slice and the time "
    "it began; then <code>slipway retrain --because</code> this verdict, or "
    "<code>slipway rollback</code>.",
    "drift": "Look at the columns below: is the change real? Wait for labels before retraining; "
    "drift alone is not damage. If it is usual (a season, a campaign), accept it, and the limits "
    "will learn it: <code>slipway accept</code>.",
    "too_few_rows": "Take a longer window.",
    "no_traffic": "Check the sender, the window and the version.",
    "unreadable": "Look at the traffic folder and its disk.",
}
COLOURS = {
    "stable": "good",
    "drift": "warn",
    "quality": "bad",
    "performance": "bad",
    "unreadable": "bad",
}

STYLE = """
:root{color-scheme:light dark;--ink:#1c2530;--soft:#5b6875;--paper:#fff;--line:#dde3e9;
--band:#f4f6f8;--good:#2b7a4b;--warn:#b4541a;--bad:#a8262b;--ref:#8a97a5;--now:#2563a8}
@media (prefers-color-scheme:dark){:root{--ink:#e7ecf1;--soft:#9aa7b4;--paper:#14191e;
--line:#323c46;--band:#1c232a;--good:#5fbf86;--warn:#eb9a5c;--bad:#f0787c;--ref:#6d7a87;
--now:#74aef0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:84rem;padding:1.25rem 1rem 4rem;background:var(--paper);
color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.35rem;line-height:1.3;margin:.5rem 0}
h2{font-size:1.05rem;margin:2rem 0 .5rem}
h1,p,ul{max-width:62rem}
p{margin:.4rem 0}a{color:var(--now)}
.tag{display:inline-block;padding:.1rem .6rem;border-radius:.25rem;color:var(--paper);
background:var(--soft);font-size:.75rem;font-weight:700;letter-spacing:.05em;
text-transform:uppercase}
.tag.good{background:var(--good)}.tag.warn{background:var(--warn)}.tag.bad{background:var(--bad)}
.facts,.note{color:var(--soft);font-size:.875rem}
.next{border-left:.25rem solid var(--now);background:var(--band);padding:.6rem .9rem}
.wide table{font-size:.82rem}.wide+.wide{margin-top:1rem}
.wide{overflow-x:auto;background:linear-gradient(90deg,var(--paper) 2rem,transparent) 0 0/4rem
100% no-repeat local,linear-gradient(270deg,var(--paper) 2rem,transparent) 100% 0/4rem 100%
no-repeat local,linear-gradient(90deg,var(--line),transparent) 0 0/1rem 100% no-repeat scroll,
linear-gradient(270deg,var(--line),transparent) 100% 0/1rem 100% no-repeat scroll}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;padding:.35rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}
td.n,th.n{text-align:right}td.n{font-variant-numeric:tabular-nums}
tr.hit td{font-weight:600}
td.words{white-space:normal;min-width:14rem}
.shapes{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
figure{margin:0;padding:.6rem;border:1px solid var(--line);border-radius:.35rem}
figcaption{font-size:.8rem;color:var(--soft)}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font:10px system-ui,sans-serif}
.ref{fill:var(--ref)}.now{fill:var(--now)}
.line-ref{fill:none;stroke:var(--ref);stroke-width:1.5}.line-now{fill:none;stroke:var(--now);
stroke-width:1.5}.limit{stroke:var(--bad);stroke-dasharray:3 3}
.s-good{fill:var(--good)}.s-warn{fill:var(--warn)}.s-bad{fill:var(--bad)}.s-{fill:var(--ref)}
code{font-size:.9em}
.list .unit{display:none}
@media (max-width:40rem){.list thead{display:none}.list tr{display:block;padding:.5rem 0;
border-bottom:1px solid var(--line)}.list td{display:inline-block;border:0;padding:.15rem .6rem
.15rem 0}.list td.words{display:block;min-width:0}.list td.n{color:var(--soft)}
.list .unit{display:inline}}
"""


@dataclass(frozen=True)
class Page:
    """What the page shows beside the verdict: pictures, earlier windows, and where things are."""

    verdict: Verdict
    earlier: Sequence[Verdict] = ()
    shapes: Sequence[Shape] = ()
    tracking_uri: str = ""
    note: str = ""


def page_of(page: Page) -> str:
    """The whole page."""
    verdict = page.verdict
    return document(
        verdict.verdict_id,
        _head(verdict)
        + _next(verdict)
        + _quality(verdict.quality)
        + _performance(verdict.performance)
        + _estimate(verdict.estimate)
        + _since(verdict, page.earlier)
        + _shapes(page.shapes, verdict.findings)
        + _columns(verdict.findings)
        + _links(page),
    )


def document(title: str, body: str) -> str:
    """A page with our style; `body` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )


def tag(decision: str) -> str:
    """A decision as a coloured word."""
    word = escape(decision.replace("_", " "))
    return f'<span class="tag {COLOURS.get(decision, "")}">{word}</span>'


def _head(verdict: Verdict) -> str:
    window = verdict.window
    facts = [
        f"{verdict.model} version {verdict.version}",
        f"{between(window.start, window.end)} UTC",
        f"{window.rows:,} rows",
    ]
    if window.torn_lines:
        facts.append(f"{window.torn_lines:,} torn lines skipped")
    if verdict.torn_files:
        facts.append(f"{len(verdict.torn_files)} files could not be read")
    if window.other_versions:
        facts.append(f"{window.other_versions:,} rows of other versions")
    return (
        f"{tag(verdict.decision)}<h1>{escape(verdict.sentence)}</h1>"
        f'<p class="facts">{escape(" · ".join(facts))}</p>'
    )


def _next(verdict: Verdict) -> str:
    return f'<p class="next"><b>What to do:</b> {NEXT[verdict.decision]}</p>'


def _quality(faults: Sequence[QualityFinding]) -> str:
    rows = [
        f"<tr{' class=hit' if f.alarming else ''}><td>{escape(f.column)}</td>"
        f"<td>{escape(f.fault.replace('_', ' '))}</td>"
        f"<td class=n>{f.share:.2%}</td><td class=n>{f.reference_share:.2%}</td>"
        f"<td class=words>{escape(f.detail)}{_where(f)}"
        f"{'' if f.alarming else ' (no alarm)'}</td></tr>"
        for f in faults[:MOST_COLUMNS]
    ]
    heads = ("column", "fault", "share", "at training", "in words")
    return "<h2>Faults of the data</h2>" + table(heads, rows) if rows else ""


def _performance(performance: Performance | None) -> str:
    if performance is None:
        return ""
    p = performance
    status = {
        "judged": f"{p.labels:,} labels, {p.coverage:.0%} of the predictions from "
        f"{between(p.start, p.end) if p.start else 'the window'}",
        "immature": f"no window's labels are due yet; those of this one are at "
        f"{_plain(p.mature_at)}",
        "no_labels": "no labels; only labels tell whether the model is right",
        "too_few_labels": f"{p.labels} labels are too few to judge",
    }[p.status]
    extras = [
        f"{n:,} {word}"
        for n, word in (
            (p.orphans, "labels of unknown predictions"),
            (p.replaced, "labels replaced by later ones"),
            (p.unusable, "labels that are no class or number"),
            (p.torn_lines, "torn lines"),
        )
        if n
    ]
    rows = [
        f"<tr{' class=hit' if m.worse else ''}><td>{escape(METRICS.get(m.metric, m.metric))}</td>"
        f"<td class=n>{m.value:.4g}</td><td class=n>{m.low:.4g} to {m.high:.4g}</td>"
        f"<td class=n>{m.baseline:.4g}</td><td class=n>{m.baseline_low:.4g} to "
        f"{m.baseline_high:.4g}</td><td class=n>{_chance(m.p_value)}</td>"
        f"<td>{'worse' if m.worse else ''}</td></tr>"
        for m in p.metrics
    ]
    heads = ("metric", "now", "95 %", "at training", "95 %", "p-value", "")
    groups = [
        f"<tr><td>version {g.version}</td><td>{escape(g.variant)}</td>"
        f"<td>{escape(METRICS.get(g.metric, g.metric))}</td><td class=n>{g.value:.4g}</td>"
        f"<td class=n>{g.low:.4g} to {g.high:.4g}</td><td class=n>{g.labels:,}</td></tr>"
        for g in p.groups
    ]
    group_heads = ("version", "variant", "metric", "value", "95 %", "labels")
    return (
        f"<h2>Performance</h2><p>{escape('; '.join([status, *extras]))}.</p>"
        + (table(heads, rows) if rows else "")
        + (table(group_heads, groups) if len(groups) > 1 else "")
        + _slices(p.slices)
    )


def _plain(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _slices(slices: Sequence[SlicePerformance]) -> str:
    """The worst slices; a slice is held against itself at training."""
    if not slices:
        return ""
    rows = [
        f"<tr{' class=hit' if s.worse else ''}><td>{escape(s.segment)} = {escape(s.value)}</td>"
        f"<td>{escape(METRICS.get(s.metric, s.metric))}</td><td class=n>{s.now:.4g}</td>"
        f"<td class=n>{s.low:.4g} to {s.high:.4g}</td><td class=n>{s.baseline:.4g}</td>"
        f"<td class=n>{s.labels:,}</td><td class=n>{_chance(s.p_value)}</td>"
        f"<td>{'worse' if s.worse else ''}</td></tr>"
        for s in slices[:MOST_SLICES]
    ]
    heads = ("slice", "metric", "now", "95 %", "at training", "labels", "p-value", "")
    note = f"{len(slices)} slices were looked at, and the p-values allow for that (Holm)."
    return f'{table(heads, rows)}<p class="note">{note}</p>'


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if estimate.missing:
        return f'<p class="note">No estimate without labels: {escape(estimate.missing)}.</p>'
    record = (
        f"in {estimate.windows_compared} earlier windows with labels it was off by "
        f"{estimate.mean_error:.3f} on average"
        if estimate.windows_compared
        else "it has no track record yet: no earlier window has both an estimate and labels"
    )
    metric = METRICS.get(estimate.metric, estimate.metric)
    return (
        f"<h2>Estimate without labels</h2><p>{escape(metric)} {estimate.value:.3f} "
        f"({estimate.baseline:.3f} at training); {escape(record)}.</p>"
        f'<p class="note">{escape(estimate.method)}; {escape(estimate.assumes)}.</p>'
    )


def _since(verdict: Verdict, earlier: Sequence[Verdict]) -> str:
    shown = [*earlier, verdict][-60:]
    words = [f"{v.window.start[:16]} {v.decision}: {v.sentence}" for v in shown]
    marks = [COLOURS.get(v.decision, "") for v in shown]
    drifted = strongest([f for f in verdict.findings if f.drifted])
    since = "".join(
        f"<li>{escape(f.column)} has drifted since "
        f"{escape((f.since or '')[:16].replace('T', ' '))} UTC"
        f"{f' ({f.windows} windows in a row)' if f.windows > 1 else ''}"
        f"{_where(f)}; it shows in {f.persistence:.0%} of the window</li>"
        for f in drifted[:8]
    )
    rows = f"<h2>Rows in the window</h2>{profile(verdict.profile)}" if any(verdict.profile) else ""
    return (
        f"<h2>Since when</h2>{timeline(marks, words)}"
        f'<p class="note">{len(shown)} windows of this version, the newest on the right; '
        f"{escape(verdict.decision.replace('_', ' '))} {streak(verdict, earlier)} in a row.</p>"
        + (f"<ul>{since}</ul>" if since else "")
        + rows
    )


def _where(finding: Finding | QualityFinding) -> str:
    if not finding.segment:
        return ""
    return f", {finding.segment_share:.0%} of it in {escape(finding.segment)}"


def _shapes(shapes: Sequence[Shape], findings: Sequence[Finding]) -> str:
    by_column = {f.column: f for f in findings}
    figures = []
    for shape in shapes:
        drawn = (
            steps(shape.before, shape.now, shape.labels)
            if shape.kind == "number"
            else pairs(shape.before, shape.now, shape.labels)
        )
        finding = by_column[shape.column]
        words = (
            f"{'drifted: ' if finding.drifted else ''}{EFFECTS[finding.effect]} "
            f"{finding.effect_size:.3f}, counts from {finding.effect_threshold:.3f}"
        )
        figures.append(
            f"<figure><b>{escape(shape.column)}</b>{drawn}"
            f"<figcaption>{escape(words)}</figcaption></figure>"
        )
    if not figures:
        return ""
    return (
        '<h2>What changed</h2><p class="note">grey: at training; blue: in this window</p>'
        f'<div class="shapes">{"".join(figures)}</div>'
    )


def _columns(findings: Sequence[Finding]) -> str:
    rows = [_finding_row(f) for f in strongest(findings)[:MOST_COLUMNS]]
    heads = (
        "column", "", "effect", "size", "limit", "p-value", "persists", "KS", "Wasserstein",
        "PSI", "Jensen-Shannon", "total variation", "chi-square", "rows", "worth",
    )  # fmt: skip
    more = len(findings) - len(rows)
    note = f'<p class="note">{more} more columns are in the verdict.</p>' if more > 0 else ""
    return "<h2>Every column</h2>" + table(heads, rows) + note if rows else ""


def _finding_row(f: Finding) -> str:
    s = f.statistics
    cells = [
        f"{s[name]:.3f}" if name in s else "-"
        for name in ("ks", "wasserstein_normed", "psi", "jensen_shannon", "total_variation")
    ]
    cells.append(f"{s['chi_square']:.4g}" if "chi_square" in s else "-")
    cells += [f"{f.n:,}", f"{f.rows_effective:,.0f}"]
    numbers = "".join(f"<td class=n>{cell}</td>" for cell in cells)
    mark = "warn" if f.drifted else ""
    return (
        f"<tr{' class=hit' if f.drifted else ''}><td>{escape(f.column)}</td>"
        f"<td>{bars(f.effect_size / f.effect_threshold, mark)}</td>"
        f"<td>{escape(EFFECTS[f.effect])}</td><td class=n>{f.effect_size:.3f}</td>"
        f'<td class=n title="{escape(f.threshold_from)}">{f.effect_threshold:.3f}</td>'
        f"<td class=n>{_chance(f.p_value)}</td><td class=n>{f.persistence:.0%}</td>{numbers}</tr>"
    )


def _chance(p_value: float) -> str:
    """A p-value; what is below the smallest number is not nothing."""
    return f"{p_value:.2g}" if p_value else "&lt; 1e-300"


def _links(page: Page) -> str:
    verdict = page.verdict
    run = f"run <code>{escape(verdict.run_id)}</code>"
    if page.tracking_uri.startswith("http"):
        base = escape(page.tracking_uri.rstrip("/"))
        version = f"{base}/#/models/{escape(verdict.model)}/versions/{verdict.version}"
        run += f' (<a href="{version}">version {verdict.version}</a>)'
    else:
        run += f", version {verdict.version}: <code>mlflow ui</code>"
    links = [run, f'<a href="{INDEX}">all windows</a>']
    if verdict.evidently:
        name = escape(PurePath(verdict.evidently).name)
        links.insert(0, f'<a href="{name}">Evidently\'s report</a> of a sample, same numbers')
    note = f'<p class="note">{escape(page.note)}</p>' if page.note else ""
    return f"<h2>Further</h2><p>{' · '.join(links)}</p>{note}"


INDEX = "index.html"
CELL = re.compile(r"<td( class=n)?")


def index_of(name: str, verdicts: Sequence[Verdict]) -> str:
    """The page of all windows of a model, the newest first; `verdicts` in the order of time."""
    marks = [COLOURS.get(v.decision, "") for v in verdicts][-60:]
    words = [f"{v.window.start[:16]} {v.decision}" for v in verdicts][-60:]
    rows = [
        f"<tr><td>{tag(v.decision)}</td>"
        f'<td><a href="{escape(PurePath(v.report).name)}">'
        f"{escape(between(v.window.start, v.window.end))}</a></td>"
        f"<td class=words>{escape(v.sentence)}</td><td class=n>{v.window.rows:,}"
        f"<span class=unit> rows</span></td></tr>"
        for v in reversed(verdicts[-500:])
    ]
    heads = ("verdict", "window (UTC)", "in one sentence", "rows")
    listed = f'<div class="list">{table(heads, rows)}</div>'
    body = f"<h1>{escape(name)}: every window</h1>{timeline(marks, words)}{listed}"
    return document(f"{name}: every window", body)


def table(heads: Sequence[str], rows: Sequence[str]) -> str:
    """A table that scrolls by itself on a narrow screen; `rows` are HTML."""
    # Heads stand over their numbers: to the right, as the cells of the first row do.
    numeric = [cell == " class=n" for cell in CELL.findall(rows[0] if rows else "")]
    numeric += [False] * (len(heads) - len(numeric))
    head = "".join(
        f"<th{' class=n' if right else ''}>{escape(word)}</th>"
        for word, right in zip(heads, numeric, strict=True)
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}'
        "</tbody></table></div>"
    )
