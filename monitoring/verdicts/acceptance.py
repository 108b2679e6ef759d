"""Windows that a person called usual though they were flagged; drift limits learn from them."""

from datetime import datetime

from contracts.errors import InvalidData
from contracts.files import write_whole
from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import Acceptance
from monitoring.verdicts.history import verdict_named

ACCEPTED_FOLDER = "accepted"
"""The folder, below that of the verdicts, with one document per accepted verdict."""


def accepted_ids(layout: Layout, name: str) -> frozenset[str]:
    """The ids of a model's accepted verdicts."""
    folder = layout.verdicts / name / ACCEPTED_FOLDER
    return frozenset(path.stem for path in folder.glob("*.json"))


def accept(
    layout: Layout, name: str, verdict_id: str, *, who: str, why: str, now: datetime
) -> Acceptance:
    """Call a flagged window usual, so that the next limits allow for it.

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
