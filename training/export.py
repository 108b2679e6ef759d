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
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer

from contracts.errors import InvalidRecipe, first_line
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from training.pipeline import estimators_within
from training.recipe import Recipe
from training.score_kind import score_kind_of
from training.translation.composition import column_positions
from training.translation.translate import unwrapped

OPSET = {"": 18, "ai.onnx.ml": 3}
"""Fixed, so that a model gives the same graph with every later version of the libraries."""


def onnx_of(pipeline: Pipeline, recipe: Recipe) -> bytes:
    """The pipeline's model as an ONNX file.

    Its input `features` is float32 `(n_rows, n_features)`, its output `scores` float32
    `(n_rows, n_outputs)`. The encoding step is left out: the service encodes while it validates.

    Raises:
        InvalidRecipe: the estimator, or a step in it, has no ONNX form.

    """
    n_features = len(recipe.schema.inputs)
    model = _convertible(pipeline.named_steps["model"])
    if score_kind_of(model, recipe) not in {"probability", "value"}:
        raise InvalidRecipe(
            f"recipe {recipe.name!r}: estimator: expected one with predict_proba, "
            f"got {type(model).__name__}",
            remedy="CalibratedClassifierCV gives probabilities to a classifier without them",
        )
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
            f"got {type(err).__name__}: {first_line(err)}",
            remedy="docs/certificate.md lists the estimators and options that have one",
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
    order = [list(map(str, model.classes_)).index(name) for name in recipe.classes]
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


def _convertible(model: Any) -> Any:
    """A copy that skl2onnx converts: without wrappers, and with options that it knows.

    Each ColumnTransformer names its columns by position, since ONNX sees one matrix.
    """
    copied = unwrapped(copy.deepcopy(model))
    for part in estimators_within(copied):
        if isinstance(part, ColumnTransformer) and hasattr(part, "transformers_"):
            part.transformers_ = [
                (name, step, column_positions(part, columns))
                for name, step, columns in part.transformers_
            ]
        elif isinstance(part, VotingClassifier):
            part.flatten_transform = False
        elif isinstance(part, KBinsDiscretizer) and part.encode == "onehot":
            part.encode = "onehot-dense"
    return copied
