"""`slipway labels`: ground truth for logged predictions, from a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slipway import context, output
from slipway.completion import complete_model
from slipway.options import MONITOR, JsonOption

app = typer.Typer()


@app.command(
    "labels", rich_help_panel=MONITOR, epilog="Example: slipway labels truth.csv --model loan"
)
def labels_command(
    file: Annotated[
        Path,
        typer.Argument(help="CSV or JSON lines with prediction_id, truth, time.", metavar="FILE"),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Model whose predictions the labels belong to.", autocompletion=complete_model
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Import ground-truth labels; a file is taken whole or refused."""
    from monitoring.baseline import find_baseline
    from monitoring.labels.ingest import add_labels

    manifest = find_baseline(context.store(), context.layout(), model, None).manifest
    added = add_labels(context.layout(), manifest, file, now=datetime.now(UTC))
    if json:
        output.as_json(added)
    else:
        output.say(f"{added.rows} labels of {model} are in {added.path}")
