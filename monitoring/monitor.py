"""The story of a verdict: read, count, judge, draw, keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from contracts.files import write_whole
from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Finding, Verdict, Window
from monitoring.alerting import outbox
from monitoring.alerting.episodes import AlertPolicy
from monitoring.alerting.notify import addresses_of, deliver
from monitoring.alerting.prometheus import write_gauges
from monitoring.baseline import Baseline, find_baseline, select_segments
from monitoring.drift.attribution import SegmentCounts
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.origin import DriftOrigins
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds, calibrated_limits
from monitoring.performance.estimated import ScoreHistogram, estimate_of
from monitoring.performance.realized import realized_performance
from monitoring.quality.checks import quality_findings, unreadable_files
from monitoring.quality.counts import QualityCounts
from monitoring.quality.time_gaps import row_profile, time_gaps
from monitoring.reporting.drift_report import drift_report_html
from monitoring.reporting.evidently import SnapshotTarget, evidently_report
from monitoring.reporting.histograms import histogram_pair
from monitoring.reporting.mlflow import log_to_run
from monitoring.reporting.sampling import Reservoir
from monitoring.reporting.verdict_index import write_verdict_index
from monitoring.settings import MonitoringSettings
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow
from monitoring.verdicts import history
from monitoring.verdicts.acceptance import accepted_ids
from monitoring.verdicts.decision import JUDGED, decide
from monitoring.verdicts.summary import verdict_sentence
from registry.store import Store

MAX_HISTOGRAMS = 12


@dataclass(frozen=True)
class CountedWindow:
    """A window after every row of it was read once, in memory that does not grow with it."""

    histograms: WindowHistograms
    quality: QualityCounts
    segments: SegmentCounts
    scores: ScoreHistogram
    sample: Reservoir
    stats: ReadStats


def run(
    store: Store,
    layout: Layout,
    name: str,
    *,
    start: datetime,
    end: datetime,
    settings: MonitoringSettings,
    now: datetime,
    version: int | None = None,
    segments: Sequence[str] | None = None,
    workspace: bool = False,
) -> Verdict:
    """Judge a window of a version's traffic (default: of the version that is served here).

    `segments` are columns of categories by whose values a drift is taken apart; by default
    those of the version's manifest. With `workspace` Evidently's snapshot is put where
    `evidently ui` finds it. The report, Evidently's page, the verdict and the index of all
    windows are written below `var/`, then logged to the version's run; judging the same window
    again replaces them. The gauges of the model follow the newest window of the version that
    is served here, and so do the messages of alarms to `settings.notify`;
    `monitoring.alerting.outbox.pending` gives what is left.

    Raises:
        InvalidSetting: an address of `settings.notify` cannot be read.
        NotRegistered: no such version, or none is served here.
        CorruptModel: its model directory is not what was registered.
        NotFoundHere: a segment is no category feature of the version.
        Unwritable: `var/` cannot be written.
        PlatformError: the tracking server did not take the files; they are on disk.

    """
    addresses = addresses_of(settings.notify)
    baseline = find_baseline(store, layout, name, version)
    window = TimeWindow(name, baseline.version, start.astimezone(UTC), end.astimezone(UTC))
    earlier = history.earlier_verdicts(layout, window)
    features = select_segments(baseline, segments)
    counted = count(layout, baseline, window, settings, features)
    verdict = judge(layout, baseline, window, counted, settings, now, earlier)
    target = SnapshotTarget(layout.evidently, name, verdict.verdict_id, window.end)
    evidently = evidently_report(
        verdict.findings,
        counted.sample.frame(),
        baseline.sample,
        settings.sample_rows,
        target if workspace else None,
    )
    report = layout.reports / name / f"{verdict.verdict_id}.html"
    drawing = report.with_suffix(".evidently.html")
    verdict = replace(verdict, report=str(report), evidently=str(drawing) if evidently.html else "")
    histograms = [
        histogram_pair(finding.column, counted.histograms)
        for finding in history.strongest(verdict.findings)[:MAX_HISTOGRAMS]
    ]
    page = drift_report_html(
        verdict,
        earlier=earlier,
        histograms=histograms,
        tracking_uri=store.tracking_uri,
        note=evidently.note,
    )
    stored = layout.verdicts / name / f"{verdict.verdict_id}.json"
    files = [stored, report]
    write_whole(report, page.encode())
    if evidently.html:
        files.append(drawing)
        write_whole(drawing, evidently.html.encode())
    is_news = baseline.is_served and not history.is_past(layout, verdict)
    if is_news:
        # Before the verdict: with that on disk the window is done, and nobody would be told.
        policy = AlertPolicy(settings.drift_windows, settings.quiet_s)
        outbox.enqueue(layout, verdict, tuple(addresses), policy)
    write_whole(stored, verdict.write_pretty())
    if is_news:
        write_gauges(layout, verdict, now=now)
    outbox.deliver_pending(layout, name, addresses, deliver)
    files.append(write_verdict_index(layout, name))
    log_to_run(store.tracking_uri, baseline.manifest.run_id, files)
    return verdict


def count(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    settings: MonitoringSettings,
    segments: Sequence[str] = (),
) -> CountedWindow:
    """Read every row of a window once; `segments` are the segment features to count by."""
    reference = baseline.reference
    counted = CountedWindow(
        histograms=WindowHistograms(reference),
        quality=QualityCounts(),
        segments=SegmentCounts(reference, segments),
        scores=ScoreHistogram(),
        sample=Reservoir(settings.sample_rows),
        stats=ReadStats(),
    )
    for batch in read_traffic(layout, window, TypedColumns(reference), counted.stats):
        counted.histograms.add(batch)
        counted.quality.add(batch)
        counted.segments.add(batch)
        counted.sample.add(batch.frame)
        if "score" in batch.columns:
            counted.scores.add(batch.columns["score"].to_numpy())
    return counted


def judge(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    now: datetime,
    earlier: Sequence[Verdict],
) -> Verdict:
    """The verdict on a counted window; nothing is written.

    `earlier` are the verdicts on earlier windows of the version, by time.
    """
    histograms, stats = counted.histograms, counted.stats
    findings = _drift(layout, baseline, window, counted, settings, earlier)
    profile = row_profile(histograms, window)
    quality = (
        *unreadable_files(stats),
        *quality_findings(
            histograms, counted.quality, baseline.reference, settings, counted.segments
        ),
        *time_gaps(profile, histograms.rows, earlier),
    )
    performance = realized_performance(
        layout,
        baseline.manifest,
        baseline.version,
        window,
        now=now,
        alpha=settings.alpha,
        segments=counted.segments.features,
        sample=baseline.sample,
    )
    worse = any(metric.worse for metric in performance.metrics)
    torn = stats.torn_lines + len(stats.torn_files)
    decision = decide(histograms.rows, torn, findings, quality, settings, worse=worse)
    is_judged = decision in JUDGED
    if not is_judged:
        findings, quality = (), ()
    seen = _seen(window, histograms.rows, stats)
    title = f"{baseline.name} version {baseline.version}"
    estimate = None
    if is_judged:
        estimate = estimate_of(baseline.manifest, baseline.sample, counted.scores, earlier)
    return Verdict(
        verdict_id=window_id(baseline.name, baseline.version, window.start, window.end),
        model=baseline.name,
        version=baseline.version,
        run_id=baseline.manifest.run_id,
        made_at=utc_text(now),
        window=seen,
        decision=decision,
        sentence=verdict_sentence(title, decision, seen, findings, quality, performance),
        findings=findings,
        quality=quality,
        manifest_digest=baseline.digest,
        profile=profile if histograms.rows else (),
        torn_files=tuple(stats.torn_files),
        performance=performance,
        estimate=estimate,
    )


def _drift(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    earlier: Sequence[Verdict],
) -> tuple[Finding, ...]:
    accepted = accepted_ids(layout, baseline.name)
    thresholds = DriftThresholds(settings, calibrated_limits(earlier, window, accepted))
    origins = DriftOrigins(window, earlier, counted.segments, baseline.sample)
    return tuple(findings_of(counted.histograms, thresholds, origins))


def _seen(window: TimeWindow, rows: int, stats: ReadStats) -> Window:
    """The window as the verdict describes it."""
    return Window(
        start=utc_text(window.start),
        end=utc_text(window.end),
        rows=rows,
        files=stats.files,
        torn_lines=stats.torn_lines,
        other_versions=stats.other_versions,
    )
