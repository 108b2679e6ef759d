"""The page that lists every judged window of a model, the newest first."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from markupsafe import Markup

from contracts.files import write_whole
from contracts.names import Layout
from contracts.verdict import Verdict
from monitoring.reporting.svg import timeline
from monitoring.verdicts.history import read_verdicts
from monitoring.verdicts.summary import time_range_text
from pages.render import render

INDEX_FILE = "index.html"
MAX_LISTED = 500
MAX_IN_TIMELINE = 60
DECISION_COLOURS = {
    "stable": "good",
    "drift": "warn",
    "quality": "bad",
    "performance": "bad",
    "unreadable": "bad",
    "failed": "bad",
}
"""The colour of a decision in `pages/style.css`; others have none."""


def write_verdict_index(layout: Layout, name: str, known: Sequence[Verdict] = ()) -> Path:
    """Write the page of all windows of a model; gives its path.

    It lists the verdicts that can be read; those in `known` are not read again.

    Raises:
        Unwritable: the folder of reports cannot be written.

    """
    verdicts = read_verdicts(layout, name, known=known)
    path = layout.reports / name / INDEX_FILE
    write_whole(path, verdict_index_html(name, verdicts).encode())
    return path


def verdict_index_html(name: str, verdicts: Sequence[Verdict]) -> str:
    """The page of all windows of a model; `verdicts` are in the order of time."""
    return render(
        "monitoring/reporting/verdict_index.html.j2",
        name=name,
        timeline=verdict_timeline(
            verdicts, [f"{v.window.start[:16]} {v.decision}" for v in verdicts]
        ),
        verdicts=[
            {
                "decision": v.decision,
                "colour": DECISION_COLOURS.get(v.decision, ""),
                "report": PurePath(v.report).name,
                "window": time_range_text(v.window.start, v.window.end),
                "sentence": v.sentence,
                "rows": v.window.rows,
            }
            for v in reversed(verdicts[-MAX_LISTED:])
        ],
    )


def verdict_timeline(verdicts: Sequence[Verdict], titles: Sequence[str]) -> Markup:
    """The newest verdicts as coloured squares; a title appears when one points at its square."""
    colours = [DECISION_COLOURS.get(v.decision, "") for v in verdicts]
    return timeline(colours[-MAX_IN_TIMELINE:], titles[-MAX_IN_TIMELINE:])
