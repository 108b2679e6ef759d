"""The page of an A/B analysis: one sentence, the difference over time, and what it stands on.

One file that needs no network and no script, in the reader's light or dark.
"""

from collections.abc import Sequence
from html import escape

from contracts.experiment import Effect, Experiment, Look, RatioCheck, VariantResult
from monitoring.reporting.drift_report import document, table
from monitoring.verdicts.summary import METRICS

COLOURS = {"better": "good", "worse": "bad", "invalid": "warn", "undecided": ""}
WORDS = {
    "better": "challenger better",
    "worse": "challenger worse",
    "invalid": "not valid (ratio)",
    "undecided": "no decision yet",
}
NEXT = {
    "better": "Promote it: <code>slipway promote</code> asks the gate. Looking again changes "
    "nothing: the interval holds at every look.",
    "worse": "End it: take the alias <code>challenger</code> away, or its weight to 0.",
    "invalid": "Trust no number below. Look for what decides beside chance who is in which "
    "variant (errors of one of them, a cache, a client that retries), mend it, begin anew.",
    "undecided": "Let it run. Look as often as you like.",
}
WIDTH, HEIGHT = 640, 200
STYLE = "<style>.band{fill:var(--now);opacity:.18}.zero{stroke:var(--soft)}</style>"


def page_of(experiment: Experiment) -> str:
    """The whole page."""
    e = experiment
    return document(
        e.experiment_id,
        STYLE
        + _head(e)
        + f'<p class="next"><b>What to do:</b> {NEXT[e.outcome]}</p>'
        + _effect(e.effect, e.looks)
        + _results(e.results, e.effect)
        + _ratio("Ratio of the units", e.ratio)
        + _ratio("Ratio of the units that have a label", e.labelled_ratio)
        + _notes(e),
    )


def _head(e: Experiment) -> str:
    facts = [
        f"{e.window.start[:16]} to {e.window.end[:16]} UTC",
        f"{e.rows:,} rows of {e.units:,} units",
    ]
    if e.started_at:
        facts.append(f"begun {e.started_at[:16]}")
    if e.immature:
        facts.append(f"labels of {e.immature:,} rows are not due yet")
    if e.unlabelled:
        facts.append(f"{e.unlabelled:,} rows have no label")
    if e.other:
        facts.append(f"{e.other:,} rows of other versions, or not divided")
    if e.window.torn_lines:
        facts.append(f"{e.window.torn_lines:,} torn lines skipped")
    return (
        f'<span class="tag {COLOURS[e.outcome]}">{WORDS[e.outcome]}</span>'
        f'<h1>{escape(e.sentence)}</h1><p class="facts">{escape(" · ".join(facts))}</p>'
    )


def _effect(effect: Effect | None, looks: Sequence[Look]) -> str:
    if effect is None:
        return ""
    name = METRICS.get(effect.metric, effect.metric)
    better = "greater" if effect.greater_is_better else "smaller"
    return (
        f"<h2>{escape(name)}: challenger minus production</h2>"
        f"<p>{effect.difference:+.4g}, from {effect.low:+.4g} to {effect.high:+.4g} "
        f"({1 - effect.alpha:.0%}, at all looks at once); always-valid p-value "
        f"{effect.p_value:.2g}. {better.capitalize()} is better.</p>"
        f"{_plot(looks)}"
        f'<p class="note">Blue: the difference and its confidence sequence, as they would have '
        f"looked at each time. Standard error {effect.error:.3g} with {effect.units:,} units as "
        f"clusters, {effect.labels:,} labels; narrowest at {effect.planned_units:,} units. "
        "Waudby-Smith et al. 2024, Annals of Statistics 52: see docs/ab.md.</p>"
    )


def _plot(looks: Sequence[Look]) -> str:
    """The band of the sequence over time, with zero."""
    if not looks:
        return ""
    low = min(0.0, *(look.low for look in looks[len(looks) // 4 :]), looks[-1].low)
    high = max(0.0, *(look.high for look in looks[len(looks) // 4 :]), looks[-1].high)
    room = (high - low or 1.0) * 0.05
    low, high = low - room, high + room

    def x(place: int) -> float:
        return 60 + (WIDTH - 70) * (place / max(len(looks) - 1, 1))

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return 8 + (HEIGHT - 30) * (high - inside) / (high - low)

    tops = [f"{x(i):.1f},{y(look.high):.1f}" for i, look in enumerate(looks)]
    ends = [f"{x(i):.1f},{y(look.low):.1f}" for i, look in enumerate(looks)]
    line = [f"{x(i):.1f},{y(look.difference):.1f}" for i, look in enumerate(looks)]
    marks = "".join(
        f'<text x="56" y="{y(value) + 3:.1f}" text-anchor="end">{value:+.3g}</text>'
        for value in (low + room, 0.0, high - room)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="the difference over time with its confidence sequence">'
        f'<polygon class="band" points="{" ".join([*tops, *reversed(ends)])}"/>'
        f'<line class="zero" x1="60" x2="{WIDTH - 10}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
        f'<polyline class="line-now" points="{" ".join(line)}"/>'
        f'<circle class="now" cx="{x(len(looks) - 1):.1f}" '
        f'cy="{y(looks[-1].difference):.1f}" r="3"/>{marks}'
        f'<text x="60" y="{HEIGHT - 4}">{escape(looks[0].time[:16])}</text>'
        f'<text x="{WIDTH - 10}" y="{HEIGHT - 4}" text-anchor="end">'
        f"{escape(looks[-1].time[:16])}</text></svg>"
    )


def _results(results: Sequence[VariantResult], effect: Effect | None) -> str:
    rows = [
        f"<tr><td>version {r.version}</td><td>{escape(r.variant)}</td><td class=n>{r.rows:,}</td>"
        f"<td class=n>{r.units:,}</td><td class=n>{r.labels:,}</td>"
        f"<td class=n>{_shown(r.value)}</td>"
        f"<td class=n>{_shown(r.low)} to {_shown(r.high)}</td></tr>"
        for r in results
    ]
    metric = "metric" if effect is None else METRICS.get(effect.metric, effect.metric)
    heads = ("version", "variant", "mature rows", "units", "labels", metric, "95 %, one look")
    return "<h2>By version and variant</h2>" + table(heads, rows) if rows else ""


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _ratio(title: str, ratio: RatioCheck) -> str:
    if not any(s.production + s.challenger for s in ratio.strata):
        return ""
    rows = []
    for s in ratio.strata:
        whole = s.production + s.challenger
        meant = f"{s.weight:.2%}" if s.weight else "not logged"
        rows.append(
            f"<tr><td class=n>{meant}</td><td class=n>{s.challenger / max(whole, 1):.2%}</td>"
            f"<td class=n>{s.challenger:,}</td><td class=n>{s.production:,}</td></tr>"
        )
    told = (
        f"Chi-square {ratio.chi_square:.2f} on {ratio.freedom} degree(s) of freedom, p "
        f"{ratio.p_value:.3g}: {'not as' if ratio.failed else 'as'} meant (fails below "
        f"{ratio.threshold:g})."
        if ratio.checked
        else "Not checked: no weight is known, or too few units for the test."
    )
    heads = ("weight", "challenger's share", "challenger", "production")
    return f"<h2>{escape(title)}</h2><p>{told}</p>{table(heads, rows)}"


def _notes(e: Experiment) -> str:
    notes = list(e.notes)
    if e.mixed_units:
        notes.append(f"{e.mixed_units:,} units were met as both variants under one weight.")
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h2>Notes</h2><ul>{items}</ul>" if items else ""
