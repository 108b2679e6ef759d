"""The story of a verdict: read, count, judge, draw, keep."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import NotRegistered
from contracts.manifest import Manifest, Pointer
from contracts.names import REFERENCE_FILE, SAMPLE_FILE, TAG_DIGEST, Layout
from contracts.reference import Reference
from contracts.verdict import Finding, Verdict, Window
from monitoring.counts import WindowCounts
from monitoring.folded import write_whole
from monitoring.judge import Rule, decide, findings_of
from monitoring.pictures import Reservoir, reference_frame, window_frame
from monitoring.quality import quality_findings
from monitoring.report import page_of
from monitoring.sentence import sentence_of
from monitoring.settings import MonitoringSettings
from monitoring.tracking import log_to_run
from monitoring.window import Reading, Span, read_window, utc_text
from registry.directory import verify
from registry.pull import pull_version
from registry.store import Store

JUDGED = ("stable", "drift", "quality")


@dataclass(frozen=True)
class Baseline:
    """What a version's traffic is held against."""

    name: str
    version: int
    digest: str
    directory: Path
    manifest: Manifest
    reference: Reference


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
) -> Verdict:
    """Judge a window of a version's traffic (default: of the version that is served here).

    The report and the verdict are written below `var/`, then logged to the version's run;
    judging the same window again replaces them.

    Raises:
        NotRegistered: no such version, or none is served here.
        CorruptModel: its model directory is not what was registered.
        Unwritable: `var/` cannot be written.
        PlatformError: the tracking server did not take the files; they are on disk.

    """
    baseline = find_baseline(store, layout, name, version)
    reading = Reading()
    counts, sample = _counted(layout, baseline, start, end, reading, settings)
    verdict = _judged(baseline, counts, reading, (start, end), settings, now)
    report = layout.reports / name / f"{verdict.verdict_id}.html"
    page = _page(verdict, baseline, sample, settings)
    verdict = replace(verdict, report=str(report))
    stored = layout.verdicts / name / f"{verdict.verdict_id}.json"
    write_whole(report, page.encode())
    write_whole(stored, verdict.write_pretty())
    log_to_run(store.tracking_uri, baseline.manifest.run_id, [stored, report])
    return verdict


def find_baseline(store: Store, layout: Layout, name: str, version: int | None) -> Baseline:
    """The verified model directory of a version; fetched, if it is not here."""
    pointer = _served(layout, name)
    if version is None:
        if pointer is None:
            store.model(name)
            raise NotRegistered(
                f"no production version of {name!r} is served here",
                remedy="slipway pull, or name one: --version",
            )
        version, digest = pointer.version, pointer.digest
    else:
        digest = store.version(name, version).tags.get(TAG_DIGEST, "")
    directory = layout.model(name, version)
    if not directory.is_dir():
        pull_version(store, layout, name, version, point=False)
    manifest = verify(directory, digest)
    reference = Reference.read(
        (directory / REFERENCE_FILE).read_bytes(), str(directory / REFERENCE_FILE)
    )
    return Baseline(name, version, digest, directory, manifest, reference)


def _served(layout: Layout, name: str) -> Pointer | None:
    path = layout.pointer(name)
    return Pointer.read(path.read_bytes(), str(path)) if path.is_file() else None


def _counted(
    layout: Layout,
    baseline: Baseline,
    start: datetime,
    end: datetime,
    reading: Reading,
    settings: MonitoringSettings,
) -> tuple[WindowCounts, Reservoir]:
    counts = WindowCounts(baseline.reference)
    sample = Reservoir(settings.sample_rows)
    span = Span(baseline.name, baseline.version, start, end)
    for rows, frame in read_window(layout, span, baseline.reference, reading):
        counts.add(rows)
        sample.add(frame)
    return counts, sample


def _judged(
    baseline: Baseline,
    counts: WindowCounts,
    reading: Reading,
    window: tuple[datetime, datetime],
    settings: MonitoringSettings,
    now: datetime,
) -> Verdict:
    findings = tuple(findings_of(counts, Rule(settings)))
    quality = tuple(quality_findings(counts, baseline.reference, settings))
    decision = decide(counts.rows, reading.torn_lines, findings, quality, settings)
    if decision not in JUDGED:
        findings, quality = (), ()
    seen = Window(
        start=utc_text(window[0]),
        end=utc_text(window[1]),
        rows=counts.rows,
        files=reading.files,
        torn_lines=reading.torn_lines,
        other_versions=reading.other_versions,
    )
    title = f"{baseline.name} version {baseline.version}"
    return Verdict(
        verdict_id=verdict_id(baseline.name, baseline.version, *window),
        model=baseline.name,
        version=baseline.version,
        run_id=baseline.manifest.run_id,
        made_at=utc_text(now),
        window=seen,
        decision=decision,
        sentence=sentence_of(title, decision, seen, findings, quality),
        findings=findings,
        quality=quality,
        manifest_digest=baseline.digest,
    )


def verdict_id(name: str, version: int, start: datetime, end: datetime) -> str:
    """The name of a verdict: the same for the same window of the same version.

    >>> verdict_id("loan", 7, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    'loan-7-20260101T000000.000Z-20260102T000000.000Z'
    """
    ends = [f"{t.astimezone(UTC):%Y%m%dT%H%M%S.%f}"[:-3] + "Z" for t in (start, end)]
    return f"{name}-{version}-{ends[0]}-{ends[1]}"


def _page(
    verdict: Verdict, baseline: Baseline, sample: Reservoir, settings: MonitoringSettings
) -> str:
    """The report; if Evidently cannot draw it, the verdict stands alone and says why."""
    if not verdict.findings:
        return page_of(verdict, "", "There is nothing to draw.")
    from monitoring.evidently_report import evidently_html

    drawn_rows = sample.frame()
    drawable: list[Finding] = [f for f in verdict.findings if f.n > 1]
    try:
        drawn = evidently_html(
            reference_frame(baseline.directory / SAMPLE_FILE, drawable, settings.sample_rows),
            window_frame(drawn_rows, drawable),
            drawable,
        )
    except Exception as err:  # noqa: BLE001 - Evidently raises anything; the verdict must be kept
        return page_of(verdict, "", f"Evidently could not draw this window: {err!r}")
    n_sample = f"{len(drawn_rows):,}"
    note = f"Computed over every row. Below: Evidently's pictures of a sample of {n_sample} rows."
    return page_of(verdict, drawn, note)
