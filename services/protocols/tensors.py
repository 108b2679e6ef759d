"""Tensors of the Open Inference Protocol: how they are written, read, and described."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.errors import preview
from contracts.manifest import Manifest
from contracts.schema import MISSING_CODE, Feature, Violation, normalized
from contracts.timestamps import timestamp_text
from services.faults import MAX_SHOWN_CHARS
from services.inference.decode_columns import FeatureColumn
from services.inference.json_body import invalid_request
from services.protocols.binary_tensors import (
    BINARY_SIZE,
    DTYPES,
    BinaryData,
    check_binary_size,
    column_of,
    json_values,
)

NUMBERS = frozenset(DTYPES) - {"BOOL"}
DATATYPES: Mapping[str, frozenset[str]] = {
    "float": NUMBERS,
    "int": NUMBERS,
    "bool": frozenset({"BOOL"}),
    "category": frozenset({"BYTES"}),
    "timestamp": frozenset({"BYTES"}),
}
"""Per type of a feature, the datatypes that are accepted."""
PREFERRED = {
    "float": "FP64",
    "int": "INT64",
    "bool": "BOOL",
    "category": "BYTES",
    "timestamp": "BYTES",
}
"""Per type of a feature, the datatype in the metadata."""
NUMERIC = {"content_type": "np"}
"""Names MLServer's NumPy codec, which reads flat data by its shape; its pandas codec does not."""
MAX_RANK = 8
MAX_DIMENSION = 2**31 - 1

Shape = list[int]
"""Sizes of the dimensions; -1 in metadata stands for any size."""


RequestShape = Annotated[
    list[Annotated[int, Meta(ge=0, le=MAX_DIMENSION)]], Meta(min_length=1, max_length=MAX_RANK)
]


class RequestTensor(msgspec.Struct, frozen=True):
    """A tensor of a request as JSON."""

    name: str
    shape: RequestShape
    datatype: Annotated[str, Meta(extra_json_schema={"enum": [*DTYPES, "BYTES"]})]
    data: list[Any]
    parameters: dict[str, Any] | UnsetType = UNSET


class RequestedOutput(msgspec.Struct, frozen=True):
    """The name of an output tensor that the client wants."""

    name: str
    parameters: dict[str, Any] | UnsetType = UNSET


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor that a model takes or gives."""

    name: str
    datatype: str
    shape: Shape
    parameters: dict[str, Any] | UnsetType = UNSET


class ResponseTensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of a response; `data` is flat JSON, or absent if the tensor is binary."""

    name: str
    datatype: str
    shape: Shape
    parameters: dict[str, Any] | UnsetType = UNSET
    data: (
        Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "array", "items": {}})] | UnsetType
    ) = UNSET


class Tensor:
    """A tensor of a request: name, datatype, shape, and its values, flat.

    The values are given as `listed`, which is their JSON, as `packed` bytes, or as a `column`.

    Raises:
        Fault: `invalid_request`, for a shape that the values do not fill.

    """

    def __init__(
        self,
        name: str,
        datatype: str,
        shape: Shape,
        location: str,
        *,
        listed: list[Any] | None = None,
        packed: memoryview | None = None,
        column: FeatureColumn | None = None,
    ) -> None:
        self.name = normalized(name)
        self.datatype = datatype
        self.shape = shape
        self.location = location
        self._listed = listed
        self._packed = packed
        self._column = column
        if packed is not None:
            check_binary_size(datatype, shape, packed, location)
            return
        given = listed if column is None else column
        n_values, n_given = prod(shape), 0 if given is None else len(given)
        if n_given != n_values:
            expected = f"{n_values} values, as the shape says"
            raise invalid_request([Violation(f"{location}.data", expected, str(n_given))])

    @classmethod
    def from_json(cls, given: object, location: str, binary: BinaryData | None = None) -> "Tensor":
        """A tensor of a JSON document; `binary` is what follows the document, or None.

        Raises:
            Fault: `invalid_request`.

        """
        if not isinstance(given, dict):
            raise invalid_request([Violation(location, "a tensor", type(given).__name__)])
        name = text_at(given.get("name"), f"{location}.name")
        datatype = text_at(given.get("datatype"), f"{location}.datatype")
        shape = checked_shape(given.get("shape"), f"{location}.shape")
        parameters = object_at(given.get("parameters", {}), f"{location}.parameters")
        if "data" in given:
            return cls(name, datatype, shape, location, listed=_flat(given["data"]))
        if binary is not None and BINARY_SIZE in parameters:
            packed = binary.take(parameters[BINARY_SIZE], location)
            return cls(name, datatype, shape, location, packed=packed)
        expected = "the values as JSON, or binary behind inference-header-content-length bytes"
        raise invalid_request([Violation(f"{location}.data", expected, "none")])

    @property
    def column(self) -> FeatureColumn | None:
        """The values as an array or as strings; None if they came as JSON.

        Raises:
            Fault: `invalid_request`, for strings that do not fill the bytes, or are not UTF-8.

        """
        if self._column is None and self._packed is not None:
            self._column = column_of(self.datatype, self.shape, self._packed, self.location)
        return self._column

    @property
    def data(self) -> list[Any]:
        """The values as JSON has them.

        Raises:
            Fault: as `column`.

        """
        if self._listed is None:
            column = self.column
            self._listed = [] if column is None else json_values(self.datatype, column)
        return self._listed


