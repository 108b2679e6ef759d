"""Make a model of trees smaller: the fewest leaves per tree that lose little.

The number of leaves is chosen on validation rows, a quarter of the learned ones; the held-out rows
have no part in the choice. Unlimited trees learn single rows by heart, so a limit often makes a
forest both smaller and better.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike
from sklearn.model_selection import train_test_split

from contracts.errors import InvalidRecipe
from training.compression_rule import Compression
from training.metrics import METRICS, Target
from training.notes import add_note
from training.pipeline import errors_of_the_estimator, fitted_pipeline, scores_of
from training.recipe import Recipe
from training.targets import encoded_targets
from training.trust import stored_pipeline

PARAMETER = "max_leaf_nodes"
MEASURED_SHARE = 0.25


@dataclass(frozen=True)
class Candidate:
    """A model that was tried: its leaves per tree (None: as the recipe has it), size and metric."""

    max_leaf_nodes: int | None
    size_bytes: int
    value: float


@dataclass(frozen=True)
class CompressionReport:
    """What each candidate has of the metric on `n_rows` validation rows, and which was chosen."""

    metric: str
    max_loss: float
    n_rows: int
    full: Candidate
    candidates: tuple[Candidate, ...]
    chosen: Candidate

    @property
    def document(self) -> dict[str, Any]:
        """The report for `compression.json`."""
        return asdict(self)


def compressed_recipe(
    recipe: Recipe,
    rule: Compression,
    train: pd.DataFrame,
    targets: Target,
    seed: int,
    dtype: DTypeLike,
) -> tuple[Recipe, CompressionReport]:
    """The recipe with the smallest candidate that loses little, and the report of all.

    `train` and `targets` are the rows to learn; `dtype` is the type in which the model will be
    fitted.

    Raises:
        InvalidRecipe: the estimator has no limit of leaves, or every candidate loses too much.

    """
    _limited(recipe, rule.max_leaf_nodes[0]).estimator()  # refused before anything is fitted
    metric = recipe.gates[0].metric
    measure, n_rows = _measure(recipe, metric, train, targets, seed, dtype)
    full = measure(recipe, None)
    candidates = tuple(
        measure(_limited(recipe, leaves), leaves) for leaves in sorted(rule.max_leaf_nodes)
    )
    sign = METRICS[recipe.task][metric].sign
    kept = [each for each in candidates if sign * (full.value - each.value) <= rule.max_loss]
    if not kept:
        tried = ", ".join(f"{each.value:.4g} with {each.max_leaf_nodes}" for each in candidates)
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: compression: expected {metric} at most {rule.max_loss:g} "
            f"worse than {full.value:.4g} with some number of leaves, got {tried}",
            remedy="try more leaves, allow a larger max_loss, or leave compression out",
        )
    chosen = min(kept, key=lambda each: each.size_bytes)
    report = CompressionReport(metric, rule.max_loss, n_rows, full, candidates, chosen)
    add_note(
        f"compression: at most {chosen.max_leaf_nodes} leaves per tree make the model "
        f"{full.size_bytes / chosen.size_bytes:.1f} times smaller; {metric} on {n_rows:,} "
        f"validation rows is {chosen.value:.4g}, without a limit {full.value:.4g}"
    )
    return _limited(recipe, chosen.max_leaf_nodes), report


def _measure(
    recipe: Recipe, metric: str, train: pd.DataFrame, targets: Target, seed: int, dtype: DTypeLike
) -> tuple[Callable[[Recipe, int | None], Candidate], int]:
    """What fits a candidate on most rows and measures it on the others, and how many these are."""
    truth = encoded_targets(recipe, targets)
    learned, validation = train_test_split(
        np.arange(len(train)),
        test_size=MEASURED_SHARE,
        random_state=seed,
        stratify=truth if recipe.is_classifier else None,
    )

    def measured(candidate: Recipe, leaves: int | None) -> Candidate:
        pipeline = fitted_pipeline(candidate, train.iloc[learned], targets[learned], seed, dtype)
        with errors_of_the_estimator(recipe, "compression"):
            scores = scores_of(pipeline, train.iloc[validation], recipe)
        value = METRICS[recipe.task][metric].value(truth[validation], scores, recipe.threshold)
        data, _ = stored_pipeline(pipeline, recipe.name)
        return Candidate(leaves, len(data), float(value))

    return measured, len(validation)


def _limited(recipe: Recipe, leaves: int | None) -> Recipe:
    """The recipe with at most this many leaves per tree."""
    make = recipe.estimator

    def limited() -> Any:
        model = make()
        names = [name for name in model.get_params() if name.split("__")[-1] == PARAMETER]
        if not names:
            raise InvalidRecipe(
                f"recipe {recipe.name!r}: compression: expected an estimator of trees with the "
                f"parameter {PARAMETER}, got {type(model).__name__}",
                remedy="leave compression out",
            )
        return model.set_params(**dict.fromkeys(names, leaves))

    return replace(recipe, estimator=limited)
