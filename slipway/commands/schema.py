"""`slipway schema`: the JSON schema of what a command prints with `--json`."""

from typing import Annotated

import typer

from slipway import output, tables
from slipway.options import OPERATE, JsonOption

app = typer.Typer()


@app.command("schema", rich_help_panel=OPERATE, epilog="Example: slipway schema keys list")
def schema_command(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words of a command, or `error`; without: list the commands.", metavar="COMMAND"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the JSON schema of what a command prints with `--json`."""
    from slipway.json_results import RESULTS, schema_of

    if command:
        output.as_json(schema_of(" ".join(command)))
    elif json:
        output.as_json({name: result.prints for name, result in RESULTS.items()})
    else:
        rows = [(name, result.prints) for name, result in RESULTS.items()]
        output.table("Commands that print JSON", tables.SCHEMA_COLUMNS, rows)
