"""Categories as gradient boosting libraries split them: XGBoost, LightGBM and CatBoost.

A recipe puts the step in front: `make_pipeline(NativeCategories(["region"]), LGBMClassifier())`.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

MISSING, UNSEEN = -1, -2
"""What `dtype="int"` gives for a missing value, and for one that the fit has not seen."""


class NativeCategories(TransformerMixin, BaseEstimator):
    """Replaces the values of some columns by their positions among the values that the fit saw.

    Parameters:
        columns: Names of the columns; all of them for None. Other columns stay as they are.
        dtype: `category` gives pandas' type of that name, in which a value that is missing or
            was not seen is missing: for XGBoost (`enable_categorical=True`) and LightGBM. `int`
            gives integers with -1 for missing and -2 for unseen: for CatBoost (`cat_features`).

    Codes of the schema below zero are missing or unseen (`contracts.schema`).
    """

    def __init__(
        self, columns: Sequence[str] | None = None, dtype: Literal["category", "int"] = "category"
    ) -> None:
        self.columns = columns
        self.dtype = dtype

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Learn the values of each column, in order."""
        del y
        table = _table(X)
        names = list(table.columns) if self.columns is None else list(self.columns)
        self.feature_names_in_ = np.array(table.columns, dtype=object)
        self.n_features_in_ = len(table.columns)
        self.categories_ = {
            name: sorted(_known(table[name]).dropna().unique().tolist()) for name in names
        }
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        """The table with positions in the columns, `(n_rows, n_columns)`."""
        table = _table(X)
        return table.assign(
            **{name: self._positions(table[name], of) for name, of in self.categories_.items()}
        )

    def get_feature_names_out(self, input_features: object = None) -> Any:
        """The names of the columns, which stay."""
        del input_features
        return self.feature_names_in_

    def _positions(self, column: pd.Series, values: list[Any]) -> pd.Series:
        codes = pd.Index(values).get_indexer(pd.Index(column))
        if self.dtype == "int":
            absent = np.where(_is_missing(column), MISSING, UNSEEN)
            return pd.Series(np.where(codes < 0, absent, codes), column.index, dtype="int64")
        kind = pd.CategoricalDtype(range(len(values)))
        return pd.Series(pd.Categorical.from_codes(codes, dtype=kind), column.index)


def _table(rows: Any) -> pd.DataFrame:
    if isinstance(rows, pd.DataFrame):
        return rows
    raise TypeError(
        f"NativeCategories: expected a DataFrame, got {type(rows).__name__}; put it first in "
        'the pipeline, or call set_output(transform="pandas") on the step before it'
    )


def _known(column: pd.Series) -> pd.Series:
    """The column with NaN for codes below zero."""
    return column.where(column >= 0) if pd.api.types.is_numeric_dtype(column) else column


def _is_missing(column: pd.Series) -> Any:
    missing = column.isna()
    if pd.api.types.is_numeric_dtype(column):
        missing |= column == MISSING
    return missing.to_numpy(dtype=bool)
