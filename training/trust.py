"""Which types a stored pipeline may hold: the platform's list, not the model's own.

skops refuses types that it does not know. MLflow lets a model bring its own list of
exceptions, which trusts whoever wrote the model. Our list is fixed here: classes of
scikit-learn and numpy that hold numbers and run no code when they are loaded.
"""

from typing import Any

import skops.io

from contracts.errors import InvalidRecipe

TRUSTED = frozenset(
    {
        "numpy.dtype",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)


def check_types(pipeline: Any, recipe_name: str) -> None:
    """Refuse a pipeline with a type that neither skops nor our list trusts.

    Raises:
        InvalidRecipe: with the names of the types.

    """
    needed = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))
    untrusted = sorted(set(needed) - TRUSTED)
    if untrusted:
        raise InvalidRecipe(
            f"recipe {recipe_name!r}: estimator: expected types of scikit-learn that the platform "
            f"trusts, got {', '.join(untrusted)}",
            remedy="use scikit-learn's own steps; a type that is safe belongs in training/trust.py",
        )
