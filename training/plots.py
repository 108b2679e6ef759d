"""Plots of a model for its run in MLflow, as PNG files, drawn by scikit-learn."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay

from contracts.decision_rule import POSITIVE, Scores
from contracts.manifest import ScoreKind
from training.importance import Importance
from training.metrics import Target
from training.recipe import Recipe

DPI = 130
MAX_BARS = 20
MAX_POINTS = 5_000
"""Rows shown in a plot of residuals, drawn at random."""
CALIBRATION_BINS = 10


def plots_of(
    recipe: Recipe, target: Target, scores: Scores, kind: ScoreKind, importance: Importance
) -> dict[str, bytes]:
    """PNG files by name: importance, and the errors of the model on held-out rows.

    `target` is as in `training.metrics`, `scores` have the shape `(n_rows, n_outputs)`. Only
    probabilities have a plot of calibration.
    """
    plots = {"importance.png": _importance(importance)}
    if not recipe.is_classifier:
        return plots | _residuals(recipe, target, scores)
    plots["confusion.png"] = _confusion(recipe, target, scores)
    if kind == "probability":
        plots["calibration.png"] = _calibration(recipe, target, scores)
    return plots


def _new_plot(title: str, width: float = 6.4, height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure in inches with its axes, without pyplot, which would keep it in memory."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _importance(importance: Importance) -> bytes:
    names = sorted(importance.share, key=importance.share.__getitem__)[-MAX_BARS:]
    figure, axes = _new_plot(
        "Importance (permutation, held-out rows)", height=1.2 + 0.28 * len(names)
    )
    axes.barh(
        names,
        [importance.share[name] for name in names],
        xerr=[importance.standard_deviation[name] for name in names],
        height=0.7,
    )
    axes.set_xlabel("share of the model's skill, with its standard deviation")
    return _png(figure)


def _confusion(recipe: Recipe, target: Target, scores: Scores) -> bytes:
    side = 2.6 + 0.7 * len(recipe.classes)
    figure, axes = _new_plot("Confusion (held-out rows)", side, side * 0.9)
    names = np.array(recipe.classes, dtype=object)
    predicted = recipe.decision_rule.class_indices(scores)
    ConfusionMatrixDisplay.from_predictions(
        names[target],
        names[predicted],
        labels=recipe.classes,
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    return _png(figure)


def _calibration(recipe: Recipe, target: Target, scores: Scores) -> bytes:
    """Predicted probability against the true share, in bins with equally many rows."""
    figure, axes = _new_plot("Calibration (held-out rows)", 5.2, 4.8)
    shown = [POSITIVE] if recipe.task == "binary" else range(len(recipe.classes))
    for class_index in shown:
        CalibrationDisplay.from_predictions(
            target == class_index,
            np.clip(scores[:, class_index], 0, 1),
            n_bins=CALIBRATION_BINS,
            strategy="quantile",
            name=recipe.classes[class_index],
            ax=axes,
        )
    axes.set(xlabel="predicted probability", ylabel="true share")
    return _png(figure)


def _residuals(recipe: Recipe, target: Target, scores: Scores) -> dict[str, bytes]:
    if len(recipe.targets) == 1:
        return {"residuals.png": _residuals_of_one(target, scores[:, 0], recipe.unit)}
    return {
        f"residuals_{name}.png": _residuals_of_one(target[:, index], scores[:, index], name)
        for index, name in enumerate(recipe.targets)
    }


def _residuals_of_one(target: NDArray[Any], values: NDArray[np.float64], unit: str) -> bytes:
    figure, axes = _new_plot("Residuals (held-out rows)")
    PredictionErrorDisplay.from_predictions(
        target,
        values,
        kind="residual_vs_predicted",
        subsample=min(MAX_POINTS, len(target)),
        random_state=0,
        scatter_kwargs={"s": 14, "alpha": 0.6, "edgecolors": "none"},
        ax=axes,
    )
    axes.set(xlabel=f"predicted {unit}".strip(), ylabel="true minus predicted")
    return _png(figure)
