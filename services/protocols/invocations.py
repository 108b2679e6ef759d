"""MLflow's scoring protocol: `dataframe_split`, `dataframe_records`, `inputs`, `instances`.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally (JSON input). A
table is valid as a whole or refused; the answer is `{"predictions": [...]}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.schema import Violation
from services.inference.batch_result import BatchResult
from services.inference.decode import Decoder, Rows, parse, refused
from services.protocols.table import Table, checked, from_columns, from_rows, from_split, only_key

WAYS = ("dataframe_split", "dataframe_records", "inputs", "instances")


def rows_of(body: bytes, decoder: Decoder, limit: int) -> Rows:
    """The rows of a body.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` beyond `limit` rows.

    """
    document = parse(body, nan_is_null=True)
    way = only_key(document, dict.fromkeys(WAYS), optional=("params",))
    if document.get("params"):  # type: ignore[attr-defined]  # `only_key` says it is an object
        raise refused([Violation("params", "none, this model has no parameters", "some")])
    return checked(_table(way, document[way], decoder.names), decoder, limit)  # type: ignore[index]  # the same


def body_of(result: BatchResult, place: slice) -> bytes:
    """The answer."""
    return b'{"predictions":[%b]}' % b",".join(result.predictions[place])


def _table(way: str, content: Any, names: Sequence[str]) -> Table:
    if way == "dataframe_records":
        return from_rows(content, way)
    if way == "dataframe_split":
        if not isinstance(content, Mapping):
            raise refused([Violation(way, "an object of columns and data", _kind(content))])
        return from_split(content.get("columns"), content.get("data"), way)
    if isinstance(content, dict):
        return from_columns(content, way)
    if isinstance(content, list) and content and isinstance(content[0], list):
        return from_split(list(names), content, way)
    return from_rows(content, way)


def _kind(value: object) -> str:
    return type(value).__name__
