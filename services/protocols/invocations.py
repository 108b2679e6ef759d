"""MLflow's scoring protocol: `dataframe_split`, `dataframe_records`, `inputs`, `instances`.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally (JSON input). A table is
valid as a whole or refused; the response is `{"predictions": [...]}`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.errors import preview
from contracts.schema import Violation
from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.json_body import invalid_request, parse_json
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.table import (
    Table,
    from_columns,
    from_rows,
    from_split,
    only_key,
    valid_rows,
)
from services.protocols.wire_protocol import ModelTypes, WireProtocol, rows_or_table

FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")


class DataframeSplit(msgspec.Struct, frozen=True):
    """A pandas frame in its orientation `split`."""

    columns: Annotated[list[str], Meta(min_length=1)]
    data: Annotated[list[list[Any]], Meta(min_length=1)]


class InvocationPredictions(msgspec.Struct, frozen=True):
    """The predictions, in the order of the rows."""

    predictions: list[str | float]


class Invocations(WireProtocol):
    """MLflow's `/invocations`."""

    paths = ("/models/{model}/invocations", "/invocations")
    tag = "MLflow"
    summary = "MLflow's scoring protocol."

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a body, and what encodes their predictions.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        document = parse_json(body, nan_is_null=True)
        key = only_key(document, dict.fromkeys(FORMATS), optional=("params",))
        params = document.get("params")  # type: ignore[attr-defined]  # `only_key` proves that it is an object
        if params not in (None, {}):
            raise invalid_request(
                [Violation("params", "none, the model has no parameters", preview(params))]
            )
        decoder = self.model.decoder
        table = _table(key, document[key], decoder.names, limit)  # type: ignore[index]  # as above
        return valid_rows(table, decoder), self.render

    @staticmethod
    def render(result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        """The encoded predictions."""
        del refused
        return b'{"predictions":[%b]}' % b",".join(result.predictions[rows])

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """One of MLflow's formats."""
        rows: Any = Annotated[list[types.row], Meta(min_length=1)]  # type: ignore[name-defined]  # a type made at run time
        contents = (DataframeSplit, rows, rows_or_table(types), rows_or_table(types))
        return tuple(
            _with_one(f"{types.name}{name.title().replace('_', '')}", name, content)
            for name, content in zip(FORMATS, contents, strict=True)
        )

    @classmethod
    def response_type(cls, types: ModelTypes) -> Any:
        """The predictions."""
        del types
        return InvocationPredictions


def _with_one(name: str, field: str, content: Any) -> Any:
    """The type of an object with one of the formats, and no parameters."""
    no_params = Annotated[dict[str, Any], Meta(max_length=0)]
    fields: list[Any] = [(field, content), ("params", no_params | None | UnsetType, UNSET)]
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True)


def _table(key: str, content: Any, names: Sequence[str], limit: int) -> Table:
    if key == "dataframe_records":
        return from_rows(content, key, limit)
    if key == "dataframe_split":
        if not isinstance(content, Mapping):
            expected = "an object of columns and data"
            raise invalid_request([Violation(key, expected, type(content).__name__)])
        return from_split(content.get("columns"), content.get("data"), key, limit)
    if isinstance(content, dict):
        return from_columns(content, key, limit)
    if isinstance(content, list) and content and isinstance(content[0], list):
        return from_split(list(names), content, key, limit)
    return from_rows(content, key, limit)
