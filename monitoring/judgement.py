"""A window of traffic is counted, row by row, and judged; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Finding, QualityFinding, Verdict
from monitoring.baseline import Baseline
from monitoring.drift.attribution import SegmentCounts
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.origin import DriftOrigins
from monitoring.drift.rule import TrendsBefore, findings_of
from monitoring.drift.seasons import Seasons
from monitoring.drift.thresholds import DriftThresholds, accepted_limits, calibrated_limits
from monitoring.drift.trend import trends_before
from monitoring.performance.estimated import ScoreHistogram, estimate_of
from monitoring.performance.realized import realized_performance
from monitoring.quality.checks import quality_findings, unreadable_traffic
from monitoring.quality.counts import QualityCounts
from monitoring.quality.time_gaps import row_profile, time_gaps
from monitoring.quality.timestamps import unspanned_parts
from monitoring.reporting.sampling import Reservoir
from monitoring.settings import MonitoringSettings
from monitoring.traffic.projections import TypedColumns
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow, window_read
from monitoring.verdicts.acceptance import accepted_ids, accepted_verdicts, mark_accepted
from monitoring.verdicts.conditions import WindowFindings, decide, judge_conditions
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
    projection = TypedColumns(reference, baseline.manifest.schema)
    for batch in read_traffic(layout, window, projection, counted.stats):
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
    seasons: Seasons | None = None,
) -> Verdict:
    """The verdict on a counted window; nothing is written.

    `earlier` are the verdicts on earlier windows of the version, by time, `seasons` what is known
    of the week.
    """
    manifest, histograms = baseline.manifest, counted.histograms
    profile = row_profile(histograms, window)
    found = _found(layout, baseline, window, counted, settings, now, earlier, seasons)
    conditions = judge_conditions(found, earlier, settings)
    decision = decide(found, conditions)
    title = f"{baseline.name} version {baseline.version}"
    return Verdict(
        verdict_id=window_id(baseline.name, baseline.version, window.start, window.end),
        model=baseline.name,
        version=baseline.version,
        run_id=manifest.run_id,
        made_at=utc_text(now),
        window=found.window,
        decision=decision,
        sentence=verdict_sentence(title, decision, found.window, conditions),
        conditions=conditions,
        findings=tuple(found.findings),
        quality=tuple(found.quality),
        manifest_digest=baseline.digest,
        profile=profile if histograms.rows else (),
        torn_files=tuple(counted.stats.torn_files),
        performance=found.performance,
        estimate=estimate_of(manifest, baseline.sample, counted.scores, earlier)
        if found.is_judged
        else None,
    )


def _found(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    now: datetime,
    earlier: Sequence[Verdict],
    seasons: Seasons | None,
) -> WindowFindings:
    """What was found in a window; too few rows have neither drift nor faults."""
    stats, rows = counted.stats, counted.histograms.rows
    is_judged = rows >= max(settings.fewest_rows, 1)
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
    found = WindowFindings(
        window=window_read(window, rows, stats),
        is_judged=is_judged,
        torn=stats.torn_lines + len(stats.torn_files),
        performance=performance,
    )
    if not is_judged:
        return found
    quality = _quality(baseline, window, counted, settings, earlier)
    accepted = accepted_verdicts(layout, baseline.name, baseline.version, earlier)
    return replace(
        found,
        findings=_drift(layout, baseline, window, counted, settings, earlier, seasons),
        quality=mark_accepted(quality, accepted),
    )


def _drift(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    earlier: Sequence[Verdict],
    seasons: Seasons | None,
) -> tuple[Finding, ...]:
    accepted = accepted_ids(layout, baseline.name)
    seasonal = seasons.seasonal(counted.histograms.columns) if seasons is not None else frozenset()
    thresholds = DriftThresholds(
        settings,
        calibrated_limits(earlier, window, accepted, seasonal),
        accepted_limits(earlier, accepted, seasonal),
    )
    origins = DriftOrigins(window, earlier, counted.segments, baseline.sample)
    before = TrendsBefore(utc_text(window.start), trends_before(earlier, window, accepted))
    partial = unspanned_parts(counted.quality.timestamps, baseline.reference)
    return tuple(findings_of(counted.histograms, thresholds, origins, before, seasons, partial))


def _quality(
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    earlier: Sequence[Verdict],
) -> tuple[QualityFinding, ...]:
    histograms, segments = counted.histograms, counted.segments
    return (
        *unreadable_traffic(counted.stats, histograms.rows, settings.fault_share),
        *quality_findings(histograms, counted.quality, baseline.reference, settings, segments),
        *time_gaps(row_profile(histograms, window), histograms.rows, earlier),
    )
