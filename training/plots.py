"""Pictures of a model for its run in MLflow, as PNG bytes."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.recipe import Recipe

INK = "#1f2933"
BLUE = "#2f6f9f"
SAND = "#d9cbb0"
MOST_BARS = 20


def plots_of(
    recipe: Recipe,
    truth: NDArray[Any],
    scores: NDArray[np.float64],
    importance: Mapping[str, float],
) -> dict[str, bytes]:
    """PNG files by name: importance, and how right the model is on held-out rows."""
    pictures = {"importance.png": _importance(importance)}
    if not recipe.is_classifier:
        return pictures | _residuals_of(recipe, truth, scores)
    pictures["confusion.png"] = _confusion(recipe, truth, scores)
    return pictures | {"calibration.png": _calibration(recipe, truth, scores)}


def _sheet(title: str, width: float = 6.4, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _importance(importance: Mapping[str, float]) -> bytes:
    top = sorted(importance.items(), key=lambda pair: pair[1])[-MOST_BARS:]
    figure, axes = _sheet("Importance (permutation, held-out rows)", height=1.2 + 0.28 * len(top))
    axes.barh([name for name, _ in top], [share for _, share in top], color=BLUE, height=0.7)
    axes.set_xlabel("share of the model's skill")
    return _png(figure)


def _confusion(recipe: Recipe, truth: NDArray[Any], scores: NDArray[np.float64]) -> bytes:
    n_classes = len(recipe.classes)
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (truth.astype(int), recipe.decision_rule.class_indices(scores)), 1)
    side = 2.6 + 0.7 * n_classes
    figure, axes = _sheet("Confusion (held-out rows)", side, side * 0.9)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.6 else INK  # noqa: PLR2004 - where blue turns dark
        axes.text(column, row, f"{count}", ha="center", va="center", color=ink, fontsize=11)
    axes.set_xticks(range(n_classes), recipe.classes)
    axes.set_yticks(range(n_classes), recipe.classes)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    return _png(figure)


def _calibration(recipe: Recipe, truth: NDArray[Any], scores: NDArray[np.float64]) -> bytes:
    """Said probability against what came true, in ten bins with equal shares of rows."""
    figure, axes = _sheet("Calibration (held-out rows)", 5.2, 4.8)
    axes.plot([0, 1], [0, 1], color=SAND, linewidth=2, zorder=0)
    shown = range(1, 2) if recipe.task == "binary" else range(len(recipe.classes))
    for place in shown:
        order = np.argsort(scores[:, place])
        bins = [rows for rows in np.array_split(order, 10) if len(rows)]
        said = [scores[rows, place].mean() for rows in bins]
        came = [(truth[rows] == place).mean() for rows in bins]
        axes.plot(said, came, marker="o", linewidth=1.5, label=recipe.classes[place])
    axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel("probability that was said")
    axes.set_ylabel("share that came true")
    return _png(figure)


def _residuals_of(
    recipe: Recipe, truth: NDArray[Any], scores: NDArray[np.float64]
) -> dict[str, bytes]:
    if len(recipe.targets) == 1:
        return {"residuals.png": _residuals(truth, scores[:, 0], recipe.unit)}
    return {
        f"residuals_{name}.png": _residuals(truth[:, place], scores[:, place], name)
        for place, name in enumerate(recipe.targets)
    }


def _residuals(truth: NDArray[Any], values: NDArray[np.float64], unit: str) -> bytes:
    figure, axes = _sheet("Residuals (held-out rows)")
    axes.axhline(0, color=SAND, linewidth=2, zorder=0)
    axes.scatter(values, truth - values, s=14, color=BLUE, alpha=0.6, edgecolors="none")
    axes.set_xlabel(f"predicted {unit}".strip())
    axes.set_ylabel("true minus predicted")
    return _png(figure)
