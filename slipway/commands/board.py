"""`slipway board`: the operations page of all models."""

import os
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from contracts.errors import InvalidSetting
from slipway import context, output
from slipway.operations import current_page, write_current_page
from slipway.options import LOCAL_SERVICE, MONITOR, JsonOption, KeyOption, UrlOption

app = typer.Typer()


@app.command(
    "board",
    rich_help_panel=MONITOR,
    epilog="Example: slipway board, or slipway board --write",
)
def board_command(
    write: Annotated[
        bool, typer.Option("--write", help="Write var/reports/index.html instead of serving it.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3002,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    url: UrlOption = LOCAL_SERVICE,
    key: KeyOption = "",
    json: JsonOption = False,
) -> None:
    """Show what is in production and how every model does, on one page, read-only."""
    if write:
        path = write_current_page(url, key)
        output.as_json({"path": str(path)}) if json else output.say(str(path), soft_wrap=True)
        return
    from contracts.settings import load_settings
    from services.auth.guard import Guard, is_loopback, resolve_mode
    from services.bento.port import check_port
    from services.settings import ServiceSettings
    from slipway.board_server import serve_board

    settings = load_settings(ServiceSettings, os.environ)
    guard = Guard(replace(settings, keys=resolve_mode(settings, host)))
    if guard.is_off and not is_loopback(host):
        raise InvalidSetting(
            f"SLIPWAY_SERVICE_KEYS: expected keys for a page on {host}, got off",
            remedy="unset it and make a key: slipway keys create NAME --scope admin",
        )
    check_port(host, port)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if json:
        output.as_json({"url": address})
    else:
        output.say(f"operations page on {address}  (Ctrl+C stops it)")
    serve_board(
        partial(current_page, url, key), context.layout().reports, guard, host=host, port=port
    )
