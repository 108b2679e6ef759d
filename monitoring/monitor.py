"""The story of a verdict: read, count, judge, draw, keep."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
from monitoring.drift.attribution import SegmentCounts, segments_of_sample
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import Rule, decide, findings_of
from monitoring.labels.join import performance_of
from monitoring.performance.estimated import ScoreCells, estimate_of
from monitoring.quality.checks import quality_findings
from monitoring.reporting.drift_report import drift_report_html
from monitoring.reporting.evidently import SnapshotTarget, evidently_report
from monitoring.reporting.histograms import histogram_pair
from monitoring.reporting.mlflow import log_to_run
from monitoring.reporting.sampling import Reservoir
from monitoring.reporting.verdict_index import write_verdict_index
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import ReadStats, TimeWindow, read_window
from monitoring.verdicts import history
from monitoring.verdicts.summary import sentence_of
from registry.store import Store

JUDGED = ("stable", "drift", "quality", "performance")
MAX_HISTOGRAMS = 12


@dataclass(frozen=True)
class Counted:
    """A window after every row of it was read once."""

    counts: WindowHistograms
    sample: Reservoir
    cells: ScoreCells
    slices: SegmentCounts
    reading: ReadStats


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
    span = TimeWindow(name, baseline.version, start.astimezone(UTC), end.astimezone(UTC))
    earlier = history.earlier_verdicts(layout, span)
    cuts = select_segments(baseline, segments)
    counted = count(layout, baseline, span, settings, cuts)
    verdict = judge(layout, baseline, span, counted, settings, now, earlier)
    target = SnapshotTarget(layout.evidently, name, verdict.verdict_id, span.end)
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
        histogram_pair(finding.column, counted.counts)
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
    span: TimeWindow,
    settings: MonitoringSettings,
    segments: Sequence[str] = (),
) -> Counted:
    """Read every row of a window once."""
    reference = baseline.reference
    counted = Counted(
        WindowHistograms(reference),
        Reservoir(settings.sample_rows),
        ScoreCells(),
        SegmentCounts(reference, segments),
        ReadStats(),
    )
    for rows, frame in read_window(layout, span, reference, counted.reading):
        counted.counts.add(rows)
        counted.sample.add(frame)
        counted.slices.add(rows)
        if "score" in rows.columns:
            counted.cells.add(rows.columns["score"].to_numpy())
    return counted


def judge(
    layout: Layout,
    baseline: Baseline,
    span: TimeWindow,
    counted: Counted,
    settings: MonitoringSettings,
    now: datetime,
    earlier: Sequence[Verdict],
) -> Verdict:
    """The verdict on what was counted; nothing is written."""
    counts, reading = counted.counts, counted.reading
    same = history.accepted(layout, baseline.name)
    rule = Rule(settings, history.calibrated_limits(earlier, span, same))
    findings = _with_past(findings_of(counts, rule), baseline, counted, span, earlier)
    profile = history.profile_of(counts, span)
    quality = (
        *_torn_files(reading),
        *_by_slice(quality_findings(counts, baseline.reference, settings), counted.slices),
        *history.time_gaps(profile, counts.rows, earlier),
    )
    sample = baseline.sample
    performance = performance_of(
        layout,
        baseline.manifest,
        baseline.version,
        span,
        now=now,
        alpha=settings.alpha,
        segments=counted.slices.names,
        sample=sample,
    )
    worse = any(metric.worse for metric in performance.metrics)
    torn = reading.torn_lines + len(reading.torn_files)
    decision = decide(counts.rows, torn, findings, quality, settings, worse=worse)
    judged = decision in JUDGED
    if not judged:
        findings, quality = (), ()
    seen = Window(
        start=utc_text(span.start),
        end=utc_text(span.end),
        rows=counts.rows,
        files=reading.files,
        torn_lines=reading.torn_lines,
        other_versions=reading.other_versions,
    )
    title = f"{baseline.name} version {baseline.version}"
    return Verdict(
        verdict_id=window_id(baseline.name, baseline.version, span.start, span.end),
        model=baseline.name,
        version=baseline.version,
        run_id=baseline.manifest.run_id,
        made_at=utc_text(now),
        window=seen,
        decision=decision,
        sentence=sentence_of(title, decision, seen, findings, quality, performance),
        findings=findings,
        quality=quality,
        manifest_digest=baseline.digest,
        profile=profile if counts.rows else (),
        torn_files=tuple(reading.torn_files),
        performance=performance,
        estimate=estimate_of(baseline.manifest, sample, counted.cells, earlier) if judged else None,
    )


def _with_past(
    findings: Sequence[Finding],
    baseline: Baseline,
    counted: Counted,
    span: TimeWindow,
    earlier: Sequence[Verdict],
) -> tuple[Finding, ...]:
    """The findings with since when a drift is there, and in which slice."""
    if not any(finding.drifted for finding in findings):
        return tuple(findings)
    before = None
    if counted.slices.counts:
        before = segments_of_sample(baseline.sample, baseline.reference, counted.slices.names)
    told = []
    for finding in findings:
        if finding.drifted:
            part = counted.slices.driver(finding.column, before) if before else None
            told.append(
                replace(
                    finding,
                    since=history.since(finding.column, utc_text(span.start), earlier),
                    windows=history.windows(finding.column, span, earlier),
                    segment=str(part) if part else "",
                    segment_share=part.share if part else 0.0,
                )
            )
        else:
            told.append(finding)
    return tuple(told)


def _by_slice(faults: Iterable[QualityFinding], slices: SegmentCounts) -> Iterator[QualityFinding]:
    """The faults, with the slice in which most of the faulty values are."""
    for fault in faults:
        part = slices.culprit(fault.column, fault.fault)
        yield replace(fault, segment=str(part), segment_share=part.share) if part else fault


def _torn_files(reading: ReadStats) -> list[QualityFinding]:
    if not reading.torn_files:
        return []
    return [
        QualityFinding(
            column="traffic",
            fault="torn_files",
            share=len(reading.torn_files) / max(reading.files, 1),
            reference_share=0.0,
            p_value=0.0,
            detail="; ".join(reading.torn_files[:3]),
        )
    ]
