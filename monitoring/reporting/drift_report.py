"""The report on a window: a summary, then what changed, since when, how much, and what to do.

One HTML file of at most 200 KB that needs no network and no script.
"""

from collections.abc import Sequence
from pathlib import PurePath

from markupsafe import Markup

from contracts.verdict import Finding, Verdict
from monitoring.reporting.histograms import HistogramPair
from monitoring.reporting.svg import category_chart, limit_bar, row_chart, step_chart
from monitoring.reporting.verdict_index import (
    DECISION_COLOURS,
    INDEX_FILE,
    MAX_IN_TIMELINE,
    verdict_timeline,
)
from monitoring.verdicts.history import streak, strongest
from monitoring.verdicts.summary import EFFECT_NAMES, METRIC_NAMES, time_range_text
from pages.formats import format_count
from pages.render import render

MAX_REPORT_SEGMENTS = 20
MAX_LISTED_COLUMNS = 120
"""Rows of the tables of columns; the verdict's JSON has all."""
MAX_RUNS = 8
"""Drifted columns whose beginning is listed."""


def drift_report_html(
    verdict: Verdict,
    *,
    earlier: Sequence[Verdict] = (),
    histograms: Sequence[HistogramPair] = (),
    tracking_uri: str = "",
    note: str = "",
) -> str:
    """The report on a verdict as one HTML page.

    Args:
        verdict: what is reported.
        earlier: verdicts on earlier windows of the same version, by time.
        histograms: columns to draw, each one of the verdict's findings.
        tracking_uri: MLflow's address, which the page links if it is a web address.
        note: a sentence on Evidently's report.

    """
    shown = [*earlier, verdict][-MAX_IN_TIMELINE:]
    titles = [f"{v.window.start[:16]} {v.decision}: {v.sentence}" for v in shown]
    findings = strongest(verdict.findings)
    return render(
        "monitoring/reporting/drift_report.html.j2",
        verdict=verdict,
        facts=_facts(verdict),
        tags=_tags(verdict),
        never_learned=[q.column for q in verdict.quality if q.fault == "constant_at_training"],
        metrics=METRIC_NAMES,
        effects=EFFECT_NAMES,
        time_range_text=time_range_text,
        max_rows=MAX_LISTED_COLUMNS,
        max_segments=MAX_REPORT_SEGMENTS,
        timeline=verdict_timeline(shown, titles),
        n_windows=len(shown),
        streak=streak(verdict, earlier),
        runs=[f for f in findings if f.drifted][:MAX_RUNS],
        drifted=sum(f.drifted for f in findings),
        learning=sum(f.learning for f in findings),
        seasonal=next((f.season for f in findings if f.season), ""),
        row_chart=row_chart(verdict.profile) if any(verdict.profile) else None,
        charts=_charts(histograms, verdict.findings),
        findings=[(f, limit_bar(*_strength(f))) for f in findings[:MAX_LISTED_COLUMNS]],
        index_file=INDEX_FILE,
        evidently_file=PurePath(verdict.evidently).name if verdict.evidently else "",
        version_url=_version_url(verdict, tracking_uri),
        note=note,
    )


def _tags(verdict: Verdict) -> list[tuple[str, str]]:
    """A badge for each alarming condition, or one for the decision; text and colour."""
    alarms = verdict.alarms
    if not alarms or alarms[0].kind == "delivery":
        kinds = [verdict.decision, *(c.kind for c in alarms[1:])]
    else:
        kinds = [c.kind for c in alarms]
    unique = dict.fromkeys(kinds)
    return [(kind.replace("_", " "), DECISION_COLOURS.get(kind, "")) for kind in unique]


def _facts(verdict: Verdict) -> list[str]:
    window = verdict.window
    facts = [
        f"{verdict.model} version {verdict.version}",
        f"{time_range_text(window.start, window.end)} UTC",
        format_count(window.rows, "row"),
    ]
    if window.torn_lines:
        facts.append(f"{format_count(window.torn_lines, 'torn line')} skipped")
    if verdict.torn_files:
        facts.append(f"{format_count(len(verdict.torn_files), 'unreadable file')} skipped")
    if window.other_versions:
        facts.append(f"{format_count(window.other_versions, 'row')} of other versions")
    return facts


def _charts(
    histograms: Sequence[HistogramPair], findings: Sequence[Finding]
) -> list[tuple[Finding, Markup]]:
    by_column = {f.column: f for f in findings}
    return [
        (
            by_column[pair.column],
            (step_chart if pair.kind == "number" else category_chart)(
                pair.before, pair.now, pair.labels
            ),
        )
        for pair in histograms
    ]


def _strength(finding: Finding) -> tuple[float, str]:
    return finding.effect_size / finding.effect_threshold, "warn" if finding.drifted else ""


def _version_url(verdict: Verdict, tracking_uri: str) -> str:
    """The version's page in MLflow's web interface, or nothing if it has no web address."""
    if not tracking_uri.startswith("http"):
        return ""
    return f"{tracking_uri.rstrip('/')}/#/models/{verdict.model}/versions/{verdict.version}"
