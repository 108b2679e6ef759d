"""Which step of a pipeline its exported form computes differently: the help of a certificate."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from training.frameworks.catalog import translations
from training.frameworks.class_numbers import without_numbers
from training.onnx_session import onnx_scores
from training.translation.composition import column_positions
from training.translation.translate import translated_step, unwrapped
from training.translation.translator import Untranslatable

STEP_TOLERANCE = 1e-6
"""The largest relative difference of a step's output: ten roundings of float32."""


def first_divergence(model: Any, rows: pd.DataFrame) -> str:
    """A sentence that names the first step whose translation answers differently.

    `rows` are the model's input. Each step is compared on what scikit-learn's steps before it
    return, so one step is named even if all later ones differ because of it.
    """
    path = _divergent(unwrapped(without_numbers(model)), rows)
    return f"the first step that differs is {' > '.join(path)}"


def _divergent(step: Any, rows: Any) -> list[str]:
    """The path from a step to the innermost one that differs; its own class at least."""
    if isinstance(step, Pipeline):
        for name, inner in step.steps[:-1]:
            if isinstance(inner, str) or inner is None:
                continue
            after = inner.transform(rows)
            if not _translates(inner, rows, after):
                return [name, *_divergent(unwrapped(inner), rows)]
            rows = after
        name, last = step.steps[-1]
        return [name, *_divergent(unwrapped(last), rows)]
    if isinstance(step, ColumnTransformer | FeatureUnion):
        for name, inner, columns in _members(step):
            part = rows if columns is None else _columns(rows, column_positions(step, columns))
            # scikit-learn fits no transformer of no columns.
            if isinstance(inner, str) or not part.shape[1]:
                continue
            if not _translates(inner, part, inner.transform(part)):
                return [name, *_divergent(unwrapped(inner), part)]
    return [type(step).__name__]


def _members(step: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(step, FeatureUnion):
        return [(name, inner, None) for name, inner in step.transformer_list]
    return list(step.transformers_)


def _columns(rows: Any, positions: list[int]) -> Any:
    return rows.iloc[:, positions] if isinstance(rows, pd.DataFrame) else rows[:, positions]


def _dense(values: Any) -> Any:
    array = values.toarray() if hasattr(values, "toarray") else values
    return np.asarray(array, dtype=np.float64)


def _translates(step: Any, rows: Any, expected: Any) -> bool:
    """Whether the translation of a transformer returns what scikit-learn's returned."""
    matrix, wanted = _dense(rows), _dense(expected)
    try:
        graph = translated_step(step, matrix.shape[1], (MODEL_INPUT, MODEL_OUTPUT), translations())
    except Untranslatable:
        return False
    got = onnx_scores(graph, matrix).astype(np.float64)
    if got.shape != wanted.shape:
        return False
    scale = np.maximum(np.abs(wanted), 1.0)
    is_near = np.abs(got - wanted) <= STEP_TOLERANCE * scale
    return bool((is_near | (got == wanted) | (np.isnan(got) & np.isnan(wanted))).all())
