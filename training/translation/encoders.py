"""Encoders of categories, which are numbers here: codes of the schema, or integers."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, TargetEncoder

from training.translation.graph import GraphTensor
from training.translation.translator import Untranslatable

_Numbers = NDArray[np.float64]


def encoded(step: Any, x: GraphTensor) -> GraphTensor:
    """An encoder that treats each column by itself, from what it answers to each category.

    The encoder's answer is a sum over columns. It is asked for a row of first categories, and
    for the same row with one category changed, which covers dropped and infrequent categories.
    """
    categories = [np.asarray(each, dtype=np.float64) for each in step.categories_]
    answers, unknown = _answers(step, categories)
    columns = np.repeat(np.arange(len(categories)), [len(each) for each in categories])
    values = np.concatenate(categories)
    spread = x.take(columns)
    hits = spread.equals(values)
    if np.isnan(values).any():
        nan_here = spread.apply("IsNaN").numbers() * np.isnan(values).astype(np.float64)
        hits = (hits.numbers() + nan_here) > 0.0
    shares = hits.numbers()
    base = answers[0]
    result = shares @ (answers[1:] - base) + base
    if unknown is None:
        return result
    per_column = np.eye(len(categories))[columns]
    return result + (1.0 - shares @ per_column) @ (unknown - base)


def _answers(step: Any, categories: list[_Numbers]) -> tuple[_Numbers, _Numbers | None]:
    """The encoder's rows for the base and each change; and for an unknown value per column."""
    base = np.array([each[0] for each in categories])
    changes = [base]
    for column, values in enumerate(categories):
        changes += [np.where(np.arange(len(base)) == column, value, base) for value in values]
    answers = _asked(step, np.array(changes))
    if not np.isfinite(answers).all():
        raise Untranslatable("an encoder that answers NaN")
    strange = np.array([np.nanmax(each, initial=0.0) + 1.0 for each in categories])
    unknown = np.where(np.eye(len(base), dtype=bool), strange, base)
    try:
        asked = _asked(step, unknown)
    except ValueError:
        # The encoder refuses unknown categories, and then so did the certificate's probes.
        return answers, None
    return answers, asked if np.isfinite(asked).all() else None


def _asked(step: Any, rows: _Numbers) -> _Numbers:
    names = getattr(step, "feature_names_in_", None)
    table = rows if names is None else pd.DataFrame(rows, columns=names)
    with warnings.catch_warnings():
        # Encoders warn of unknown categories, which are the point here.
        warnings.simplefilter("ignore")
        answer = step.transform(table)
    dense = answer.toarray() if hasattr(answer, "toarray") else answer
    return np.asarray(dense, dtype=np.float64)


def bins(step: Any, x: GraphTensor) -> GraphTensor:
    """`KBinsDiscretizer`: the number of inner edges that a number has reached."""
    edges = [np.asarray(each[1:-1], dtype=np.float64) for each in step.bin_edges_]
    columns = np.repeat(np.arange(len(edges)), [len(each) for each in edges])
    per_column = np.eye(len(edges))[columns]
    ordinal = (x.take(columns) >= np.concatenate(edges)).numbers() @ per_column
    if step.encode == "ordinal":
        return ordinal
    places = np.concatenate([np.arange(n, dtype=np.float64) for n in step.n_bins_])
    return ordinal.take(np.repeat(np.arange(len(edges)), step.n_bins_)).equals(places).numbers()


TRANSFORMS = {
    KBinsDiscretizer: bins,
    OneHotEncoder: encoded,
    OrdinalEncoder: encoded,
    TargetEncoder: encoded,
}
