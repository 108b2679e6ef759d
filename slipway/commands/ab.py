"""`slipway ab`: challenger and production compared on their labels, however often one looks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway import context, output, tables
from slipway.durations import time_range
from slipway.options import MONITOR, EndOption, JsonOption, LastOption, ModelArgument, StartOption
from slipway.progress import working
from slipway.shares import parse_share

if TYPE_CHECKING:
    from contracts.experiment import Experiment

app = typer.Typer()


@app.command("ab", rich_help_panel=MONITOR, epilog="Example: slipway ab loan --last 14d")
def ab_command(
    model: ModelArgument,
    last: LastOption = "14d",
    start: StartOption = "",
    end: EndOption = "",
    metric: Annotated[
        str, typer.Option(help="Metric to compare; default: that of the recipe's first gate.")
    ] = "",
    planned_units: Annotated[
        int, typer.Option(min=100, help="Labelled users (units) planned for the experiment.")
    ] = 10_000,
    weight: Annotated[
        str, typer.Option(help="The challenger's share, if the log has none: 10%.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Compare challenger and production on labels; you may check as often as you like."""
    from monitoring.baseline import find_baseline
    from monitoring.experiment.analysis import ExperimentPlan, analyse_experiment
    from monitoring.experiment.page import write_experiment
    from monitoring.traffic.window import TimeWindow

    now = datetime.now(UTC)
    window = TimeWindow(model, None, *time_range(last, start, end, now))
    share = parse_share(weight, "--weight") if weight else float("nan")
    baseline = find_baseline(context.store(), context.layout(), model, None)
    plan = ExperimentPlan(window, metric, planned_units, share)
    with working(f"comparing the versions of {model}"):
        document = analyse_experiment(context.layout(), baseline, plan, now=now)
        page = write_experiment(context.layout(), document)[1]
    if json:
        output.as_json(document)
    else:
        _show_experiment(document, page)


def _show_experiment(document: "Experiment", page: Path) -> None:
    """Print the result of an analysis, and where its page is."""
    output.say(document.sentence, soft_wrap=True)
    if document.results:
        columns = tables.variant_columns(document.effect.metric if document.effect else "value")
        rows = map(tables.variant_row, document.results)
        output.table("Answers whose labels are due", columns, rows)
    ratio = document.ratio
    if document.rows:
        output.table("Units", tables.RATIO_COLUMNS, map(tables.stratum_row, ratio.strata))
        test = f"chi-square {ratio.chi_square:.2f}, p {ratio.p_value:.3g}"
        output.say(f"ratio: {test if ratio.checked else 'not checked'}")
    if document.effect:
        output.say(f"always-valid p-value: {document.effect.p_value:.3g}")
    if document.immature:
        output.say(f"{document.immature:,} rows wait for their labels")
    for note in document.notes:
        output.say(note)
    output.say(f"page: {page}", soft_wrap=True)
