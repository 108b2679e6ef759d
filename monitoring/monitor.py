"""The monitor: a window of traffic is counted, judged, drawn and stored."""

import logging
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import PlatformError, Unwritable
from contracts.files import write_whole
from contracts.names import Layout, window_id
from contracts.times import utc_text
from contracts.verdict import Condition, Verdict
from monitoring.alerting import outbox
from monitoring.alerting.episodes import AlertPolicy
from monitoring.alerting.notify import addresses_of, deliver
from monitoring.alerting.prometheus import write_gauges
from monitoring.baseline import Baseline, find_baseline, select_segments
from monitoring.drift.season_files import read_seasons, store_season, time_zone
from monitoring.drift.seasons import Seasons
from monitoring.judgement import CountedWindow, count, judge
from monitoring.reporting.drift_report import drift_report_html
from monitoring.reporting.evidently import EvidentlyReport, SnapshotTarget, evidently_report
from monitoring.reporting.histograms import HistogramPair, histogram_pair
from monitoring.reporting.mlflow import log_to_run
from monitoring.reporting.verdict_index import write_verdict_index
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import ReadStats, TimeWindow, window_read
from monitoring.verdicts import history
from registry.store import Store

logger = logging.getLogger("slipway.monitor")

MAX_HISTOGRAMS = 12
MAX_CAUSE = 500
"""Characters of an exception's text that a verdict keeps."""


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
    `var/`, then logged to the version's run; judging the same window again replaces them. A
    window that cannot be counted, judged or drawn, for whatever reason, gets the decision
    `failed` with the cause. If
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
        InvalidSetting: an address of `settings.notify` cannot be read, or there is no such time
            zone.
        NotRegistered: no such version, or none is served here.
        CorruptModel: its model directory is not what was registered.
        NotFoundHere: a segment feature is not a categorical feature of the version.
        Unwritable: `var/` cannot be written.
        PlatformError: the tracking server did not take the files; they are on disk.

    """
    addresses = addresses_of(settings.notify)
    zone = time_zone(settings.time_zone)
    baseline = find_baseline(store, layout, name, version)
    window = TimeWindow(name, baseline.version, start.astimezone(UTC), end.astimezone(UTC))
    earlier = history.earlier_verdicts(layout, window)
    features = select_segments(baseline, segments)
    try:
        counted = count(layout, baseline, window, settings, features)
        seasons = read_seasons(layout, window, baseline.version, zone)
        verdict = judge(layout, baseline, window, counted, settings, now, earlier, seasons)
        drawing = _draw(layout, baseline, window, counted, settings, verdict, workspace=workspace)
        pairs = _histogram_pairs(verdict, counted, seasons)
        verdict = _write_report(layout, verdict, earlier, pairs, drawing, store.tracking_uri)
        store_season(layout, window, counted.histograms, baseline.reference, verdict, zone)
    except Unwritable:
        raise
    except Exception as err:
        # Whatever is wrong with this window must neither hide it nor stop the next one.
        logger.exception("%s: the window from %s was not judged", name, utc_text(window.start))
        verdict = _failed(baseline, window, now, err)
        blank = EvidentlyReport("", "")
        verdict = _write_report(layout, verdict, earlier, [], blank, store.tracking_uri)
    stored = layout.verdicts / name / f"{verdict.verdict_id}.json"
    is_news = baseline.is_served and not history.is_past(layout, verdict)
    if is_news:
        # Before the verdict: once that is on disk the window is done, and nobody would be alerted.
        policy = AlertPolicy(settings.quiet_s)
        outbox.enqueue(layout, verdict, tuple(addresses), policy)
    write_whole(stored, verdict.write_pretty())
    if is_news:
        write_gauges(layout, verdict, now=now)
    outbox.deliver_pending(layout, name, addresses, deliver)
    index = write_verdict_index(layout, name, [*earlier, verdict])
    pages = [Path(page) for page in (verdict.report, verdict.evidently) if page]
    log_to_run(store.tracking_uri, baseline.manifest.run_id, [stored, *pages, index])
    return verdict


def _draw(
    layout: Layout,
    baseline: Baseline,
    window: TimeWindow,
    counted: CountedWindow,
    settings: MonitoringSettings,
    verdict: Verdict,
    *,
    workspace: bool,
) -> EvidentlyReport:
    """Evidently's report; with `workspace` its snapshot is stored as well."""
    target = SnapshotTarget(layout.evidently, verdict.model, verdict.verdict_id, window.end)
    return evidently_report(
        verdict.findings,
        counted.sample.frame(),
        baseline.sample,
        settings.sample_rows,
        target if workspace else None,
    )


def _histogram_pairs(
    verdict: Verdict, counted: CountedWindow, seasons: Seasons | None
) -> list[HistogramPair]:
    """The columns that the report draws, with what they were compared with."""
    pairs = []
    for finding in history.strongest(verdict.findings)[:MAX_HISTOGRAMS]:
        name, column = finding.column, counted.histograms.columns[finding.column]
        expected = seasons.expectation(name, column) if seasons is not None else None
        pairs.append(histogram_pair(name, counted.histograms, expected))
    return pairs


def _write_report(
    layout: Layout,
    verdict: Verdict,
    earlier: Sequence[Verdict],
    histograms: Sequence[HistogramPair],
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


def _failed(baseline: Baseline, window: TimeWindow, now: datetime, err: Exception) -> Verdict:
    """The verdict on a window that could not be judged, with the cause."""
    cause = err.what if isinstance(err, PlatformError) else f"{type(err).__name__}: {err}"
    frames = traceback.extract_tb(err.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    cause = f"{cause[:MAX_CAUSE]}{where}"
    return Verdict(
        verdict_id=window_id(baseline.name, baseline.version, window.start, window.end),
        model=baseline.name,
        version=baseline.version,
        run_id=baseline.manifest.run_id,
        made_at=utc_text(now),
        window=window_read(window, 0, ReadStats()),
        decision="failed",
        sentence=f"{baseline.name} version {baseline.version}: could not be judged: {cause}.",
        failure=cause,
        conditions=(
            Condition(
                kind="delivery",
                state="alarming",
                sentence=cause,
                since=utc_text(window.start),
                windows=1,
                confirmed=True,
            ),
        ),
        manifest_digest=baseline.digest,
    )
