"""`slipway labels`: ground truth for logged predictions, from a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway import context, output
from slipway.completion import complete_model
from slipway.options import MONITOR, JsonOption

if TYPE_CHECKING:
    from monitoring.labels.ingest import AddedLabels

app = typer.Typer()

_DAY_S = 86_400


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
        output.say(f"{added.rows:,} labels of {model} are in {added.path}", soft_wrap=True)
        output.say(_due_text(added), soft_wrap=True)


def _due_text(added: "AddedLabels") -> str:
    """When the labels count in verdicts, comparisons and retrainings."""
    if not added.not_due:
        return "all are due, and count from now on"
    days = added.label_delay_s / _DAY_S
    return (
        f"{added.not_due:,} are not due yet: a label counts from {days:.4g} days after its "
        f"prediction on (label_delay of the recipe); the last is due at {added.all_due_at}"
    )
