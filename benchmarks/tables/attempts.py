"""What is tried with a random table: load and split it; write it as CSV, draft a recipe, load that.

An error that is none of the platform's is a fault of ours, and is raised.
"""

from pathlib import Path
from typing import Any

from benchmarks.tables.random_tables import RandomTable
from contracts.errors import PlatformError
from training.dataset import load_table, split
from training.drafting.draft import draft_of
from training.drafting.recipe_text import recipe_text
from training.notes import collected_notes
from training.recipe import Recipe


def load_and_split(example: RandomTable) -> str:
    """`read`, or `refused`."""
    try:
        with collected_notes():
            example.recipe.check()
            rows = split(example.recipe, load_table(example.recipe), 0)
    except PlatformError as error:
        return _refused(error)
    assert len(rows.train)  # noqa: S101 - a claim of the benchmark
    return "read"


def draft_and_load(example: RandomTable, folder: Path) -> str:
    """`drafted` if the recipe that was written reads its own file; or `refused`."""
    path = folder / "random.csv"
    try:
        with collected_notes():
            written = _written(example, path)
            if not written:
                return "not written"
            draft = draft_of(path, str(example.recipe.targets[0]), None, "", "")
    except PlatformError as error:
        return _refused(error)
    recipe = _executed(recipe_text("random", draft, folder), folder)
    with collected_notes():
        recipe.check()
        # A draft must read its own file: a refusal here is a fault of the draft.
        split(recipe, load_table(recipe), 0)
    return "drafted"


def _written(example: RandomTable, path: Path) -> bool:
    try:
        example.table.to_csv(path, index=False)
    except (UnicodeEncodeError, ValueError, TypeError):
        return False
    return True


def _executed(text: str, folder: Path) -> Recipe:
    namespace: dict[str, Any] = {"__file__": str(folder / "training" / "recipes" / "random.py")}
    exec(compile(text, "random.py", "exec"), namespace)  # noqa: S102 - the draft under test
    recipe: Recipe = namespace["recipe"]
    return Recipe(**(vars(recipe) | {"name": "random"}))


def _refused(error: PlatformError) -> str:
    assert error.what  # noqa: S101 - a claim of the benchmark
    return "refused"
