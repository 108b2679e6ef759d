"""`slipway compact`: past traffic and labels as Parquet, and how long both are stored."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from contracts.errors import NotFoundHere, preview
from slipway import context, output
from slipway.options import OPERATE, JsonOption, ModelArgument
from slipway.progress import working

app = typer.Typer()


@app.command(
    "compact", rich_help_panel=OPERATE, epilog="Example: slipway compact loan --keep-days 90"
)
def compact_command(
    model: ModelArgument,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Delete older traffic and labels; 0: delete nothing.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Convert the traffic of past days, and labels, to Parquet; safe to repeat."""
    from monitoring.labels.compaction import compact_labels
    from monitoring.traffic.compaction import compact_traffic

    layout = context.layout()
    if not (layout.traffic(model).is_dir() or layout.labels(model).is_dir()):
        raise NotFoundHere(
            f"MODEL: expected a model with traffic or labels in {layout.var}, got {preview(model)}",
            remedy="slipway status lists the models",
        )
    now = datetime.now(UTC)
    with working(f"converting the traffic of {model}"):
        done = {
            "traffic": compact_traffic(layout, model, now=now, keep_days=keep_days),
            "labels": compact_labels(layout, model, now=now, keep_days=keep_days),
        }
    if json:
        output.as_json(done)
        return
    for title, compaction in done.items():
        output.fields(title, compaction)
