"""`slipway replay`: what a version would have answered to logged traffic."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InvalidUsage
from slipway import context, output, tables
from slipway.durations import time_range
from slipway.options import (
    MONITOR,
    EndOption,
    JsonOption,
    LastOption,
    ModelArgument,
    ScoredOption,
    StartOption,
)
from slipway.progress import working

if TYPE_CHECKING:
    from contracts.replay import Replay

app = typer.Typer()

DEFAULT_LAST = "7d"
MAX_SHOWN_EXAMPLES = 5
"""Predictions in the table of largest changes."""


@app.command(
    "replay", rich_help_panel=MONITOR, epilog="Example: slipway replay loan --version 7 --last 7d"
)
def replay_command(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Option(help="Version to replay; default: the newest.")
    ] = None,
    last: LastOption = DEFAULT_LAST,
    start: StartOption = "",
    end: EndOption = "",
    answered_by: Annotated[
        int | None, typer.Option(help="Only predictions of this version; default: of all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of rows; 0: all.")] = 0,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Break flips down by this feature; default: those of the recipe."),
    ] = None,
    scored: ScoredOption = "",
    json: JsonOption = False,
) -> None:
    """Send logged traffic through a version: flipped decisions, score shifts, examples."""
    from monitoring.baseline import find_baseline
    from monitoring.replay.page import write_replay
    from monitoring.replay.run import ReplayRequest, replay
    from monitoring.traffic.scored import scored_window
    from monitoring.traffic.window import TimeWindow

    now, store, layout = datetime.now(UTC), context.store(), context.layout()
    if scored:
        _check_no_range(scored, last, start, end)
        output_window = scored_window(layout, model, Path(scored))
        layout = output_window.layout
        window = TimeWindow(model, answered_by, output_window.start, output_window.end)
    else:
        window = TimeWindow(model, answered_by, *time_range(last, start, end, now))
    target = store.versions.newest(model).version if version is None else version
    request = ReplayRequest(window, limit, segment)
    with working(f"replaying the traffic of {model}"):
        baseline = find_baseline(store, context.layout(), model, target)
        document = replay(layout, baseline, request, now=now)
        page = write_replay(context.layout(), document)[1]
    if json:
        output.as_json(document)
    else:
        _show_replay(document, page)


def _check_no_range(scored: str, last: str, start: str, end: str) -> None:
    """Refuse a range of time for a scored output: all its predictions have one time.

    Raises:
        InvalidUsage: naming an option of the range.

    """
    given = {"--start": start, "--end": end, "--last": last if last != DEFAULT_LAST else ""}
    for option, value in given.items():
        if value:
            raise InvalidUsage(
                f"--scored {scored}: expected no {option} with it: an output is one window",
                remedy=f"leave out {option}",
            )


def _show_replay(document: "Replay", page: Path) -> None:
    """Print the result of a replay, and where its page is."""
    output.say(document.sentence, soft_wrap=True)
    if document.replayed:
        output.table("Flips", tables.FLIP_COLUMNS, tables.flip_rows(document))
        shift = document.shift
        named = {"mean": shift.mean, "mean size": shift.mean_absolute} | {
            f"{name} %": value for name, value in shift.quantiles.items()
        }
        output.table("Score shifts", (*named, "largest"), [[*named.values(), shift.extreme]])
    for transition, rows in document.transitions.items():
        output.say(f"{transition}: {rows:,}")
    for refusal in document.refusals:
        output.say(f"refused {refusal.rows:,}: {refusal.reason} (as {refusal.example})")
    if document.examples:
        largest = map(tables.example_row, document.examples[:MAX_SHOWN_EXAMPLES])
        output.table("Largest changes", tables.EXAMPLE_COLUMNS, largest)
    rate = document.window.rows / max(document.seconds, 1e-9)
    output.say(f"{document.window.rows:,} rows in {document.seconds:.1f} s, {rate:,.0f}/s")
    output.say(f"page: {page}", soft_wrap=True)
