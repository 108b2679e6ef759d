"""`slipway train`: recipes become certified, registered versions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InvalidUsage, PlatformError
from slipway import context, output, tables
from slipway.completion import complete_recipe
from slipway.options import TRAIN, JsonOption
from slipway.progress import working
from slipway.results import FailedRecipe, error_details

if TYPE_CHECKING:
    from training.dry_run import TriedRecipe
    from training.recipe import Recipe
    from training.run import TrainedVersion

    Outcome = tuple[list[TrainedVersion | TriedRecipe], dict[str, PlatformError]]

app = typer.Typer()


@app.command(
    "train",
    rich_help_panel=TRAIN,
    epilog="Example: slipway train loan iris, or slipway train --all",
)
def train_command(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(help="Names of recipes.", metavar="RECIPE", autocompletion=complete_recipe),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Train every recipe whose framework is installed.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the model.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try each recipe on a sample, and register nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train recipes, certify them and register their versions.

    All recipes are read before the first is trained. One that fails does not stop the others.
    """
    from training.recipe import recipe_names

    names = list(dict.fromkeys(_all_names() if every else recipes or []))
    if not names:
        raise InvalidUsage(
            f"RECIPE: expected one or more of {', '.join(recipe_names())}, or --all, got none",
            remedy="for example: slipway train --all",
        )
    read = _read_all(names)
    results, failures = (_try_each if dry_run else _train_each)(read, seed, is_quiet=json)
    if len(names) == 1 and failures:
        raise failures[names[0]]
    _print(results, failures, as_json=json)
    if failures:
        raise typer.Exit(next(iter(failures.values())).exit_code)


def _all_names() -> list[str]:
    """The recipes whose frameworks are installed; the others are named on standard error."""
    from training.available import missing_extras
    from training.recipe import recipe_names

    names = []
    for name in recipe_names():
        missing = missing_extras(name)
        if missing:
            output.warn(f"{name}: skipped; it needs {missing[0].name}: {missing[0].install}")
        else:
            names.append(name)
    return names


def _read_all(names: Sequence[str]) -> "list[Recipe]":
    """Every recipe, checked.

    Raises:
        PlatformError: of a single recipe its own error, of several an error that lists all.

    """
    from training.recipe import load_recipe

    found: list[Recipe] = []
    errors: list[PlatformError] = []
    for name in names:
        try:
            found.append(load_recipe(name))
        except PlatformError as err:
            errors.append(err)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise type(errors[0])(
            "; ".join(err.what for err in errors),
            remedy="; ".join(dict.fromkeys(err.remedy for err in errors if err.remedy)),
        )
    return found


def _train_each(recipes: "Sequence[Recipe]", seed: int, *, is_quiet: bool) -> "Outcome":
    from training.run import train_recipe

    store = context.store()
    return _each(
        recipes, lambda recipe: train_recipe(recipe, store, seed=seed), "training", is_quiet
    )


def _try_each(recipes: "Sequence[Recipe]", seed: int, *, is_quiet: bool) -> "Outcome":
    from training.dry_run import try_recipe

    return _each(recipes, partial(try_recipe, seed=seed), "trying", is_quiet)


def _each(
    recipes: "Sequence[Recipe]",
    process: "Callable[[Recipe], TrainedVersion | TriedRecipe]",
    doing: str,
    is_quiet: bool,
) -> "Outcome":
    """The results, and the errors of the other recipes by name; notes go to standard error."""
    results: list[TrainedVersion | TriedRecipe] = []
    failures: dict[str, PlatformError] = {}
    for recipe in recipes:
        if not is_quiet:
            output.say(f"{doing} {recipe.name} ...")
        try:
            with working(f"{doing} {recipe.name}"):
                results.append(process(recipe))
        except PlatformError as err:
            failures[recipe.name] = err
            if len(recipes) > 1:
                output.warn(f"{recipe.name}: error: {err}")
        else:
            for note in results[-1].notes:
                output.warn(f"{recipe.name}: note: {note}")
    return results, failures


def _print(
    results: "Sequence[TrainedVersion | TriedRecipe]",
    failures: dict[str, PlatformError],
    *,
    as_json: bool,
) -> None:
    """The results, and in JSON also the errors: objects with `name` and `error`."""
    if as_json:
        errors = [FailedRecipe(name, error_details(err)) for name, err in failures.items()]
        output.as_json([*results, *errors])
        return
    from training.run import TrainedVersion

    trained = [each for each in results if isinstance(each, TrainedVersion)]
    tried = [each for each in results if not isinstance(each, TrainedVersion)]
    if trained:
        output.table("Registered", tables.TRAINED_COLUMNS, map(tables.trained_row, trained))
    if tried:
        output.table("Not registered", tables.TRIED_COLUMNS, map(tables.tried_row, tried))
    if failures:
        output.warn(f"failed: {', '.join(failures)}")
