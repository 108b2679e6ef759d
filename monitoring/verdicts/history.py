"""Earlier verdicts on a version: since when, how often, and what is usual."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import stats

from contracts.errors import InvalidData, InvalidDocument, NotFoundHere
from contracts.files import write_whole
from contracts.names import Layout
from contracts.times import parse_utc, utc_text
from contracts.verdict import Acceptance, Finding, QualityFinding, Verdict
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import Limit
from monitoring.traffic.window import TimeWindow

FEWEST_WINDOWS = 20
"""Undrifted windows from which limits are calibrated."""
FEWEST_OF_A_WEEKDAY = 8
"""Undrifted windows of the same weekday that are preferred to all."""
ALARMS = 0.02
"""Share of undrifted windows in which a calibrated limit may be passed, over all columns."""
PARTS = 24
GAP_PARTS = 3
GAP_WINDOWS = 3
_WINDOW = re.compile(r"-(\d{8}T\d{6}\.\d{3}Z)-(\d{8}T\d{6}\.\d{3}Z)$")
UNDRIFTED = frozenset({"stable"})
ACCEPTED = "accepted"
"""Folder beside the verdicts: one document for each that a person accepted."""


def earlier_verdicts(layout: Layout, span: TimeWindow) -> list[Verdict]:
    """Verdicts on windows of the same version that ended before this one starts, by time.

    What cannot be read as a verdict is left out: it is a picture of the past, not a fault of
    this window.
    """
    found = []
    for path in (layout.verdicts / span.model).glob(f"{span.model}-{span.version}-*.json"):
        try:
            verdict = Verdict.read(path.read_bytes(), str(path))
        except (InvalidDocument, OSError):
            continue
        if parse_utc(verdict.window.end) <= span.start:
            found.append(verdict)
    return sorted(found, key=lambda v: (v.window.start, v.window.end))


def accepted(layout: Layout, name: str) -> frozenset[str]:
    """The windows that a person called usual; limits are calibrated on them as well."""
    return frozenset(path.stem for path in (layout.verdicts / name / ACCEPTED).glob("*.json"))


def accept(
    layout: Layout, name: str, verdict_id: str, *, who: str, why: str, now: datetime
) -> Acceptance:
    """Call a window usual, though it was flagged: the next limits allow for it.

    Accepting it again replaces who and why.

    Raises:
        InvalidData: no reason is given, or the verdict has no findings to learn from.
        NotFoundHere: there is no such verdict.
        InvalidDocument: it was cut or edited.
        Unwritable: the place cannot be written.

    """
    if not why.strip():
        raise InvalidData(
            "--because: expected a reason, got nothing",
            remedy='for example --because "summer sale, as every July"',
        )
    folder = layout.verdicts / name
    verdict = verdict_named(folder, verdict_id)
    if not verdict.findings:
        raise InvalidData(
            f"{verdict_id}: expected a verdict with findings to learn from, got "
            f"{verdict.decision!r}",
            remedy="accept windows that were judged",
        )
    acceptance = Acceptance(
        verdict_id=verdict_id, model=name, who=who, why=why, accepted_at=utc_text(now)
    )
    write_whole(folder / ACCEPTED / f"{verdict_id}.json", acceptance.write_pretty())
    return acceptance


def verdict_named(folder: Path, verdict_id: str) -> Verdict:
    """The verdict of that name; compared with the names that are there, since it is typed."""
    known = {path.stem: path for path in folder.glob("*.json")}
    if verdict_id not in known:
        near = difflib.get_close_matches(verdict_id, known, n=1)
        raise NotFoundHere(
            f"{folder}: expected the id of a verdict, got {verdict_id!r}",
            remedy=f"did you mean {near[0]}?" if near else "slipway monitor writes them",
        )
    return Verdict.read(known[verdict_id].read_bytes(), str(known[verdict_id]))


def calibrated_limits(
    earlier: Sequence[Verdict], span: TimeWindow, usual: frozenset[str]
) -> Mapping[tuple[str, str], Limit]:
    """Limits by column and effect from the version's own undrifted windows of this length.

    The prediction limit of the next value of a log-normal effect (Hahn and Meeker 1991):
    with `k` windows, `exp(mean + t s sqrt(1 + 1/k))`. Windows of the same weekday are
    preferred where there are 8, since a Sunday is usual if Sundays are. With fewer than 20
    windows there is none, and the settings hold.
    """
    quiet = [
        v
        for v in earlier
        if (v.decision in UNDRIFTED or v.verdict_id in usual)
        and math.isclose(_seconds(v), (span.end - span.start).total_seconds(), rel_tol=0.1)
    ]
    if len(quiet) < FEWEST_WINDOWS:
        return {}
    same_day = [v for v in quiet if parse_utc(v.window.start).weekday() == span.start.weekday()]
    days = (span.end - span.start) < timedelta(days=2)
    basis = same_day if days and len(same_day) >= FEWEST_OF_A_WEEKDAY else quiet
    word = f"{len(basis)} undrifted windows"
    if basis is same_day:
        word += f" of a {span.start:%A}"
    sizes: dict[tuple[str, str], list[float]] = {}
    for verdict in basis:
        for finding in verdict.findings:
            for effect in ("ks", "wasserstein_normed", "total_variation"):
                if effect in finding.statistics:
                    size = finding.statistics[effect]
                    sizes.setdefault((finding.column, effect), []).append(size)
    columns = len({column for column, _ in sizes})
    return {
        key: Limit(_prediction_limit(found, ALARMS / max(columns, 1)), word)
        for key, found in sizes.items()
        if len(found) >= FEWEST_OF_A_WEEKDAY
    }


def _prediction_limit(sizes: Sequence[float], chance: float) -> float:
    logs = np.log(np.maximum(sizes, 1e-6))
    k = len(logs)
    t = float(stats.t.ppf(1 - chance, k - 1))
    return float(np.exp(logs.mean() + t * logs.std(ddof=1) * math.sqrt(1 + 1 / k)))


def since(column: str, start: str, earlier: Sequence[Verdict]) -> str:
    """The start of the unbroken run of windows, up to this one, in which a column drifted."""
    return min((v.window.start for v in _unbroken(column, earlier)), default=start)


def windows(column: str, span: TimeWindow, earlier: Sequence[Verdict]) -> int:
    """How many windows of this length the unbroken run has, this one included."""
    length = (span.end - span.start).total_seconds()
    return 1 + sum(
        math.isclose(_seconds(v), length, rel_tol=0.1) for v in _unbroken(column, earlier)
    )


def _unbroken(column: str, earlier: Sequence[Verdict]) -> Iterator[Verdict]:
    for verdict in reversed(earlier):
        if not verdict.findings:
            # A window that could not be judged neither shows nor ends a drift.
            continue
        if not any(f.column == column and f.drifted for f in verdict.findings):
            return
        yield verdict


def profile_of(counts: WindowHistograms, span: TimeWindow) -> tuple[int, ...]:
    """The rows in each of 24 equal parts of the window."""
    length = (span.end - span.start).total_seconds() * 1e6 / PARTS
    places = (counts.line.middles() - span.start.timestamp() * 1e6) // max(length, 1.0)
    places = np.clip(places, 0, PARTS - 1).astype(np.int64)
    rows = np.bincount(places, weights=counts.rows_by_time_bin, minlength=PARTS)
    return tuple(int(n) for n in rows)


def time_gaps(
    profile: Sequence[int], rows: int, earlier: Sequence[Verdict]
) -> list[QualityFinding]:
    """An eighth of the window or more without a row, between its rows.

    It alarms only where three earlier windows had rows in those parts: nights without
    traffic are usual for some, and a first window cannot know.
    """
    filled = [i for i, n in enumerate(profile) if n]
    if len(filled) < 2:  # noqa: PLR2004 - a gap lies between two
        return []
    gaps = [(a, b) for a, b in pairwise(filled) if b - a - 1 >= GAP_PARTS]
    if not gaps:
        return []
    first, last = max(gaps, key=lambda gap: gap[1] - gap[0])
    length = last - first - 1
    known = [v.profile for v in earlier if len(v.profile) == len(profile) and any(v.profile)]
    usual = [p for p in known[-7:] if min(p[first + 1 : last]) > 0]
    expected = rows * length / max(len(filled), 1)
    return [
        QualityFinding(
            column="time",
            fault="time_gap",
            share=length / len(profile),
            reference_share=0.0,
            p_value=math.exp(-min(expected, 700)),
            detail=f"no row in parts {first + 2} to {last} of {len(profile)} of the window",
            alarming=len(usual) >= GAP_WINDOWS and len(usual) == len(known[-7:]),
        )
    ]


def streak(verdict: Verdict, earlier: Sequence[Verdict]) -> int:
    """How many windows in a row, this one included, have this decision."""
    n = 1
    for before in reversed(earlier):
        if before.decision != verdict.decision:
            break
        n += 1
    return n


def is_past(layout: Layout, verdict: Verdict) -> bool:
    """Whether a later window of this length was judged already: this one is looked up, not news.

    Windows of other lengths say nothing about it: a person may look at the last hour while the
    job is behind with its days.
    """
    end, length = parse_utc(verdict.window.end), _seconds(verdict)
    for path in (layout.verdicts / verdict.model).glob(f"{verdict.model}-{verdict.version}-*.json"):
        # A verdict's name says which window it is on, so thousands of them need not be read.
        named = _WINDOW.search(path.stem)
        if named is None:
            continue
        first, last = parse_utc(named[1]), parse_utc(named[2])
        alike = math.isclose((last - first).total_seconds(), length, rel_tol=0.1)
        if alike and first >= end:
            return True
    return False


def strongest(findings: Sequence[Finding]) -> list[Finding]:
    """Drifted findings first, then by how far they stand beyond their limit."""
    return sorted(
        findings, key=lambda f: (f.drifted, f.effect_size / f.effect_threshold), reverse=True
    )


def _seconds(verdict: Verdict) -> float:
    return (parse_utc(verdict.window.end) - parse_utc(verdict.window.start)).total_seconds()
