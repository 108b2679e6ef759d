"""A window of traffic is counted, row by row, and judged; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Finding, QualityFinding, Verdict, Window
from monitoring.baseline import Baseline
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
from monitoring.reporting.sampling import Reservoir
from monitoring.settings import MonitoringSettings
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow
from monitoring.verdicts.acceptance import accepted_ids
from monitoring.verdicts.decision import JUDGED, decide
from monitoring.verdicts.summary import verdict_sentence


@dataclass(frozen=True)
class CountedWindow:
    """A window after every row of it was read once, in memory that does not grow with it."""

    histograms: WindowHistograms
    quality: QualityCounts
    segments: SegmentCounts
    scores: ScoreHistogram
    sample: Reservoir
    stats: ReadStats


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
