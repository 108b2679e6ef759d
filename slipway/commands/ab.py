"""`slipway ab`: whether the challenger is better, however often one looks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipway import context, output
from slipway.commands.replay import share_of
from slipway.durations import window_of

if TYPE_CHECKING:
    from contracts.experiment import Experiment, Stratum, VariantResult

app = typer.Typer()

RESULT_COLUMNS = ("version", "variant", "rows", "units", "labels", "value", "95 %, one look")
RATIO_COLUMNS = ("weight", "challenger's share", "challenger", "production")


@app.command("ab", epilog="Example: slipway ab loan --window 14d")
def command(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")],
    window: Annotated[str, typer.Option(help="How far back: 24h, 14d.")] = "14d",
    since: Annotated[str, typer.Option(help="Instead of --window: RFC 3339.")] = "",
    until: Annotated[str, typer.Option(help="Default: now.")] = "",
    metric: Annotated[str, typer.Option(help="Default: that of the recipe's first gate.")] = "",
    planned_units: Annotated[
        int, typer.Option(min=100, help="Labelled units at which an answer is wanted.")
    ] = 10_000,
    weight: Annotated[
        str, typer.Option(help="The challenger's share, where the log names none: 10%.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Compare challenger and production by their labels; valid at every look."""
    from monitoring.baseline import find_baseline
    from monitoring.experiment.analysis import Plan, analyse, keep
    from monitoring.traffic.window import TimeWindow

    now = datetime.now(UTC)
    start, end = window_of(window, since, until, now, ("--window", "--since", "--until"))
    share = share_of(weight, "--weight") if weight else float("nan")
    baseline = find_baseline(context.store(), context.layout(), model, None)
    plan = Plan(TimeWindow(model, None, start, end), metric, planned_units, share)
    document = analyse(context.layout(), baseline, plan, now=now)
    page = keep(context.layout(), document)[1]
    if json:
        output.as_json(document)
    else:
        show_experiment(document, page)


def show_experiment(document: "Experiment", page: Path) -> None:
    """Print what an analysis found, and where the page with all of it lies."""
    output.say(document.sentence, soft_wrap=True)
    metric = document.effect.metric if document.effect else "value"
    columns = tuple(metric if name == "value" else name for name in RESULT_COLUMNS)
    if document.results:
        output.table("Answers whose labels are due", columns, map(_result_row, document.results))
    ratio = document.ratio
    if document.rows:
        rows = map(_stratum_row, ratio.strata)
        output.table("Units", RATIO_COLUMNS, rows)
        told = f"chi-square {ratio.chi_square:.2f}, p {ratio.p_value:.3g}"
        output.say(f"ratio: {told if ratio.checked else 'not checked'}")
    if document.effect:
        output.say(f"always-valid p-value: {document.effect.p_value:.3g}")
    if document.immature:
        output.say(f"{document.immature:,} rows wait for their labels")
    for note in document.notes:
        output.say(note, markup=False)
    output.say(f"page: {page}", soft_wrap=True)


def _stratum_row(stratum: "Stratum") -> tuple[Any, ...]:
    challenger, production = stratum.challenger, stratum.production
    share = f"{challenger / max(challenger + production, 1):.2%}"
    meant = f"{stratum.weight:.2%}" if stratum.weight else "not logged"
    return (meant, share, challenger, production)


def _result_row(result: "VariantResult") -> tuple[Any, ...]:
    interval = "-" if result.low is None else f"{result.low:.4g} to {result.high:.4g}"
    value = "-" if result.value is None else f"{result.value:.4g}"
    counts = (result.rows, result.units, result.labels)
    return (result.version, result.variant, *counts, value, interval)
