"""A prediction as our own protocols write it: its JSON, and its type for the documentation."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contracts.manifest import Manifest
from services.inference.batch_result import BatchResult
from services.inference.json_templates import (
    EMPTY_LIST,
    constant,
    fill,
    object_template,
    split_template,
)
from services.inference.loader import ServedModel
from services.protocols.wire_protocol import ModelTypes, reference


class PredictionTemplate:
    """Writes the predictions of one version of a model.

    Several are joined by `separator`. `is_timed`: with the time of scoring; without it, a row
    that is scored again gets the same bytes again.
    """

    def __init__(
        self, model: ServedModel, separator: bytes = b",", *, is_timed: bool = True
    ) -> None:
        fields = _fields(model)
        if not is_timed:
            del fields["time"]
        self._is_timed = is_timed
        self._template = object_template(fields)
        self._pieces = split_template(self._template + separator)

    def one(self, result: BatchResult, index: int) -> bytes:
        """The prediction of one row of a result."""
        scores = [column[index] for column in result.scores]
        flags = result.flags[index] if result.flags else EMPTY_LIST
        times = (result.time,) if self._is_timed else ()
        prediction = result.predictions[index]
        row = (result.id_head, result.ids[index], *times, prediction, *scores, flags)
        return self._template % row

    def many(self, result: BatchResult, rows: slice) -> bytes:
        """The predictions of the rows of a result, with the separator between them."""
        flags = result.flags[rows] if result.flags else EMPTY_LIST
        scores = (column[rows] for column in result.scores)
        times = (result.time,) if self._is_timed else ()
        ids, predictions = result.ids[rows], result.predictions[rows]
        return fill(self._pieces, result.id_head, ids, *times, predictions, *scores, flags)[:-1]


def _fields(model: ServedModel) -> dict[str, bytes]:
    """The fields of a prediction in their order, as `object_template` takes them."""
    pointer, manifest = model.pointer, model.manifest
    return {
        "prediction_id": b'"%b%b"',
        "model": constant(pointer.name),
        "version": constant(pointer.version),
        "variant": constant(pointer.alias),
        "time": b'"%b"',
        "prediction": b"%b",
        manifest.scores_name: object_template(
            dict.fromkeys(manifest.classes or manifest.outputs, b"%b")
        ),
        "flags": b"%b",
    }


def model_types(manifest: Manifest) -> ModelTypes:
    """The types of a model. Each call makes new classes: make them once per document."""
    return ModelTypes(
        name=manifest.name.title(),
        row=reference(row_name(manifest)),
        table=reference(table_name(manifest)),
        truth=reference(truth_name(manifest)),
        prediction=prediction_type(manifest),
    )


def row_name(manifest: Manifest) -> str:
    """The name of a model's features among the components of the OpenAPI document."""
    return f"{manifest.name.title()}Row"


def table_name(manifest: Manifest) -> str:
    """The name of rows by column among the components of the OpenAPI document."""
    return f"{manifest.name.title()}Table"


def truth_name(manifest: Manifest) -> str:
    """The name of the truth of a label among the components of the OpenAPI document."""
    return f"{manifest.name.title()}Truth"


def prediction_type(manifest: Manifest) -> type[msgspec.Struct]:
    """The type of a model's predictions, as `PredictionTemplate` writes them."""
    prediction: Any = Literal[manifest.classes] if manifest.classes else float
    identity = Annotated[str, Meta(description="Names this prediction in the traffic log")]
    time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    flags = Annotated[
        list[str], Meta(description="Features that were clipped, unseen or out of range")
    ]
    return msgspec.defstruct(
        f"{manifest.name.title()}Prediction",
        [
            ("prediction_id", identity),
            ("model", str),
            ("version", int),
            ("variant", str),
            ("time", time),
            ("prediction", prediction),
            (manifest.scores_name, dict[str, float]),
            ("flags", flags),
        ],
    )
