"""The Open Inference Protocol, version 2, over REST: metadata and `infer`.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md). Rows come as one
tensor a feature, named like it, of shape `[n]` or `[n, 1]`; or as one tensor of shape
`[n, n_features]` in the order of the metadata's inputs, with each category as its place in the
schema's list. Tensors are JSON; the binary extension is not offered.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import msgspec

from contracts.manifest import Manifest, Pointer
from contracts.schema import MISSING_CODE, Feature, Violation
from services.inference.batch_result import BatchResult
from services.inference.decode import Decoder, Rows, parse, refused
from services.inference.pending import Render
from services.inference.render import encode
from services.protocols.table import Table, checked

NAME = "slipway"
PLATFORM = "onnxruntime_onnx"
FLOATS = frozenset({"FP16", "FP32", "FP64"})
WHOLE = frozenset({f"{u}INT{bits}" for u in ("", "U") for bits in (8, 16, 32, 64)})
TYPES: Mapping[str, frozenset[str]] = {
    "float": FLOATS | WHOLE,
    "int": FLOATS | WHOLE,
    "bool": frozenset({"BOOL"}),
    "category": frozenset({"BYTES"}),
}
"""By type of a feature, the tensors it may come in."""
BEST = {"float": "FP64", "int": "INT64", "bool": "BOOL", "category": "BYTES"}
REQUEST = frozenset({"id", "parameters", "inputs", "outputs"})


class OpenInference:
    """The protocol for one model."""

    def __init__(self, pointer: Pointer, manifest: Manifest, decoder: Decoder) -> None:
        self._pointer = pointer
        self._manifest = manifest
        self._decoder = decoder
        self._columns = manifest.schema.columns
        self._by_name = {feature.name: feature for feature in self._columns}
        self._names = tuple(output["name"] for output in self._outputs())

    def metadata(self) -> dict[str, Any]:
        """What `GET /v2/models/{name}` tells."""
        return {
            "name": self._pointer.name,
            "versions": [str(self._pointer.version)],
            "platform": PLATFORM,
            "inputs": [_described(feature) for feature in self._columns],
            "outputs": self._outputs(),
        }

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a request, and what makes its answer.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` beyond `limit` rows.

        """
        request = parse(body, nan_is_null=True)
        if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
            raise refused([Violation("inputs", "a list of tensors", type(request).__name__)])
        strange = [
            Violation(key, "no such field", "a value") for key in request if key not in REQUEST
        ]
        if strange:
            raise refused(strange)
        request_id = _text(request.get("id", ""), "id")
        wanted = self._wanted(request.get("outputs"))
        rows = checked(self._table(request["inputs"]), self._decoder, limit)
        return rows, lambda result, place: self._body(result, place, request_id, wanted)

    def _table(self, tensors: Sequence[object]) -> Table:
        read = [_Tensor(tensor, f"inputs[{index}]") for index, tensor in enumerate(tensors)]
        if len(read) == 1 and read[0].name not in self._by_name:
            return self._one_tensor(read[0])
        return self._named(read)

    def _named(self, tensors: "Sequence[_Tensor]") -> Table:
        """A tensor for each feature."""
        places = {tensor.name: tensor.place for tensor in tensors}
        if len(places) < len(tensors):
            raise refused([Violation("inputs", "each name once", "one twice")])
        n_rows = tensors[0].shape[0] if tensors else 0
        wrong = [v for tensor in tensors for v in self._wrong(tensor, n_rows)]
        if wrong:
            raise refused(wrong)
        rows = [
            dict(zip(places, row, strict=True))
            for row in zip(*(tensor.data for tensor in tensors), strict=True)
        ]
        return Table(
            rows, lambda index, name: f"{places.get(name, f'inputs.{name}')}.data[{index}]"
        )

    def _wrong(self, tensor: "_Tensor", n_rows: int) -> list[Violation]:
        feature = self._by_name.get(tensor.name)
        if feature is None:
            return [
                Violation(f"{tensor.place}.name", "the name of a feature", repr(tensor.name)[:80])
            ]
        found = []
        if tensor.datatype not in TYPES[feature.type]:
            expected = " or ".join(sorted(TYPES[feature.type]))
            found.append(Violation(f"{tensor.place}.datatype", expected, tensor.datatype))
        if tensor.shape not in ([n_rows], [n_rows, 1]):
            shapes = f"[{n_rows}] or [{n_rows}, 1]"
            found.append(Violation(f"{tensor.place}.shape", shapes, str(tensor.shape)))
        return found

    def _one_tensor(self, tensor: "_Tensor") -> Table:
        """One matrix, categories and truths as numbers."""
        n_features = len(self._columns)
        if len(tensor.shape) != 2 or tensor.shape[1] != n_features:  # noqa: PLR2004 - a matrix
            raise refused(
                [
                    Violation(
                        f"{tensor.place}.shape",
                        f"[n, {n_features}], or one tensor for each feature by its name",
                        str(tensor.shape),
                    )
                ]
            )
        if tensor.datatype not in FLOATS | WHOLE:
            raise refused([Violation(f"{tensor.place}.datatype", "numbers", tensor.datatype)])
        rows = [
            {
                feature.name: _meant(feature, value)
                for feature, value in zip(
                    self._columns, tensor.data[start : start + n_features], strict=True
                )
            }
            for start in range(0, len(tensor.data), n_features)
        ]
        order = {feature.name: index for index, feature in enumerate(self._columns)}

        def place(index: int, name: str) -> str:
            return f"{tensor.place}.data[{index * n_features + order.get(name, 0)}]"

        return Table(rows, place)

    def _wanted(self, outputs: object) -> Sequence[str]:
        if not outputs:
            return self._names
        if not isinstance(outputs, list):
            raise refused([Violation("outputs", "a list", type(outputs).__name__)])
        names = [each.get("name") if isinstance(each, dict) else None for each in outputs]
        wrong = [
            Violation(f"outputs[{index}].name", " or ".join(self._names), repr(name)[:80])
            for index, name in enumerate(names)
            if name not in self._names
        ]
        if wrong:
            raise refused(wrong)
        return [str(name) for name in names]

    def _outputs(self) -> list[dict[str, Any]]:
        """What is answered: ids, predictions, and the scores behind them."""
        manifest = self._manifest
        names = manifest.classes or manifest.outputs
        return [
            {
                "name": "prediction",
                "datatype": "BYTES" if manifest.classes else "FP64",
                "shape": [-1],
            },
            {
                "name": "probabilities" if manifest.classes else "values",
                "datatype": "FP64",
                "shape": [-1, len(names)],
                "parameters": {"names": list(names)},
            },
            {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
        ]

    def _body(
        self, result: BatchResult, place: slice, request_id: str, wanted: Sequence[str]
    ) -> bytes:
        ids = [b'"%b%b"' % (result.id_head, each) for each in result.ids[place]]
        scores = zip(*(column[place] for column in result.scores), strict=True)
        data = {
            "prediction": result.predictions[place],
            self._names[1]: [text for row in scores for text in row],
            "prediction_id": ids,
        }
        outputs = [
            output
            | {"shape": [len(ids), *output["shape"][1:]], "data": _array(data[output["name"]])}
            for output in self._outputs()
            if output["name"] in wanted
        ]
        head = {"model_name": self._pointer.name, "model_version": str(self._pointer.version)}
        return encode(head | ({"id": request_id} if request_id else {}) | {"outputs": outputs})


def _array(texts: Sequence[bytes]) -> msgspec.Raw:
    """JSON texts as a JSON array."""
    return msgspec.Raw(b"[%b]" % b",".join(texts))


class _Tensor:
    """A tensor of a request, its data flat.

    Raises:
        Fault: `invalid_request`.

    """

    def __init__(self, given: object, place: str) -> None:
        if not isinstance(given, dict):
            raise refused([Violation(place, "a tensor", type(given).__name__)])
        self.place = place
        self.name = _text(given.get("name"), f"{place}.name")
        self.datatype = _text(given.get("datatype"), f"{place}.datatype")
        self.shape = _shape(given.get("shape"), f"{place}.shape")
        if "data" not in given:
            raise refused(
                [
                    Violation(
                        f"{place}.data", "the values as JSON", "none (binary tensors are not read)"
                    )
                ]
            )
        self.data = _flat(given["data"])
        if len(self.data) != prod(self.shape):
            wanted = f"{prod(self.shape)} values, as the shape says"
            raise refused([Violation(f"{place}.data", wanted, str(len(self.data)))])


def _described(feature: Feature) -> dict[str, Any]:
    about = {
        "description": feature.description,
        "unit": feature.unit,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "categories": list(feature.categories),
        "nullable": feature.nullable,
    }
    return {
        "name": feature.name,
        "datatype": BEST[feature.type],
        "shape": [-1, 1],
        "parameters": {key: value for key, value in about.items() if value not in ("", None, [])},
    }


def _meant(feature: Feature, value: object) -> object:
    """A number of a matrix in the words of the schema, which refuses what has no meaning."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        return value
    if feature.type == "bool" and value in (0, 1):
        return bool(value)
    if feature.is_category:
        return _category(feature, int(value))
    return int(value) if feature.type == "int" else value


def _category(feature: Feature, code: int) -> str | int | None:
    if code == MISSING_CODE:
        return None
    return feature.categories[code] if 0 <= code < len(feature.categories) else code


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise refused([Violation(place, "a text", type(value).__name__)])
    return value


def _shape(value: object, place: str) -> list[int]:
    if isinstance(value, list) and value and all(type(n) is int and n >= 0 for n in value):
        return value
    raise refused([Violation(place, "a list of whole numbers", repr(value)[:80])])


def _flat(data: object) -> list[Any]:
    """The values of a tensor, which may come nested like its shape or flat."""
    flat: list[Any] = []
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        else:
            flat.append(value)
    return flat
