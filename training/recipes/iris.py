"""Three species of iris by the sizes of their leaves (Fisher 1936)."""

import pandas as pd
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier

from contracts.schema import Schema, number
from training.recipe import Gate, Recipe

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
SPECIES = ("setosa", "versicolor", "virginica")


def load() -> pd.DataFrame:
    """The 150 flowers that scikit-learn bundles."""
    bundled = load_iris()
    flowers = pd.DataFrame(bundled.data, columns=list(NAMES))
    return flowers.assign(species=[SPECIES[index] for index in bundled.target])


recipe = Recipe(
    description="Species of an iris",
    schema=Schema(features=tuple(number(name, 0, 20, unit="cm") for name in NAMES)),
    load=load,
    target="species",
    task="multiclass",
    classes=SPECIES,
    estimator=lambda: HistGradientBoostingClassifier(max_iter=50),
    gates=(Gate("accuracy", minimum=0.85),),
)
