"""`training/recipes/<name>.py`, written from a draft and tried at once."""

from pathlib import Path

from contracts.errors import InvalidRecipe, Unwritable
from contracts.names import check_model_name
from training import recipe as recipes
from training.drafting.draft import Draft
from training.drafting.recipe_text import recipe_text


def write_recipe(name: str, draft: Draft, *, replace: bool = False) -> Path:
    """Write the recipe of a draft; returns its path.

    Raises:
        InvalidRecipe: the name is none of a model, or there is such a recipe already.
        Unwritable: the folder cannot be written.

    """
    check_model_name(name)
    path = recipes.RECIPES_FOLDER / f"{name}.py"
    if path.exists() and not replace:
        raise InvalidRecipe(
            f"{path}: expected no such recipe yet, got one",
            remedy="choose another name, or --force to replace it",
        )
    text = recipe_text(name, draft, recipes.RECIPES_FOLDER.parents[1])
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise Unwritable(
            f"{path}: expected a folder that can be written, got {err.strerror}",
            remedy="run slipway in a checkout of your own",
        ) from err
    return path
