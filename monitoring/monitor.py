"""The monitor: a window of traffic is counted, judged, drawn and stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.files import write_whole
from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Finding, QualityFinding, Verdict, Window
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
from monitoring.reporting.evidently import EvidentlyReport, SnapshotTarget, evidently_report
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
    """Judge a window of a version's traffic, by default of the version that is served here.

    The report, Evidently's page, the verdict and the index of all windows are written below
    `var/`, then logged to the version's run; judging the same window again replaces them. If
    the window is the newest of the version that is served here, the gauges of the model are
    replaced and alerts are sent to `settings.notify`; `monitoring.alerting.outbox.pending`
    gives what could not be delivered.

    Args:
        store: the registry and tracking server.
        layout: where traffic, labels, models and verdicts are.
        name: the model.
        start: the beginning of the window.
        end: its end, which does not belong to it.
        settings: thresholds, and who gets alerts.
        now: when this is done; it decides which labels are due.
        version: the version to judge.
        segments: categorical features to break drift and performance down by; by default
            those of the version's manifest.
        workspace: store Evidently's snapshot where `evidently ui` finds it.

    Raises:
        InvalidSetting: an address of `settings.notify` cannot be read.
        NotRegistered: no such version, or none is served here.
        CorruptModel: its model directory is not what was registered.
        NotFoundHere: a segment feature is not a categorical feature of the version.
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
    drawing = evidently_report(
        verdict.findings,
        counted.sample.frame(),
        baseline.sample,
        settings.sample_rows,
        target if workspace else None,
    )
    verdict = _write_report(layout, verdict, earlier, counted, drawing, store.tracking_uri)
    stored = layout.verdicts / name / f"{verdict.verdict_id}.json"
    is_news = baseline.is_served and not history.is_past(layout, verdict)
    if is_news:
        # Before the verdict: once that is on disk the window is done, and nobody would be alerted.
        policy = AlertPolicy(settings.drift_windows, settings.quiet_s)
        outbox.enqueue(layout, verdict, tuple(addresses), policy)
    write_whole(stored, verdict.write_pretty())
    if is_news:
        write_gauges(layout, verdict, now=now)
    outbox.deliver_pending(layout, name, addresses, deliver)
    index = write_verdict_index(layout, name, [*earlier, verdict])
    pages = [Path(page) for page in (verdict.report, verdict.evidently) if page]
    log_to_run(store.tracking_uri, baseline.manifest.run_id, [stored, *pages, index])
    return verdict


def _write_report(
    layout: Layout,
    verdict: Verdict,
    earlier: Sequence[Verdict],
    counted: CountedWindow,
    drawing: EvidentlyReport,
    tracking_uri: str,
) -> Verdict:
    """Write our report and Evidently's page, if there is one; gives the verdict with their paths.

    Raises:
        Unwritable: the folder of reports cannot be written.

    """
    path = layout.reports / verdict.model / f"{verdict.verdict_id}.html"
    evidently = path.with_suffix(".evidently.html")
    verdict = replace(verdict, report=str(path), evidently=str(evidently) if drawing.html else "")
    histograms = [
        histogram_pair(finding.column, counted.histograms)
        for finding in history.strongest(verdict.findings)[:MAX_HISTOGRAMS]
    ]
    page = drift_report_html(
        verdict,
        earlier=earlier,
        histograms=histograms,
        tracking_uri=tracking_uri,
        note=drawing.note,
    )
    write_whole(path, page.encode())
    if drawing.html:
        write_whole(evidently, drawing.html.encode())
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
    manifest, histograms, stats = baseline.manifest, counted.histograms, counted.stats
    findings = _drift(layout, baseline, window, counted, settings, earlier)
    profile = row_profile(histograms, window)
    quality = _quality(baseline, profile, counted, settings, earlier)
    performance = realized_performance(
        layout,
        manifest,
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
    return Verdict(
        verdict_id=window_id(baseline.name, baseline.version, window.start, window.end),
        model=baseline.name,
        version=baseline.version,
        run_id=manifest.run_id,
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
        estimate=estimate_of(manifest, baseline.sample, counted.scores, earlier)
        if is_judged
        else None,
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


def _quality(
    baseline: Baseline,
    profile: Sequence[int],
    counted: CountedWindow,
    settings: MonitoringSettings,
    earlier: Sequence[Verdict],
) -> tuple[QualityFinding, ...]:
    histograms, segments = counted.histograms, counted.segments
    return (
        *unreadable_files(counted.stats),
        *quality_findings(histograms, counted.quality, baseline.reference, settings, segments),
        *time_gaps(profile, histograms.rows, earlier),
    )


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
