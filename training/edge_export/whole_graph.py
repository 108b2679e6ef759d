"""The served graph with everything around it: feature values in, decision, scores and flags out.

The served graph takes the matrix of `Schema.matrix`. Here categories are encoded, policies applied
and the threshold compared within the graph, so that any ONNX Runtime answers like the service.
Rows that break the schema have the prediction "" and scores of NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from contracts.decision_rule import DecisionRule
from contracts.edge_model import REFUSED_FLAG
from contracts.errors import InvalidRecipe
from contracts.manifest import Manifest
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from contracts.schema import FLOAT32_MAX, MISSING_CODE, UNSEEN_CODE, Feature
from training.translation.graph import ML_DOMAIN

OUTPUTS = ("prediction", "scores", "flags")
MIN_OPSET = 18
INNER = "model/"
"""Before the names of the served graph."""
ROWS = "n_rows"
MAX_IR_VERSION = 10
"""What runtimes of 2024 read."""
_CLIPPED, _OUT_OF_RANGE, _UNSEEN = 1, 2, 3


def input_names(manifest: Manifest) -> dict[str, str]:
    """The name of the graph's input of each feature; a feature's own name where it is free."""
    names: dict[str, str] = {}
    for index, feature in enumerate(manifest.schema.features):
        name = feature.name
        is_taken = name in OUTPUTS or name.startswith((INNER, "around/"))
        names[name] = f"around/input_{index}" if is_taken else name
    return names


def missing_text(manifest: Manifest) -> str:
    """The text that stands for a missing category: empty, unless that is a category.

    Raises:
        InvalidRecipe: no such text is left.

    """
    categories = {text for f in manifest.schema.features for text in f.categories}
    for text in ("", "\x01"):
        if text not in categories:
            return text
    raise InvalidRecipe(
        "schema: expected a text that is no category, got both '' and '\\x01' as categories",
        remedy="rename one of these categories in the recipe, and train again",
    )


def whole_graph(model: bytes, manifest: Manifest, stand_in: NDArray[np.float64]) -> bytes:
    """An ONNX file with an input per feature, shape `(n_rows, 1)`: float64, or text for a category.

    Its outputs are `prediction` `(n_rows,)`, `scores` float32 `(n_rows, n_outputs)` and `flags`
    int32 `(n_rows, n_features)` in the order of the schema. `stand_in` is a valid row of the
    matrix, which the model gets in place of values that are refused.

    Raises:
        InvalidRecipe: the categories leave no text for a missing one.

    """
    served = onnx.load_from_string(model)
    inner = compose.add_prefix(served, INNER, inplace=False)
    around = _Around(manifest, stand_in, inner.graph.input[0].type.tensor_type.elem_type)
    encoded, flags = around.encoded()
    around.node("Identity", encoded, output=f"{INNER}{MODEL_INPUT}")
    n_before = len(around.nodes)
    around.decide(f"{INNER}{MODEL_OUTPUT}", flags)
    graph = helper.make_graph(
        [*around.nodes[:n_before], *inner.graph.node, *around.nodes[n_before:]],
        "slipway_edge",
        around.inputs,
        around.outputs,
        [*inner.graph.initializer, *around.constants],
    )
    whole = helper.make_model(
        graph,
        opset_imports=_operator_sets(inner),
        ir_version=min(inner.ir_version, MAX_IR_VERSION),
        producer_name="slipway",
    )
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


def _operator_sets(served: Any) -> list[Any]:
    """The operator sets of the whole graph: those of the served one, as far as they suffice.

    skl2onnx writes the lowest version that its own nodes need. Version 3 of `ai.onnx.ml` only adds
    to version 1, and `ai.onnx` is always the one that training names.
    """
    found = {each.domain: each.version for each in served.opset_import}
    sets = found | {
        "": max(found.get("", 0), MIN_OPSET),
        ML_DOMAIN: max(found.get(ML_DOMAIN, 0), 3),
    }
    return [helper.make_opsetid(domain, version) for domain, version in sets.items()]


class _Around:
    """Collects what stands around the served graph; its names begin with `around/`."""

    def __init__(self, manifest: Manifest, stand_in: NDArray[np.float64], dtype: int) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._manifest = manifest
        self._stand_in = stand_in
        self._dtype = dtype
        self._missing_text = missing_text(manifest)
        self._names = input_names(manifest)
        for feature in manifest.schema.features:
            kind = TensorProto.STRING if feature.is_category else TensorProto.DOUBLE
            name = self._names[feature.name]
            self.inputs.append(helper.make_tensor_value_info(name, kind, [ROWS, 1]))

    def node(
        self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Add a node; returns the name of its output."""
        name = output or f"around/n{len(self.nodes)}"
        made = helper.make_node(kind, [*inputs], [name], domain=domain, **attributes)
        self.nodes.append(made)
        return name

    def constant(self, value: Any, dtype: Any) -> str:
        """The name of a constant of this type."""
        name = f"around/c{len(self.constants)}"
        array = np.asarray(value, dtype=dtype)
        if array.dtype == object:
            texts = [str(text).encode() for text in array]
            self.constants.append(helper.make_tensor(name, TensorProto.STRING, [len(texts)], texts))
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def encoded(self) -> tuple[str, str]:
        """The names of the matrix `(n_rows, n_features)` and of the flags in schema order."""
        columns = self._manifest.schema.columns
        numbers = [f for f in columns if not f.is_category]
        categories = [f for f in columns if f.is_category]
        parts = []
        if numbers:
            parts.append(self._numbers(numbers))
        if categories:
            parts.append(self._categories(categories, len(numbers)))
        matrix = self._joined([matrix for matrix, _ in parts])
        flags = self._joined([flags for _, flags in parts])
        order = [columns.index(feature) for feature in self._manifest.schema.features]
        in_order = self.node("Gather", flags, self.constant(order, np.int64), axis=1)
        return self.node("Cast", matrix, to=self._dtype), in_order

    def _joined(self, names: Sequence[str]) -> str:
        return names[0] if len(names) == 1 else self.node("Concat", *names, axis=1)

    def _numbers(self, features: Sequence[Feature]) -> tuple[str, str]:
        """Numbers with their policies applied, float64 `(n_rows, n)`, and their flags."""
        x = self._joined([self._names[f.name] for f in features])
        missing = self.node("IsNaN", x)
        low = self.constant([f.low for f in features], np.float64)
        high = self.constant([f.high for f in features], np.float64)
        outside = self._not(
            self.node(
                "And",
                self.node("GreaterOrEqual", x, low),
                self.node("LessOrEqual", x, high),
            )
        )
        bound = self.constant(FLOAT32_MAX, np.float64)
        too_large = self._not(self.node("LessOrEqual", self.node("Abs", x), bound))
        rejects = self._mask([f.policy == "reject" for f in features])
        wrong = self._any(too_large, self.node("And", outside, rejects), self._odd(x, features))
        required = self._mask([not f.nullable for f in features])
        # NaN compares with nothing, so what is missing looks wrong in every way.
        refused = self._any(
            self.node("And", missing, required), self.node("And", self._not(missing), wrong)
        )
        clips = [f.policy == "clip" for f in features]
        lowest = [f.low if clip else -FLOAT32_MAX for f, clip in zip(features, clips, strict=True)]
        highest = [f.high if clip else FLOAT32_MAX for f, clip in zip(features, clips, strict=True)]
        clipped = self.node("Max", x, self.constant(lowest, np.float64))
        clipped = self.node("Min", clipped, self.constant(highest, np.float64))
        applied = self.node("Where", missing, x, clipped)
        codes = [_CLIPPED if clip else _OUT_OF_RANGE for clip in clips]
        flagged = self.node("And", outside, self._not(missing))
        return (
            self._standing_in(refused, applied, 0, len(features)),
            self._flags(refused, flagged, codes),
        )

    def _odd(self, x: str, features: Sequence[Feature]) -> str:
        """Where an integer has a fraction, or a boolean is neither 0 nor 1."""
        fraction = self._not(self.node("Equal", x, self.node("Floor", x)))
        integers = self._mask([f.type == "int" for f in features])
        one = self.constant(1.0, np.float64)
        product = self.node("Mul", x, self.node("Sub", x, one))
        other = self._not(self.node("Equal", product, self.constant(0.0, np.float64)))
        booleans = self._mask([f.type == "bool" for f in features])
        return self._any(self.node("And", fraction, integers), self.node("And", other, booleans))

    def _categories(self, features: Sequence[Feature], start: int) -> tuple[str, str]:
        """Categories as codes, float64 `(n_rows, n)`, and their flags."""
        codes = [
            self.node(
                "LabelEncoder",
                self._names[feature.name],
                domain=ML_DOMAIN,
                keys_strings=[*feature.categories, self._missing_text],
                values_floats=[*map(float, range(len(feature.categories))), MISSING_CODE],
                default_float=UNSEEN_CODE,
            )
            for feature in features
        ]
        x = self.node("Cast", self._joined(codes), to=TensorProto.DOUBLE)
        missing = self.node("Equal", x, self.constant(MISSING_CODE, np.float64))
        unseen = self.node("Equal", x, self.constant(UNSEEN_CODE, np.float64))
        required = self._mask([not f.nullable for f in features])
        rejects = self._mask([f.policy == "reject" for f in features])
        refused = self._any(self.node("And", missing, required), self.node("And", unseen, rejects))
        return (
            self._standing_in(refused, x, start, len(features)),
            self._flags(refused, unseen, [_UNSEEN] * len(features)),
        )

    def _standing_in(self, refused: str, x: str, start: int, count: int) -> str:
        """The values, with those of the stand-in where they are refused."""
        values = self._stand_in[start : start + count]
        return self.node("Where", refused, self.constant(values, np.float64), x)

    def _flags(self, refused: str, flagged: str, codes: Sequence[int]) -> str:
        """Flags, int32, of numbers or categories."""
        none = self.constant(0, np.int32)
        some = self.node("Where", flagged, self.constant(codes, np.int32), none)
        return self.node("Where", refused, self.constant(REFUSED_FLAG, np.int32), some)

    def decide(self, scores: str, flags: str) -> None:
        """Add the outputs."""
        is_valid = self.node(
            "Less",
            self.node("ReduceMax", flags, self.constant([1], np.int64), keepdims=1),
            self.constant(REFUSED_FLAG, np.int32),
        )
        bound = self.constant(FLOAT32_MAX, np.float32)
        finite = self.node("LessOrEqual", self.node("Abs", scores), bound)
        finite = self.node("Cast", finite, to=TensorProto.INT32)
        all_finite = self.node("ReduceMin", finite, self.constant([1], np.int64), keepdims=1)
        is_valid = self.node("And", is_valid, self.node("Cast", all_finite, to=TensorProto.BOOL))
        nan = self.constant(np.nan, np.float32)
        answered = self.node("Where", is_valid, scores, nan, output=OUTPUTS[1])
        self.node("Identity", flags, output=OUTPUTS[2])
        if not self._manifest.classes:
            self._column(answered, 0, output=OUTPUTS[0])
            kind = TensorProto.FLOAT
        else:
            classes = self.constant([*self._manifest.classes, ""], object)
            refused = self.constant(len(self._manifest.classes), np.int64)
            flat = self.node("Squeeze", is_valid, self.constant([1], np.int64))
            index = self.node("Where", flat, self._class_index(scores), refused)
            self.node("Gather", classes, index, output=OUTPUTS[0])
            kind = TensorProto.STRING
        n_outputs = len(self._manifest.classes or self._manifest.outputs)
        n_features = len(self._manifest.schema.features)
        describe = helper.make_tensor_value_info
        self.outputs = [
            describe(OUTPUTS[0], kind, [ROWS]),
            describe(OUTPUTS[1], TensorProto.FLOAT, [ROWS, n_outputs]),
            describe(OUTPUTS[2], TensorProto.INT32, [ROWS, n_features]),
        ]

    def _class_index(self, scores: str) -> str:
        """The index of the class that the decision rule decides for, int64 `(n_rows,)`."""
        if self._manifest.task == "multiclass":
            return self.node("ArgMax", scores, axis=1, keepdims=0)
        positive = self.node("Cast", self._column(scores, 1), to=TensorProto.DOUBLE)
        threshold = self.constant(DecisionRule.of(self._manifest).threshold, np.float64)
        decided = self.node("GreaterOrEqual", positive, threshold)
        return self.node("Cast", decided, to=TensorProto.INT64)

    def _column(self, scores: str, column: int, output: str = "") -> str:
        """One column of the scores, `(n_rows,)`."""
        index = self.constant(column, np.int64)
        return self.node("Gather", scores, index, axis=1, output=output)

    def _mask(self, values: Sequence[bool]) -> str:
        return self.constant(values, np.bool_)

    def _not(self, name: str) -> str:
        return self.node("Not", name)

    def _any(self, *names: str) -> str:
        result = names[0]
        for name in names[1:]:
            result = self.node("Or", result, name)
        return result
