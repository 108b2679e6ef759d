"""What people read in `mlflow ui` of an experiment, a run, a registered model and a version."""

from collections.abc import Mapping

from contracts.manifest import Metric
from training.recipe import Recipe


def experiment_description(recipe: Recipe) -> str:
    """What the runs of a recipe's experiment are."""
    return (
        f"{_about(recipe)}Runs of `slipway train {recipe.name}` and of its retrainings. "
        "A run that passed its certificate is named by its version; one that failed keeps the "
        "time of its start."
    )


def run_description(recipe: Recipe, metrics: Mapping[str, Metric]) -> str:
    """The metrics of a run with their intervals, as a table in Markdown."""
    rows = [
        f"| {name} | {metric.value:.4g} | {metric.low:.4g} to {metric.high:.4g} |\n"
        for name, metric in metrics.items()
    ]
    head = "| metric on held-out rows | value | 95 % interval |\n|---|---|---|\n"
    return _about(recipe) + head + "".join(rows)


def model_description(recipe: Recipe) -> str:
    """What a registered model is, and how its versions come into production."""
    return (
        f"{_about(recipe)}The alias `production` names the version that is served. The tags "
        f"`slipway.history.*` are read with `slipway history {recipe.name}`."
    )


def version_description(recipe: Recipe, metrics: Mapping[str, Metric]) -> str:
    """How good a version is on held-out rows, in a line."""
    known = ", ".join(
        f"{name} {metric.value:.4g} ({metric.low:.4g} to {metric.high:.4g})"
        for name, metric in metrics.items()
    )
    about = f"{recipe.description} " if recipe.description else ""
    return f"{about}On held-out rows: {known}."


def _about(recipe: Recipe) -> str:
    """The recipe's own words as a first paragraph, if it has any."""
    return f"{recipe.description}\n\n" if recipe.description else ""
