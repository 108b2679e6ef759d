"""`slipway simulate`: load on a running service, with rows like those of the recipe."""

from typing import TYPE_CHECKING, Annotated

import typer

from slipway import output, tables
from slipway.options import LOCAL_SERVICE, SERVE, JsonOption, KeyOption, ModelArgument, UrlOption

if TYPE_CHECKING:
    from slipway.load_client import LoadResult

app = typer.Typer()

DEFAULT_CONNECTIONS = 16


@app.command(
    "simulate", rich_help_panel=SERVE, epilog="Example: slipway simulate loan --rows 5000 --drifted"
)
def simulate_command(
    model: ModelArgument,
    rows: Annotated[int, typer.Option(min=1, help="Number of requests, one row each.")] = 2000,
    drifted: Annotated[bool, typer.Option(help="Send rows unlike the training data.")] = False,
    connections: Annotated[
        int, typer.Option(min=1, help="Number of open connections.")
    ] = DEFAULT_CONNECTIONS,
    seed: Annotated[int, typer.Option(help="Seed of the rows.")] = 1,
    url: UrlOption = LOCAL_SERVICE,
    key: KeyOption = "",
    json: JsonOption = False,
) -> None:
    """Send rows like the recipe's data to a running service, and time the answers."""
    result = send_rows(
        url, model, rows, drifted=drifted, connections=connections, seed=seed, key=key
    )
    if json:
        output.as_json(result)
    else:
        output.table("Load", tables.LOAD_COLUMNS, [tables.load_row(model, result)])


def send_rows(
    url: str,
    model: str,
    n_rows: int,
    *,
    drifted: bool,
    connections: int = DEFAULT_CONNECTIONS,
    seed: int = 1,
    key: str = "",
) -> "LoadResult":
    """Send rows like (or, with `drifted`, unlike) the recipe's data, one per request.

    Raises:
        InvalidRecipe: there is no recipe of that name.
        PlatformError: the service does not answer.

    """
    from slipway.load_client import send
    from training import simulate
    from training.recipe import load_recipe

    sample = simulate.drifted if drifted else simulate.like_training
    return send(url, model, sample(load_recipe(model), n_rows, seed), connections, key)
