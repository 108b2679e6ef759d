"""Windows that a person called usual though they were flagged.

Limits of drift learn from them, and faults of the data like theirs do not alarm again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from contracts.errors import InvalidData
from contracts.files import write_whole
from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import Acceptance, QualityFinding, Verdict
from monitoring.verdicts.history import read_verdicts, verdict_named

ACCEPTED_FAULT_GROWTH = 1.5
"""A fault is still usual in this many times the accepted share of rows."""

ACCEPTED_FOLDER = "accepted"
"""The folder, below that of the verdicts, with one document per accepted verdict."""


def accepted_ids(layout: Layout, name: str) -> frozenset[str]:
    """The ids of a model's accepted verdicts."""
    folder = layout.verdicts / name / ACCEPTED_FOLDER
    return frozenset(path.stem for path in folder.glob("*.json"))


def accepted_verdicts(
    layout: Layout, name: str, version: int, known: Iterable[Verdict] = ()
) -> list[Verdict]:
    """The accepted verdicts on a version, by time; one that is gone or cut is left out.

    Those that are `known` are not read again.
    """
    wanted = accepted_ids(layout, name)
    verdicts = read_verdicts(layout, name, version, known) if wanted else []
    return [verdict for verdict in verdicts if verdict.verdict_id in wanted]


def mark_accepted(
    quality: Sequence[QualityFinding], accepted: Sequence[Verdict]
) -> tuple[QualityFinding, ...]:
    """Faults, those that somebody called usual without an alarm.

    A fault is usual if an accepted window had it in the same column, in about as many rows (at
    most half as many again), and, for new categories, if it had the same ones.
    """
    return tuple(_mark(fault, accepted) if fault.alarming else fault for fault in quality)


def _mark(fault: QualityFinding, accepted: Sequence[Verdict]) -> QualityFinding:
    for verdict in reversed(accepted):
        for usual in verdict.quality:
            if (usual.column, usual.fault) != (fault.column, fault.fault):
                continue
            allowed = min(ACCEPTED_FAULT_GROWTH * usual.share, 1.0)
            if fault.share <= allowed and set(fault.values) <= set(usual.values):
                return replace(fault, alarming=False, accepted_in=verdict.verdict_id)
    return fault


def accept(
    layout: Layout, name: str, verdict_id: str, *, who: str, why: str, now: datetime
) -> Acceptance:
    """Call a flagged window usual: its drift and its data faults are expected from now on.

    Accepting it again replaces who and why.

    Raises:
        InvalidData: no reason is given, or the verdict has no findings to learn from.
        NotFoundHere: there is no such verdict.
        InvalidDocument: it was cut or edited.
        Unwritable: the folder of verdicts cannot be written.

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
    write_whole(folder / ACCEPTED_FOLDER / f"{verdict_id}.json", acceptance.write_pretty())
    return acceptance
