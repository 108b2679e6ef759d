"""What the gate can see on the data of the recipes.

    python -m benchmarks.gate.recipes

Fits each recipe as it is and with a boosted model in place of its own, and prints the error of
their difference and the improvement that shows in 80 of 100 exams like this.
"""

import sys
from dataclasses import replace

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from metrics.alpha_spending import alpha_at_attempt
from training.available import base_recipes
from training.dataset import encoded_targets, load_table, split
from training.evaluation.bootstrap import (
    detectable_improvement,
    paired_improvement,
)
from training.evaluation.predictions import Predictions
from training.metrics import METRICS
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe, load_recipe

ATTEMPTS = (1, 5, 20)


def line(recipe: Recipe) -> list[str]:
    """One recipe's row of the table."""
    boosted = (
        HistGradientBoostingClassifier if recipe.is_classifier else HistGradientBoostingRegressor
    )
    rows = split(recipe, load_table(recipe), 0)
    target = encoded_targets(recipe, rows.holdout_target)

    def predictions(of: Recipe) -> Predictions:
        pipeline = fitted_pipeline(of, rows.train, rows.train_target, 0)
        return Predictions(scores_of(pipeline, rows.holdout, of), of.threshold)

    theirs = predictions(recipe)
    ours = predictions(replace(recipe, estimator=lambda: boosted(max_iter=60)))
    metric = recipe.gates[0].metric
    value = METRICS[recipe.task][metric].value(target, theirs.scores, theirs.threshold)
    alphas = [alpha_at_attempt(attempt) for attempt in ATTEMPTS]
    found = [paired_improvement(recipe.task, metric, target, ours, theirs, a) for a in alphas]
    error = found[0].standard_error
    least = [f"{detectable_improvement(f, a):.3g}" for f, a in zip(found, alphas, strict=True)]
    if not error:
        least = ["both predict alike"] * len(ATTEMPTS)
    return [recipe.name, metric, f"{value:.4g}", str(len(target)), f"{error:.2g}", *least]


def main() -> None:
    """Print the table; recipes with several targets have no boosted model, and are left out."""
    shown = ["recipe", "metric", "value", "rows", "error", *(f"attempt {k}" for k in ATTEMPTS)]
    recipes = [recipe for recipe in map(load_recipe, base_recipes()) if len(recipe.targets) == 1]
    for cells in (shown, ["---"] * len(shown), *map(line, recipes)):
        sys.stdout.write("| " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
