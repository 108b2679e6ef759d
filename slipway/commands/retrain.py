"""`slipway retrain`: a challenger trained on recent labelled traffic."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from slipway import context, output
from slipway.commands.promote import promote_version
from slipway.completion import complete_verdict
from slipway.options import MONITOR, JsonOption, ModelArgument
from slipway.progress import working

if TYPE_CHECKING:
    from registry.promote import Promotion

app = typer.Typer()


@app.command(
    "retrain",
    rich_help_panel=MONITOR,
    epilog="Example: slipway retrain loan --because VERDICT_ID --promote",
)
def retrain_command(
    model: ModelArgument,
    because: Annotated[
        str,
        typer.Option(
            help="ID or path of a verdict, `schedule`, or a reason in words.",
            autocompletion=complete_verdict,
        ),
    ],
    promote: Annotated[
        bool, typer.Option(help="Promote the challenger if it passes the gate.")
    ] = False,
    force: Annotated[
        bool, typer.Option(help="Retrain even if nothing calls for it; recorded.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a challenger on labelled traffic; the newest of it is held out for the evaluation."""
    from monitoring.retraining.job import retrain

    def promote_challenger(version: int, why: str) -> "Promotion":
        return promote_version(model, version, because=why)

    with working(f"retraining {model}"):
        retraining = retrain(
            context.store(),
            context.layout(),
            model,
            because=because,
            settings=context.monitoring_settings(),
            now=datetime.now(UTC),
            actor=context.actor(),
            force=force,
            promote=promote_challenger if promote else None,
        )
    if json:
        output.as_json(retraining)
    else:
        output.say(retraining.sentence, soft_wrap=True)
