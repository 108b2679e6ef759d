"""`slipway card`: what people must know of a version before they rely on it."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from contracts.files import write_whole
from slipway import context, output
from slipway.options import TRAIN, JsonOption, ModelArgument

app = typer.Typer()


@app.command("card", rich_help_panel=TRAIN, epilog="Example: slipway card loan --version 7")
def card_command(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Option(help="Version; default: Production, or the newest.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write the model card of a version, and log it to the version's run."""
    from contracts.names import PRODUCTION
    from contracts.reference import Reference
    from training.card.build import model_card
    from training.card.deployment import deployment_of
    from training.card.log import card_files, log_card
    from training.evaluation.model_version import load_model_version

    store, layout = context.store(), context.layout()
    if version is None:
        version = store.models.get(model).aliases.get(PRODUCTION)
    number = store.versions.newest(model).version if version is None else version
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = load_model_version(store, layout, model, number, folder / "model")
        (folder / "decisions").mkdir()
        card = model_card(
            found.manifest,
            found.digest,
            Reference.read(found.reference_file.read_bytes(), str(found.reference_file)),
            found.held_out,
            deployment_of(store, layout, model, number, folder / "decisions"),
        )
    files = card_files(card)
    log_card(store, card.run_id, files)
    for file, data in files.items():
        write_whole(layout.card(model, number) / file, data)
    if json:
        output.as_json(card)
    else:
        output.say(str(layout.card(model, number) / "card.html"), soft_wrap=True)
