"""What the gate can see on the data of the recipes.

    python -m benchmarks.gate.recipes

Fits each recipe as it is and with a boosted model in place of its own, and prints the error of
their difference and the improvement that shows in 80 of 100 exams like this.
"""

import sys
from dataclasses import replace

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from training.dataset import load_table, split
from training.evaluation.bootstrap import alpha_of, detectable, paired
from training.evaluation.paired import Sheet, truth_of
from training.metrics import METRICS
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe, load_recipe, recipe_names

ATTEMPTS = (1, 5, 20)


def line(recipe: Recipe) -> list[str]:
    """One recipe's row of the table."""
    boosted = (
        HistGradientBoostingClassifier if recipe.is_classifier else (HistGradientBoostingRegressor)
    )
    table = load_table(recipe)
    parts = split(recipe, table, 0)
    truth = truth_of(recipe, table.loc[parts.holdout.index])
    theirs, ours = (
        Sheet(scores_of(fitted_pipeline(r, parts, 0), parts.holdout, r), recipe.threshold)
        for r in (recipe, replace(recipe, estimator=lambda: boosted(max_iter=60)))
    )
    metric = recipe.gates[0].metric
    value = METRICS[recipe.task][metric][0](truth, theirs.scores, theirs.threshold)
    seen = [
        paired(recipe.task, metric, truth, ours, theirs, alpha_of(attempt)) for attempt in ATTEMPTS
    ]
    least = [
        f"{detectable(found, alpha_of(k)):.3g}" for k, found in zip(ATTEMPTS, seen, strict=True)
    ]
    if not seen[0].error:
        least = ["both answer alike"] * len(ATTEMPTS)
    return [recipe.name, metric, f"{value:.4g}", str(len(truth)), f"{seen[0].error:.2g}", *least]


def main() -> None:
    """Print the table; recipes with several targets have no boosted model, and are left out."""
    shown = ["recipe", "metric", "value", "rows", "error", *(f"attempt {k}" for k in ATTEMPTS)]
    recipes = [recipe for recipe in map(load_recipe, recipe_names()) if len(recipe.targets) == 1]
    for cells in (shown, ["---"] * len(shown), *map(line, recipes)):
        sys.stdout.write("| " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
