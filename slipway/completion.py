"""What the shell offers after TAB: models, recipes and verdicts that are on this machine.

Only folders are listed: no tracking server is asked, and nothing heavy is imported, so an answer
takes as long as the start of `slipway`. A setting that is wrong offers nothing; the command
itself reports it.
"""

import pkgutil
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import typer

from contracts.errors import PlatformError
from slipway import context

OFFERED_SPLITS = ("challenger=10%", "challenger=canary", "challenger=off", "shadow=off")
_PLAIN = re.compile(r"[\w.=%-]+", re.ASCII)
MAX_OFFERED = 100
"""Verdicts, the newest first."""


def complete_model(incomplete: str) -> list[str]:
    """Models that this machine serves or has traffic of, and models of recipes."""
    with suppress(PlatformError):
        layout = context.layout()
        folders = [*_names(layout.all_models), *_names(layout.all_traffic)]
        return _beginning({*folders, *_recipes()}, incomplete)
    return []


def complete_recipe(incomplete: str) -> list[str]:
    """Recipes of `training/recipes`."""
    return _beginning(_recipes(), incomplete)


def complete_verdict(ctx: typer.Context, incomplete: str) -> list[str]:
    """Verdicts on the model that the command names, the newest first."""
    with suppress(PlatformError):
        folder = context.layout().verdicts / str(ctx.params.get("model") or "")
        ids = _beginning([path.stem for path in folder.glob("*.json")], incomplete)
        # The ids of a version are in the order of time.
        return ids[::-1][:MAX_OFFERED]
    return []


def complete_role(incomplete: str) -> list[str]:
    """Shares of the roles, as `slipway traffic-split` takes them."""
    return _beginning(OFFERED_SPLITS, incomplete)


def use_plain_descriptions() -> None:
    """Let Typer show the help of a command as it is, without Rich: nothing of ours is markup.

    Its function for that is private: if it has moved, zsh and fish take a quarter of a second
    longer.
    """
    from typer import _completion_classes

    if hasattr(_completion_classes, "_sanitize_help_text"):
        _completion_classes._sanitize_help_text = _as_it_is  # noqa: SLF001 - see above


def _as_it_is(text: str) -> str:
    return text


def _recipes() -> Iterator[str]:
    """The names of `training.recipe.recipe_names`, which would load pandas."""
    import training.recipes

    for module in pkgutil.iter_modules(training.recipes.__path__):
        if not module.name.startswith("_"):
            yield module.name


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return [path.name for path in folder.iterdir() if path.is_dir()]
    return []


def _beginning(names: Iterable[str], start: str) -> list[str]:
    """The names that begin with `start`, in order; only those that no shell could read as code."""
    return sorted(name for name in names if name.startswith(start) and _PLAIN.fullmatch(name))
