"""Models of kernels, and of distances to the training rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    RadiusNeighborsRegressor,
)
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from training.translation.graph import GraphTensor
from training.translation.linear import dense
from training.translation.pairs import ranked_votes
from training.translation.translator import Untranslatable

_Numbers = NDArray[np.float64]


def squared_distances(x: GraphTensor, points: _Numbers) -> GraphTensor:
    """The squared distance of each row to each point, `(n_rows, n_points)`."""
    products = x @ points.T
    lengths = (points * points).sum(axis=1)
    return ((x * x).sum() - products * 2.0 + lengths).at_least(0.0)


def kernel(
    x: GraphTensor, points: _Numbers, kind: str, gamma: float, degree: float, zero: float
) -> GraphTensor:
    """The kernel between each row and each point; `zero` is the constant `coef0`."""
    if kind == "rbf":
        return (squared_distances(x, points) * -gamma).apply("Exp")
    if kind == "linear":
        return x @ points.T
    if kind in {"poly", "polynomial"}:
        return ((x @ points.T) * gamma + zero) ** degree
    if kind == "sigmoid":
        return ((x @ points.T) * gamma + zero).apply("Tanh")
    raise Untranslatable(f"the kernel {kind!r}")


def _support(model: Any, x: GraphTensor) -> GraphTensor:
    vectors = dense(model.support_vectors_)
    return kernel(x, vectors, model.kernel, model._gamma, model.degree, model.coef0)  # noqa: SLF001 - see ARCHITECTURE.md, private APIs


def support_regressor(model: Any, x: GraphTensor) -> GraphTensor:
    """`SVR` and `NuSVR`."""
    return _support(model, x) @ dense(model.dual_coef_).T + model.intercept_


def support_margins(model: Any, x: GraphTensor) -> GraphTensor:
    """`SVC` and `NuSVC`: one margin for two classes, else votes of all pairs."""
    n_classes = len(model.classes_)
    if n_classes == 2:  # noqa: PLR2004 - two classes have one margin
        return support_regressor(model, x)
    if model.decision_function_shape != "ovr":
        raise Untranslatable(f"{type(model).__name__} with decision_function_shape='ovo'")
    ends = np.cumsum(model.n_support_)
    spans = [slice(end - n, end) for end, n in zip(ends, model.n_support_, strict=True)]
    dual = dense(model.dual_coef_)
    weights = []
    for first in range(n_classes):
        for second in range(first + 1, n_classes):
            row = np.zeros(dual.shape[1])
            row[spans[first]] = dual[second - 1, spans[first]]
            row[spans[second]] = dual[first, spans[second]]
            weights.append(row)
    pairs = _support(model, x) @ np.array(weights).T + model.intercept_
    return ranked_votes((pairs < 0.0).numbers(), -pairs, n_classes)


def kernel_ridge(model: Any, x: GraphTensor) -> GraphTensor:
    """`KernelRidge`."""
    points = dense(model.X_fit_)
    gamma = 1.0 / points.shape[1] if model.gamma is None else model.gamma
    values = kernel(x, points, model.kernel, gamma, model.degree, model.coef0)
    return values @ model.dual_coef_.reshape(len(points), -1)


def _gamma(step: Any, n_features: int) -> float:
    return 1.0 / n_features if step.gamma is None else float(step.gamma)


def nystroem(step: Any, x: GraphTensor) -> GraphTensor:
    """`Nystroem`."""
    points = dense(step.components_)
    degree = 3 if step.degree is None else step.degree
    zero = 1 if step.coef0 is None else step.coef0
    embedded = kernel(x, points, step.kernel, _gamma(step, points.shape[1]), degree, zero)
    return embedded @ step.normalization_.T


def rbf_sampler(step: Any, x: GraphTensor) -> GraphTensor:
    """`RBFSampler`."""
    projected = x @ step.random_weights_ + step.random_offset_
    return projected.apply("Cos") * np.sqrt(2.0 / step.n_components)


def kernel_pca(step: Any, x: GraphTensor) -> GraphTensor:
    """`KernelPCA`."""
    points = dense(step.X_fit_)
    values = kernel(x, points, step.kernel, float(step.gamma_), step.degree, step.coef0)
    center = step._centerer  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    mean = values.sum() / len(points)
    centered = values - center.K_fit_rows_ - mean + center.K_fit_all_
    positive = step.eigenvalues_ > 0
    scaled = np.zeros_like(step.eigenvectors_)
    scaled[:, positive] = step.eigenvectors_[:, positive] / np.sqrt(step.eigenvalues_[positive])
    return centered @ scaled


def _neighbors(model: Any, x: GraphTensor, values: _Numbers) -> GraphTensor:
    """The weighted mean of the values of the nearest training rows."""
    if model.effective_metric_ != "euclidean" or callable(model.weights):
        raise Untranslatable(f"neighbours by {model.effective_metric_} with {model.weights}")
    points = dense(model._fit_X)  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    distances = squared_distances(x, points)
    graph = x.graph
    how: dict[str, Any] = {"axis": 1, "largest": 0, "sorted": 1}
    count = graph.constant(np.array([model.n_neighbors], dtype=np.int64))
    nearest = GraphTensor(graph, graph.node("TopK", distances.name, count, outputs=2, **how))
    indices = f"{nearest.name}_1"
    table = graph.constant(values)
    found = GraphTensor(graph, graph.node("Gather", table, indices, axis=0))
    if model.weights == "uniform":
        return found.sum(keepdims=False) / float(model.n_neighbors)
    lengths = nearest.apply("Sqrt")
    is_same = lengths.equals(0.0)
    has_same = is_same.numbers().maximum() > 0.0
    weights = has_same.where(is_same.numbers(), 1.0 / is_same.where(1.0, lengths))
    spread = weights.apply("Unsqueeze", np.array([2], dtype=np.int64))
    return (found * spread).sum(keepdims=False) / weights.sum()


def neighbors_classifier(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `KNeighborsClassifier`."""
    n_classes = len(model.classes_)
    return _neighbors(model, x, np.eye(n_classes)[model._y])  # noqa: SLF001 - see ARCHITECTURE.md, private APIs


def neighbors_regressor(model: Any, x: GraphTensor) -> GraphTensor:
    """`KNeighborsRegressor`."""
    return _neighbors(model, x, model._y.reshape(len(model._y), -1).astype(np.float64))  # noqa: SLF001 - see ARCHITECTURE.md, private APIs


def radius_regressor(model: Any, x: GraphTensor) -> GraphTensor:
    """`RadiusNeighborsRegressor` with equal weights."""
    if model.effective_metric_ != "euclidean" or model.weights != "uniform":
        raise Untranslatable(f"neighbours by {model.effective_metric_} with {model.weights}")
    points = dense(model._fit_X)  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    inside = (squared_distances(x, points).apply("Sqrt") <= float(model.radius)).numbers()
    values = model._y.reshape(len(points), -1).astype(np.float64)  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    return (inside @ values) / inside.sum()


REGRESSORS = {
    KNeighborsRegressor: neighbors_regressor,
    KernelRidge: kernel_ridge,
    NuSVR: support_regressor,
    RadiusNeighborsRegressor: radius_regressor,
    SVR: support_regressor,
}
PROBABILITIES = {KNeighborsClassifier: neighbors_classifier}
MARGINS = {NuSVC: support_margins, SVC: support_margins}
TRANSFORMS = {KernelPCA: kernel_pca, Nystroem: nystroem, RBFSampler: rbf_sampler}
