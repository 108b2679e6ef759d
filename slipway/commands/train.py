"""`slipway train`: recipes become certified, registered versions."""

from typing import Annotated

import typer

from contracts.errors import InvalidUsage
from slipway import context, output, tables
from slipway.options import TRAIN, JsonOption

app = typer.Typer()


@app.command(
    "train",
    rich_help_panel=TRAIN,
    epilog="Example: slipway train loan iris, or slipway train --all",
)
def train_command(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Names of recipes.", metavar="RECIPE")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Train every recipe.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the model.")] = 0,
    json: JsonOption = False,
) -> None:
    """Train recipes, certify them and register their versions."""
    from training.recipe import load_recipe, recipe_names
    from training.run import train_recipe

    names = recipe_names() if every else recipes or []
    if not names:
        raise InvalidUsage(
            f"RECIPE: expected one or more of {', '.join(recipe_names())}, or --all, got none",
            remedy="for example: slipway train --all",
        )
    trained = []
    for name in names:
        if not json:
            output.say(f"training {name} ...")
        trained.append(train_recipe(load_recipe(name), context.store(), seed=seed))
    if json:
        output.as_json(trained)
    else:
        output.table("Registered", tables.TRAINED_COLUMNS, map(tables.trained_row, trained))
