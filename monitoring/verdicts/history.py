"""Verdicts that were made before: found by name or by window, and compared with a new one."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from contracts.errors import InvalidDocument, NotFoundHere
from contracts.names import Layout
from contracts.times import parse_utc
from contracts.verdict import Finding, Verdict
from monitoring.traffic.window import TimeWindow, is_same_length, window_seconds

_WINDOW = re.compile(r"-(\d{8}T\d{6}\.\d{3}Z)-(\d{8}T\d{6}\.\d{3}Z)$")


def read_verdicts(
    layout: Layout, name: str, version: int | None = None, known: Iterable[Verdict] = ()
) -> list[Verdict]:
    """A model's verdicts, or those on one version, by time.

    What cannot be read as a verdict is left out: it is a view of the past, not a fault of the
    present. Verdicts in `known` are not read again.
    """
    read = {verdict.verdict_id: verdict for verdict in known}
    found = []
    pattern = "*.json" if version is None else f"{name}-{version}-*.json"
    for path in (layout.verdicts / name).glob(pattern):
        try:
            verdict = read.get(path.stem) or Verdict.read(path.read_bytes(), str(path))
        except (InvalidDocument, OSError):
            continue
        found.append(verdict)
    return sorted(found, key=lambda v: (v.window.start, v.window.end))


def newest_verdicts(layout: Layout, name: str, n: int) -> list[Verdict]:
    """A model's `n` verdicts on the windows that ended last, of every version, by that time.

    No other verdict is read. What cannot be read is left out, as by `read_verdicts`.
    """
    named = ((path, _WINDOW.search(path.stem)) for path in (layout.verdicts / name).glob("*.json"))
    by_window = sorted(((found[2], found[1], path) for path, found in named if found))
    verdicts = []
    for _, _, path in by_window[-n:]:
        try:
            verdicts.append(Verdict.read(path.read_bytes(), str(path)))
        except (InvalidDocument, OSError):
            continue
    return verdicts


def earlier_verdicts(layout: Layout, window: TimeWindow) -> list[Verdict]:
    """Verdicts on windows of the same version that ended before this one starts, by time."""
    verdicts = read_verdicts(layout, window.model, window.version)
    return [v for v in verdicts if parse_utc(v.window.end) <= window.start]


def verdict_named(folder: Path, verdict_id: str) -> Verdict:
    """The verdict of that id in a model's folder.

    An id that somebody typed is compared with the names that are there, never made a path of.

    Raises:
        NotFoundHere: there is no such verdict; the most similar id is named.
        InvalidDocument: it was cut or edited.

    """
    known = {path.stem: path for path in folder.glob("*.json")}
    if verdict_id not in known:
        near = difflib.get_close_matches(verdict_id, known, n=1)
        raise NotFoundHere(
            f"{folder}: expected the id of a verdict, got {verdict_id!r}",
            remedy=f"did you mean {near[0]}?" if near else "slipway monitor writes them",
        )
    return Verdict.read(known[verdict_id].read_bytes(), str(known[verdict_id]))


def streak(verdict: Verdict, earlier: Sequence[Verdict]) -> int:
    """How many windows in a row, this one included, have this decision."""
    n = 1
    for before in reversed(earlier):
        if before.decision != verdict.decision:
            break
        n += 1
    return n


def is_past(layout: Layout, verdict: Verdict) -> bool:
    """Whether a later window of this length was judged already, so that this one is not news.

    Windows of other lengths do not matter: a person may look at the last hour while the job is
    behind with its days.
    """
    end, length_s = parse_utc(verdict.window.end), window_seconds(verdict.window)
    for path in (layout.verdicts / verdict.model).glob(f"{verdict.model}-{verdict.version}-*.json"):
        # The name of a verdict says which window it is on, so it need not be read.
        named = _WINDOW.search(path.stem)
        if named is None:
            continue
        first, last = parse_utc(named[1]), parse_utc(named[2])
        if first >= end and is_same_length((last - first).total_seconds(), length_s):
            return True
    return False


def strongest(findings: Sequence[Finding]) -> list[Finding]:
    """Drifted findings first; within each group by effect over limit, the largest first."""
    return sorted(
        findings, key=lambda f: (f.drifted, f.effect_size / f.effect_threshold), reverse=True
    )
