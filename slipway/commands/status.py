"""`slipway status`: the state of each model in the registry, on this machine, in the service."""

import typer

from slipway import context, output, tables
from slipway.options import LOCAL_SERVICE, SERVE, JsonOption, KeyOption, UrlOption

app = typer.Typer()


@app.command(
    "status", rich_help_panel=SERVE, epilog="Example: slipway status --url http://127.0.0.1:3000"
)
def status_command(
    url: UrlOption = LOCAL_SERVICE, key: KeyOption = "", json: JsonOption = False
) -> None:
    """Show which version is Production, which is served here, and which one answers."""
    from slipway.model_state import served_versions, states

    served = served_versions(url, key)
    if served is None:
        output.warn(
            f"no service answers at {url}: start it with slipway serve, or name it with --url"
        )
    found = states(context.store(), context.layout(), served or {})
    if json:
        output.as_json(found)
        return
    output.table("Status", tables.STATE_COLUMNS, map(tables.state_row, found))
    # The first cell is the name; models without another role are left out.
    roles = [row for row in map(tables.roles_row, found) if any(row[1:])]
    if roles:
        output.table("Other roles", tables.ROLES_COLUMNS, roles)
