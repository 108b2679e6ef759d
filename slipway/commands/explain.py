"""`slipway explain`: the model, the data and the promotion behind a prediction."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway import context, output, tables
from slipway.options import MONITOR, JsonOption, ScoredOption
from slipway.progress import working

if TYPE_CHECKING:
    from contracts.traffic import TrafficRecord
    from monitoring.explanation.shapley import Explanation
    from registry.lineage import Lineage

app = typer.Typer()


@app.command(
    "explain",
    rich_help_panel=MONITOR,
    epilog="Example: slipway explain PREDICTION_ID --contributions",
)
def explain_command(
    prediction: Annotated[str, typer.Argument(help="ID of a prediction.", metavar="PREDICTION_ID")],
    contributions: Annotated[
        bool, typer.Option("--contributions", help="Show what each feature contributed.")
    ] = False,
    scored: ScoredOption = "",
    json: JsonOption = False,
) -> None:
    """Trace a prediction back to its model, its run and its training data."""
    from monitoring.traffic.lookup import find_prediction
    from monitoring.traffic.scored import scored_layout
    from registry.lineage import lineage

    layout = context.layout()
    if scored:
        layout = scored_layout(layout, Path(scored))
    record = find_prediction(layout, prediction)
    origin = lineage(context.store(), record.model, record.version, record.time)
    with working("looking for what each feature contributed"):
        explanation = _explanation(record) if contributions else None
    if json:
        found = {"prediction": record, "lineage": origin}
        output.as_json(found | ({"contributions": explanation} if explanation else {}))
        return
    output.fields("Prediction", record)
    _show_lineage(origin)
    if explanation:
        _show_contributions(explanation)


def _explanation(record: "TrafficRecord") -> "Explanation":
    """What each feature contributed to the score, by the version that answered."""
    from monitoring.baseline import find_baseline
    from monitoring.explanation.shapley import explain

    baseline = find_baseline(context.store(), context.layout(), record.model, record.version)
    return explain(context.layout(), baseline, record)


def _show_lineage(origin: "Lineage") -> None:
    output.fields("Model", {name: v for name, v in vars(origin).items() if name != "checks"})
    if origin.checks:
        output.table("Checks", tables.CHECK_COLUMNS, map(tables.check_row, origin.checks))


def _show_contributions(explanation: "Explanation") -> None:
    rows = map(tables.contribution_row, explanation.contributions)
    output.table("Contributions", tables.CONTRIBUTION_COLUMNS, rows)
    total = sum(each.contribution for each in explanation.contributions)
    output.say(
        f"{explanation.of}: {explanation.score:.6f} = {explanation.base:.6f} "
        f"(mean of {explanation.reference_rows} reference rows) {total:+.6f}; "
        f"{explanation.method}, {explanation.scores:,} scores"
    )
