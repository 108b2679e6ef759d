"""`NativeCategories` as a graph: a boolean that is missing is missing there, too."""

import msgspec
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from contracts.schema import Schema
from tests import tiny
from training.features.native_categories import NativeCategories
from training.fitting import fit

SCHEMA = Schema(
    features=tuple(
        msgspec.structs.replace(f, nullable=True) if f.name == "owner" else f
        for f in tiny.SCHEMA.features
        if f.name in {"owner", "region"}
    )
)


def people() -> pd.DataFrame:
    """People of whom every fifth does not say whether they own their home."""
    table = tiny.people()
    return table.assign(owner=table["owner"].astype(float).where(np.arange(len(table)) % 5 > 0))


def test_a_missing_boolean_is_served_as_onnx() -> None:
    """It is NaN in the matrix, where a missing category is -1; both are -1 for the model."""
    recipe = tiny.binary(
        estimator=lambda: make_pipeline(
            NativeCategories(dtype="int"), RandomForestClassifier(10, max_depth=4)
        ),
        schema=SCHEMA,
        load=people,
        gates=tiny.binary().gates,
    )

    found = fit(recipe)

    assert found.form.runtime == "onnx"
    assert found.certificate.rows["missing"] > 0
