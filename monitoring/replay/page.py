"""The page of a replay: a summary, which decisions change, where, and examples."""

from pathlib import Path

from markupsafe import Markup

from contracts.names import Layout
from contracts.replay import Flips, Replay
from monitoring.reporting.artifacts import write_document
from monitoring.reporting.svg import limit_bar, step_chart
from pages.formats import format_count, format_minute
from pages.render import render

MAX_PAGE_SEGMENTS = 60


def write_replay(layout: Layout, replay: Replay) -> tuple[Path, Path]:
    """Write a replay as JSON and as a page; gives their paths. The same replay replaces them.

    Raises:
        Unwritable: the folder of replays cannot be written.

    """
    return write_document(
        layout.replays / replay.model, replay.replay_id, replay, replay_html(replay)
    )


def replay_html(replay: Replay) -> str:
    """A replay as one HTML page that needs no network and no script."""
    drawn = replay.distribution
    return render(
        "monitoring/replay/page.html.j2",
        replay=replay,
        facts=_facts(replay),
        score_chart=step_chart(
            drawn.answered, drawn.replayed, (f"{drawn.low:.3g}", f"{drawn.high:.3g}")
        ),
        segments=[
            (part, _is_above(part.flips, replay.flips), _bar(part.flips, replay.flips))
            for part in replay.segments[:MAX_PAGE_SEGMENTS]
        ],
    )


def _facts(replay: Replay) -> list[str]:
    window = replay.window
    facts = [
        f"{replay.model} version {replay.version}",
        f"{format_minute(window.start)} to {format_minute(window.end)} UTC",
        format_count(window.rows, "row")
        + (", then the limit was reached" if replay.limited else ""),
    ]
    if replay.answered_by is not None:
        facts.append(f"traffic of version {replay.answered_by} only")
    if window.torn_lines:
        facts.append(f"{format_count(window.torn_lines, 'torn line')} skipped")
    if replay.torn_files:
        facts.append(f"{format_count(len(replay.torn_files), 'unreadable file')} skipped")
    return facts


def _is_above(part: Flips, whole: Flips) -> bool:
    """Whether the interval of a segment lies above the share of all rows."""
    return part.low > whole.share


def _bar(part: Flips, whole: Flips) -> Markup:
    strength = part.share / whole.share if whole.share else 0.0
    return limit_bar(strength, "warn" if _is_above(part, whole) else "")
