"""`slipway replay`: what a version would have answered to logged traffic."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import InvalidData
from slipway import context, output
from slipway.durations import span, window_of

if TYPE_CHECKING:
    from contracts.decision import Check
    from contracts.replay import Example, Flips, Replay
    from monitoring.baseline import Baseline

app = typer.Typer()

FLIP_COLUMNS = ("where", "rows", "flips", "share", "95 %", "mean shift")
EXAMPLE_COLUMNS = ("prediction", "answered", "replayed", "features")
MOST_SEGMENTS = 15
MOST_EXAMPLES = 5


@app.command("replay", epilog="Example: slipway replay loan --version 7 --window 7d")
def command(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")],
    version: Annotated[int | None, typer.Option(help="Default: the newest.")] = None,
    window: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")] = "7d",
    since: Annotated[str, typer.Option(help="Instead of --window: RFC 3339.")] = "",
    until: Annotated[str, typer.Option(help="Default: now.")] = "",
    answered_by: Annotated[
        int | None, typer.Option(help="Only what this version answered; default: every one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows; 0 for all.")] = 0,
    segment: Annotated[
        list[str] | None, typer.Option(help="Take flips apart by it; default: the recipe's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Send logged traffic through a version: decisions flipped, score shifts, examples."""
    from monitoring.replay.run import Wish
    from monitoring.traffic.window import TimeWindow

    now = datetime.now(UTC)
    start, end = window_of(window, since, until, now, ("--window", "--since", "--until"))
    wish = Wish(TimeWindow(model, answered_by, start, end), limit, segment)
    document, page = replayed(model, version, wish, now)
    if json:
        output.as_json(document)
    else:
        show_replay(document, page)


def replayed(model: str, version: int | None, wish: Any, now: datetime) -> "tuple[Replay, Path]":
    """The replay through a version (default: the newest), and where its page lies."""
    from monitoring.baseline import find_baseline
    from monitoring.replay.run import keep, replay

    store = context.store()
    target = newest(model) if version is None else version
    baseline: Baseline = find_baseline(store, context.layout(), model, target)
    document = replay(context.layout(), baseline, wish, now=now)
    return document, keep(context.layout(), document)[1]


def demand_of(model: str, window: str, max_flips: str) -> "Callable[[int, int], Check] | None":
    """What `slipway promote --replay 7d --max-flips 2%` adds to the gate; None without them.

    The check replays Production's traffic of the window through the challenger. The replay is
    kept, and logged to the challenger's run.

    Raises:
        InvalidData: one of the two cannot be read, or a share without a window.

    """
    if not window:
        if max_flips:
            raise InvalidData(
                "--max-flips: expected --replay with it, got none",
                remedy=f"for example --replay 7d --max-flips {max_flips}",
            )
        return None
    back = span(window, "--replay")
    most = share_of(max_flips, "--max-flips") if max_flips else None

    def check(challenger: int, production: int) -> "Check":
        from monitoring.baseline import find_baseline
        from monitoring.replay.gate import flips_check
        from monitoring.replay.run import Wish, keep, replay
        from monitoring.reporting.mlflow import log_to_run
        from monitoring.traffic.window import TimeWindow

        now, store = datetime.now(UTC), context.store()
        baseline = find_baseline(store, context.layout(), model, challenger)
        wish = Wish(TimeWindow(model, production, now - back, now))
        document = replay(context.layout(), baseline, wish, now=now)
        files = keep(context.layout(), document)
        log_to_run(store.tracking_uri, baseline.manifest.run_id, list(files))
        return flips_check(document, most)

    return check


def newest(model: str) -> int:
    """The newest registered version of a model."""
    from registry.promote import newest_version

    return newest_version(context.store(), model)


def share_of(text: str, option: str) -> float:
    """The share that `2%` or `0.02` say.

    Raises:
        InvalidData: it is not like that, or not within 0..1.

    """
    number, per_cent, _ = text.strip().partition("%")
    try:
        share = float(number) / (100 if per_cent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidData(
            f"{option}: expected a share from 0 to 100%, got {text!r}",
            remedy=f"for example {option} 2%",
        )
    return share


def show_replay(document: "Replay", page: Path) -> None:
    """Print what a replay found, and where the page with all of it lies."""
    output.say(document.sentence, soft_wrap=True)
    if document.replayed:
        output.table("Flips", FLIP_COLUMNS, _flip_rows(document))
        shift = document.shift
        named = {"mean": shift.mean, "mean size": shift.mean_absolute} | {
            f"{name} %": value for name, value in shift.quantiles.items()
        }
        cells = [*named.values(), shift.extreme]
        output.table("Score shifts", (*named, "largest"), [cells])
    for words, rows in document.transitions.items():
        output.say(f"{words}: {rows:,}", markup=False)
    for refusal in document.refusals:
        output.say(
            f"refused {refusal.rows:,}: {refusal.reason} (as {refusal.example})", markup=False
        )
    if document.examples:
        shown = document.examples[:MOST_EXAMPLES]
        output.table("Largest changes", EXAMPLE_COLUMNS, map(_example_row, shown))
    rate = document.window.rows / max(document.seconds, 1e-9)
    output.say(f"{document.window.rows:,} rows in {document.seconds:.1f} s, {rate:,.0f}/s")
    output.say(f"page: {page}", soft_wrap=True)


def _flip_rows(document: "Replay") -> list[tuple[Any, ...]]:
    rows = [_flip_row("all rows", document.flips, document.shift.mean)]
    for group in document.groups:
        words = f"version {group.version}, {group.variant}"
        rows.append(_flip_row(words, group.flips, group.mean_shift))
    slices = [s for s in document.segments if s.flips.flips or s.mean_shift][:MOST_SEGMENTS]
    return rows + [_flip_row(f"{s.segment} = {s.value}", s.flips, s.mean_shift) for s in slices]


def _flip_row(where: str, flips: "Flips", mean_shift: float) -> tuple[Any, ...]:
    interval = f"{flips.low:.2%} to {flips.high:.2%}"
    return (where, flips.rows, flips.flips, f"{flips.share:.2%}", interval, mean_shift)


def _example_row(example: "Example") -> tuple[Any, ...]:
    answers = (
        a.prediction if isinstance(a.prediction, float) else f"{a.prediction} {a.score:.4f}"
        for a in (example.answered, example.replayed)
    )
    features = ", ".join(f"{k}={v}" for k, v in example.features.items() if v is not None)
    return (example.prediction_id, *answers, features)
