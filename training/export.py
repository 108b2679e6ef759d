"""The only import of skl2onnx: a fitted model as an ONNX graph with one input and one output."""

import copy
import warnings
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from contracts.errors import InvalidRecipe
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from training.recipe import Recipe

OPSET = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that a model gives the same graph with every later version of the libraries."""


def onnx_of(pipeline: Pipeline, recipe: Recipe) -> bytes:
    """The pipeline's model as an ONNX file.

    Its input `features` is float32 `(n_rows, n_features)`, its output `scores` float32
    `(n_rows, n_outputs)`. The encoding step is left out: the service encodes while it validates.

    Raises:
        InvalidRecipe: the estimator, or a step in it, has no ONNX form.

    """
    n_features = len(recipe.schema.features)
    model = _by_position(pipeline.named_steps["model"], [f.name for f in recipe.schema.columns])
    try:
        with warnings.catch_warnings():
            # skl2onnx warns of its own use of deprecated numpy and onnx calls.
            warnings.simplefilter("ignore")
            graph = to_onnx(
                model,
                initial_types=[(MODEL_INPUT, FloatTensorType([None, n_features]))],
                options=_options(model, recipe),
                target_opset=OPSET,
            )
    except Exception as err:  # skl2onnx raises whatever its converters raise
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: estimator: expected one with an ONNX form, "
            f"got {type(err).__name__}: {str(err).splitlines()[0] if str(err) else model}",
            remedy="use estimators that skl2onnx converts, without functions of your own",
        ) from err
    single = _with_one_output(graph, recipe, _class_order(model, recipe))
    onnx.checker.check_model(single)
    return bytes(single.SerializeToString())


def _options(model: Any, recipe: Recipe) -> dict[int, dict[str, Any]] | None:
    return {id(model): {"zipmap": False}} if recipe.is_classifier else None


def _class_order(model: Any, recipe: Recipe) -> list[int]:
    """The position of each class of the recipe in scikit-learn's sorted classes.

    Empty if the orders are equal, and for a regression.
    """
    if not recipe.is_classifier:
        return []
    order = [list(model.classes_).index(name) for name in recipe.classes]
    return [] if order == sorted(order) else order


def _with_one_output(graph: Any, recipe: Recipe, order: list[int]) -> Any:
    """The graph with only the probabilities or values as its output, named `scores`."""
    wanted = graph.graph.output[1 if recipe.is_classifier else 0].name
    pruned = Extractor(graph).extract_model([MODEL_INPUT], [wanted])
    inner = pruned.graph
    n_outputs = len(recipe.classes or recipe.targets)
    if order:
        inner.initializer.append(
            helper.make_tensor("class_order", TensorProto.INT64, [len(order)], order)
        )
        node = helper.make_node("Gather", [wanted, "class_order"], [MODEL_OUTPUT], axis=1)
    else:
        inner.initializer.append(
            helper.make_tensor("scores_shape", TensorProto.INT64, [2], [-1, n_outputs])
        )
        node = helper.make_node("Reshape", [wanted, "scores_shape"], [MODEL_OUTPUT])
    inner.node.append(node)
    del inner.output[:]
    inner.output.append(
        helper.make_tensor_value_info(MODEL_OUTPUT, TensorProto.FLOAT, [None, n_outputs])
    )
    return pruned


def _by_position(model: Any, names: list[str]) -> Any:
    """A copy whose first ColumnTransformer names columns by position: ONNX sees one matrix."""
    copied = copy.deepcopy(model)
    first = copied
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    if isinstance(first, ColumnTransformer):
        first.transformers_ = [
            (name, step, _positions(columns, names)) for name, step, columns in first.transformers_
        ]
    return copied


def _positions(columns: Any, names: list[str]) -> Any:
    if isinstance(columns, str):
        return names.index(columns)
    return [names.index(c) if isinstance(c, str) else c for c in columns]
