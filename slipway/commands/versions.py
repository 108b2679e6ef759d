"""`slipway versions` and `slipway history`: what is registered, and what was Production when."""

from typing import Annotated

import typer

from slipway import context, output, tables
from slipway.completion import complete_model
from slipway.options import TRAIN, JsonOption, ModelArgument

app = typer.Typer()


@app.command("versions", rich_help_panel=TRAIN, epilog="Example: slipway versions loan")
def versions_command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Name of a model; default: every model.",
            metavar="MODEL",
            autocompletion=complete_model,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List registered versions, and which one is Production."""
    from registry.listing import list_versions

    found = list_versions(context.store(), model)
    if json:
        output.as_json(found)
    else:
        output.table("Versions", tables.VERSION_COLUMNS, map(tables.version_row, found))


@app.command("history", rich_help_panel=TRAIN, epilog="Example: slipway history loan")
def history_command(model: ModelArgument, json: JsonOption = False) -> None:
    """Show which version was Production when, who promoted it, and why."""
    from registry.history import history
    from registry.promote import decision_page

    store = context.store()
    events = history(store, model)
    if json:
        output.as_json(events)
        return
    output.table(f"History of {model}", tables.EVENT_COLUMNS, map(tables.event_row, events))
    runs = {version.version: version.run_id for version in store.versions.of(model)}
    for event in events:
        if event.decision and event.to_version in runs:
            page = decision_page(store, runs[event.to_version], event.decision)
            output.say(f"version {event.to_version}, every check: {page}", soft_wrap=True)
