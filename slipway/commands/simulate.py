"""`slipway simulate`: load on a running service, with rows like those of the recipe."""

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipway import output, tables
from slipway.options import LOCAL_SERVICE, SERVE, JsonOption, KeyOption, ModelArgument, UrlOption
from slipway.progress import counting

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
    labels: Annotated[
        bool, typer.Option("--labels", help="Then send the true outcome of each row, too.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Send rows like the recipe's data to a running service, and time the answers."""
    result = send_rows(
        url,
        model,
        rows,
        drifted=drifted,
        connections=connections,
        seed=seed,
        key=key,
        has_labels=labels,
    )
    if json:
        output.as_json(result)
    else:
        output.table("Load", tables.LOAD_COLUMNS, [tables.load_row(model, result)])
        if labels:
            output.say(f"{result.labels:,} labels of {model} are accepted")


def send_rows(
    url: str,
    model: str,
    n_rows: int,
    *,
    drifted: bool,
    connections: int = DEFAULT_CONNECTIONS,
    seed: int = 1,
    key: str = "",
    has_labels: bool = False,
) -> "LoadResult":
    """Send rows like (or, with `drifted`, unlike) the recipe's data, one per request.

    With `has_labels`, the true outcomes of the answered rows are sent afterwards.

    Raises:
        InvalidRecipe: there is no recipe of that name.
        PlatformError: the service does not answer.

    """
    import msgspec

    from slipway.label_client import send_labels
    from slipway.load_client import send
    from training.recipe import load_recipe
    from training.simulate import simulate_rows

    sample = simulate_rows(load_recipe(model), n_rows, seed, are_drifted=drifted)
    found: list[dict[str, Any]] = []
    with counting(f"sending rows to {model}", n_rows) as advance:

        def keep_label(index: int, status: int, body: bytes, /) -> None:
            advance(1)
            if has_labels and status == HTTPStatus.OK:
                identity = msgspec.json.decode(body)["prediction_id"]
                found.append({"prediction_id": identity, "truth": sample.truths[index]})

        result = send(url, model, sample.rows, connections, key, keep_label)
    if not found:
        return result
    return replace(result, labels=send_labels(url, model, found, key))
