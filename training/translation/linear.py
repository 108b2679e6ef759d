"""Linear models, their links, and discriminant analysis."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.svm import LinearSVC, LinearSVR

from training.translation.graph import GraphTensor, concat
from training.translation.translator import Untranslatable


def dense(matrix: Any) -> NDArray[np.float64]:
    """A matrix of a fitted model as a float64 array; models of sparse data store sparse ones."""
    array = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return np.atleast_2d(np.asarray(array, dtype=np.float64))


def linear(model: Any, x: GraphTensor) -> GraphTensor:
    """The values or margins of a linear model, `(n_rows, n_outputs)`."""
    return x @ dense(model.coef_).T + np.asarray(model.intercept_, dtype=np.float64)


def exponential(model: Any, x: GraphTensor) -> GraphTensor:
    """A linear model with a logarithmic link."""
    return linear(model, x).apply("Exp")


def tweedie(model: Any, x: GraphTensor) -> GraphTensor:
    """`TweedieRegressor`: by default the link is the logarithm where the power needs one."""
    has_log = model.link == "log" or (model.link == "auto" and model.power > 0)
    return exponential(model, x) if has_log else linear(model, x)


def pls(model: Any, x: GraphTensor) -> GraphTensor:
    """`PLSRegression`."""
    return (x - model._x_mean) @ dense(model.coef_).T + model.intercept_  # noqa: SLF001 - see ARCHITECTURE.md, private APIs


def logistic(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of a logistic regression, or of linear discriminant analysis."""
    margins = linear(model, x)
    if len(model.classes_) > 2:  # noqa: PLR2004 - two classes have one margin
        return margins.softmax()
    return margins.apply("Sigmoid").two_classes()


def sgd_probabilities(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `SGDClassifier`, one class against the rest."""
    if model.loss == "modified_huber" and len(model.classes_) == 2:  # noqa: PLR2004 - as above
        return ((linear(model, x).clip(-1.0, 1.0) + 1.0) * 0.5).two_classes()
    if model.loss != "log_loss":
        raise Untranslatable(f"probabilities of SGDClassifier with loss={model.loss!r}")
    single = linear(model, x).apply("Sigmoid")
    return single.two_classes() if len(model.classes_) == 2 else single / single.sum()  # noqa: PLR2004 - as above


def quadratic_margins(model: Any, x: GraphTensor) -> GraphTensor:
    """The log posterior of each class of `QuadraticDiscriminantAnalysis`."""
    columns = []
    for rotation, scaling, mean, prior in zip(
        model.rotations_, model.scalings_, model.means_, model.priors_, strict=True
    ):
        turned = (x - mean) @ (rotation * scaling**-0.5)
        norm = (turned * turned).sum()
        columns.append((norm + np.sum(np.log(scaling))) * -0.5 + np.log(prior))
    return concat(columns)


def quadratic(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `QuadraticDiscriminantAnalysis`."""
    return quadratic_margins(model, x).softmax()


def discriminant_axes(step: Any, x: GraphTensor) -> GraphTensor:
    """`LinearDiscriminantAnalysis.transform`."""
    n_axes = step._max_components  # noqa: SLF001 - see ARCHITECTURE.md, private APIs
    if step.solver == "svd":
        return (x - step.xbar_) @ step.scalings_[:, :n_axes]
    return x @ step.scalings_[:, :n_axes]


_LINEAR_REGRESSORS = (
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LarsCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.LassoLars,
    linear_model.LassoLarsCV,
    linear_model.LassoLarsIC,
    linear_model.LinearRegression,
    linear_model.MultiTaskElasticNet,
    linear_model.MultiTaskElasticNetCV,
    linear_model.MultiTaskLasso,
    linear_model.MultiTaskLassoCV,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.OrthogonalMatchingPursuitCV,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.SGDRegressor,
    linear_model.TheilSenRegressor,
)
REGRESSORS = dict.fromkeys(_LINEAR_REGRESSORS, linear) | {
    LinearSVR: linear,
    PLSRegression: pls,
    linear_model.GammaRegressor: exponential,
    linear_model.PoissonRegressor: exponential,
    linear_model.TweedieRegressor: tweedie,
}
PROBABILITIES = {
    LinearDiscriminantAnalysis: logistic,
    QuadraticDiscriminantAnalysis: quadratic,
    linear_model.LogisticRegression: logistic,
    linear_model.LogisticRegressionCV: logistic,
    linear_model.SGDClassifier: sgd_probabilities,
}
MARGINS = {
    LinearDiscriminantAnalysis: linear,
    LinearSVC: linear,
    linear_model.LogisticRegression: linear,
    linear_model.LogisticRegressionCV: linear,
    linear_model.Perceptron: linear,
    linear_model.RidgeClassifier: linear,
    linear_model.RidgeClassifierCV: linear,
    linear_model.SGDClassifier: linear,
}
TRANSFORMS = {LinearDiscriminantAnalysis: discriminant_axes}
