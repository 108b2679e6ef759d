"""Which extras a recipe needs, from its source, and the error where one is not installed."""

import ast

from contracts.errors import InvalidRecipe
from contracts.extras import Extra, extra_of


def extras_of(source: str) -> list[Extra]:
    """The extras that a recipe's source imports, whether they are installed or not.

    >>> [each.package for each in extras_of("from xgboost import XGBClassifier")]
    ['xgboost']
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # A door of ours has the name of its package: training.frameworks.torch.
            names.append((node.module or "").removeprefix("training.frameworks."))
    found = {extra.package: extra for extra in map(extra_of, names) if extra}
    return list(found.values())


def not_installed(error: Exception, recipe_name: str) -> InvalidRecipe | None:
    """The error of a recipe whose framework is not installed; None if that is not the reason."""
    extra = extra_of(error.name) if isinstance(error, ModuleNotFoundError) else None
    if extra is None or extra.is_installed:
        return None
    return InvalidRecipe(
        f"recipe {recipe_name!r}: expected {extra.name} to be installed, got no package "
        f"{extra.package!r}",
        remedy=f"{extra.install} (docs/frameworks.md)",
    )
