"""MLflow's scoring protocol for CSV, as `DataFrame.to_csv` writes it: a line of names, then rows.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally (CSV input). A table is
valid as a whole or refused, and the response is the same as to JSON.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from msgspec import Meta

from contracts.schema import Feature, Violation, normalized
from services.faults import Fault
from services.inference.json_body import invalid_request, repeated
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.inference.text_values import value_of_text
from services.protocols.invocations import Invocations
from services.protocols.table import Table, check_size, refuse_any, valid_rows
from services.protocols.wire_protocol import CSV, ModelTypes


class InvocationsCsv(Invocations):
    """MLflow's `/invocations` for `text/csv`."""

    media_type = CSV

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._features = {feature.name: feature for feature in model.manifest.schema.features}

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a body, and what encodes their predictions.

        Raises:
            Fault: `invalid_csv`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        rows = csv_rows(body, self._features, limit)
        table = Table(rows, lambda index, name: f"rows[{index}]" + (f".{name}" if name else ""))
        return valid_rows(table, self.model.decoder), self.render

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """A table as text."""
        del types
        return Annotated[
            str, Meta(min_length=1, description="A line of names, then a line per row")
        ]


def csv_rows(body: bytes, features: Mapping[str, Feature], limit: int) -> list[Mapping[str, Any]]:
    """The rows of a table as CSV, with values as JSON would have them.

    Raises:
        Fault: `invalid_csv`, `invalid_request` where lines and names do not match, or
            `body_too_large` for more than `limit` rows.

    """
    lines = _lines(body, limit)
    names, records = lines[0], lines[1:]
    check_size(len(records), limit)
    # Without `index=False`, pandas writes the index as a first column without a name.
    start = 1 if not names[0] else 0
    names = names[start:]
    refuse_any(Violation(f"columns.{n}", "each name once", "it twice") for n in repeated(names))
    refuse_any(
        Violation(f"rows[{index}]", f"{len(names) + start} values", f"{len(record)}")
        for index, record in enumerate(records)
        if len(record) != len(names) + start
    )
    found = [features.get(name) for name in names]
    return [
        {
            name: value_of_text(feature, text)
            for name, feature, text in zip(names, found, record[start:], strict=True)
        }
        for record in records
    ]


def _lines(body: bytes, limit: int) -> list[list[str]]:
    """The lines that are not empty, the names first; no more are read than `limit` allows.

    Raises:
        Fault: `invalid_csv`, or `invalid_request` where there are none.

    """
    try:
        text = normalized(body.decode("utf-8-sig"))
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = list(islice(_not_empty(reader), limit + 2))
    except UnicodeDecodeError as err:
        raise Fault("invalid_csv", f"body: expected UTF-8, got byte {err.start}") from err
    except csv.Error as err:
        raise Fault("invalid_csv", f"body: expected CSV, got {err}") from err
    if not lines:
        raise invalid_request([Violation("body", "a line of names", "none")])
    return lines


def _not_empty(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    return (line for line in lines if line)