def input_metadata(feature: Feature) -> TensorMetadata:
    """A feature as an input tensor."""
    about = {
        "description": feature.description,
        "unit": feature.unit,
        "minimum": _bound(feature, feature.minimum),
        "maximum": _bound(feature, feature.maximum),
        "format": "date-time" if feature.is_timestamp else None,
        "categories": list(feature.categories),
        "nullable": feature.nullable,
    }
    return TensorMetadata(
        name=feature.name,
        datatype=PREFERRED[feature.type],
        shape=[-1, 1],
        parameters={key: value for key, value in about.items() if value not in ("", None, [])},
    )


def _bound(feature: Feature, bound: float | None) -> float | str | None:
    return timestamp_text(bound) if feature.is_timestamp and bound is not None else bound


def output_metadata(manifest: Manifest) -> tuple[TensorMetadata, TensorMetadata, TensorMetadata]:
    """The output tensors: predictions, the scores behind them, and ids."""
    names = manifest.classes or manifest.outputs
    is_classifier = bool(manifest.classes)
    return (
        TensorMetadata("prediction", "BYTES", [-1])
        if is_classifier
        else TensorMetadata("prediction", "FP64", [-1], dict(NUMERIC)),
        TensorMetadata(
            manifest.scores_name,
            "FP64",
            [-1, len(names)],
            {"names": list(names), **NUMERIC},
        ),
        TensorMetadata("prediction_id", "BYTES", [-1]),
    )


def feature_value(feature: Feature, value: object) -> object:
    """A number of a matrix as the schema spells it; unchanged if it means nothing there."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        return value
    if feature.type == "bool" and value in (0, 1):
        return bool(value)
    if feature.is_category:
        return _category(feature, int(value))
    return int(value) if feature.type == "int" else value


def text_at(value: object, location: str) -> str:
    """A value that must be a string.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(value, str):
        raise invalid_request([Violation(location, "a string", type(value).__name__)])
    return value


def object_at(value: object, location: str) -> dict[str, Any]:
    """A value that must be an object.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(value, dict):
        raise invalid_request([Violation(location, "an object", type(value).__name__)])
    return value


def _category(feature: Feature, code: int) -> str | int | None:
    if code == MISSING_CODE:
        return None
    return feature.categories[code] if 0 <= code < len(feature.categories) else code


def checked_shape(value: object, location: str) -> Shape:
    """A shape that is cheap to multiply and to print, whatever the request says.

    Raises:
        Fault: `invalid_request`.

    """
    if not isinstance(value, list) or not value:
        got = type(value).__name__ if value != [] else "an empty list"
    elif len(value) > MAX_RANK:
        got = f"{len(value)} numbers"
    elif set(map(type, value)) == {int} and min(value) >= 0 and max(value) <= MAX_DIMENSION:
        return value
    else:
        got = preview(value, MAX_SHOWN_CHARS)
    expected = f"1 to {MAX_RANK} whole numbers up to {MAX_DIMENSION}"
    raise invalid_request([Violation(location, expected, got)])


def _flat(data: object) -> list[Any]:
    """The values of a tensor, whose JSON may be flat or nested like its shape."""
    flat: list[Any] = []
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        else:
            flat.append(value)
    return flat
