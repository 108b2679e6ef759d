"""Which recipes can be trained here: those whose frameworks are installed."""

from contracts.extras import Extra
from training import recipe
from training.frameworks.extras import extras_of
from training.recipe import recipe_names


def base_recipes() -> list[str]:
    """The names of the recipes that need no extra."""
    return [name for name in recipe_names() if not _extras(name)]


def missing_extras(name: str) -> list[Extra]:
    """The extras that a recipe needs and that are not installed."""
    return [extra for extra in _extras(name) if not extra.is_installed]


def _extras(name: str) -> list[Extra]:
    try:
        return extras_of((recipe.RECIPES_FOLDER / f"{name}.py").read_text())
    except (SyntaxError, ValueError):
        # The recipe is refused with file and line when it is loaded.
        return []
