"""From the tensors of a request to rows, whatever the transport.

Rows come as one tensor per feature, named like it, of shape `[n]` or `[n, 1]`; or as one tensor of
shape `[n, n_features]` in the order of the metadata's inputs, with each category as its index in
the schema's list. A timestamp is text, so its model takes a tensor per feature only.
"""

import math
from collections.abc import Sequence
from typing import Any

from contracts.schema import Violation
from services.faults import MAX_SHOWN_CHARS
from services.inference.decode_columns import MIN_COLUMN_ROWS, ColumnDecoder
from services.inference.json_body import invalid_request
from services.inference.json_templates import encode
from services.inference.loader import ServedModel
from services.inference.rows import Rows
from services.protocols.table import Table, check_size, refuse_any, valid_rows
from services.protocols.tensors import DATATYPES, NUMBERS, Tensor, feature_value

INFINITE = frozenset({math.inf, -math.inf})


class TensorDecoder:
    """Decodes tensors into rows of one version of a model."""

    def __init__(self, model: ServedModel) -> None:
        self._decoder = model.decoder
        self._columns = model.manifest.schema.columns
        self._by_name = {feature.name: feature for feature in self._columns}
        self._integers = [feature.name for feature in self._columns if feature.type == "int"]
        self._decode_columns = ColumnDecoder(model.manifest.schema, model.decoder.dtype).rows

    @property
    def max_tensors(self) -> int:
        """No valid request has more tensors."""
        return len(self._columns)

    def rows(self, tensors: Sequence[Tensor], limit: int) -> Rows:
        """The rows in the tensors of a request.

        Raises:
            Fault: `invalid_request`, or `body_too_large` for more than `limit` rows.

        """
        if len(tensors) == 1 and tensors[0].name not in self._by_name:
            return self._matrix(tensors[0], limit)
        return self._by_feature(tensors, limit)

    def _by_feature(self, tensors: Sequence[Tensor], limit: int) -> Rows:
        """A tensor per feature."""
        locations = {tensor.name: tensor.location for tensor in tensors}
        if len(locations) < len(tensors):
            raise invalid_request([Violation("inputs", "each name once", "one more than once")])
        n_rows = tensors[0].shape[0] if tensors else 0
        refuse_any(v for tensor in tensors for v in self._violations(tensor, n_rows))
        check_size(n_rows, limit)
        if n_rows >= MIN_COLUMN_ROWS:
            columns = {each.name: each.column for each in tensors if each.column is not None}
            found = self._decode_columns(columns, n_rows) if len(columns) == len(tensors) else None
            if found is not None:
                return found
        data = {tensor.name: tensor.data for tensor in tensors}
        if n_rows < MIN_COLUMN_ROWS:
            by_column = [data.get(name) or [None] * n_rows for name in self._by_name]
            rows = [self._row(values) for values in zip(*by_column, strict=True)]
            found = self._few(rows, limit)
            if found is not None:
                return found
        rows = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
        table = Table(
            rows, lambda index, name: f"{locations.get(name, f'inputs.{name}')}.data[{index}]"
        )
        return valid_rows(table, self._decoder)

    def _row(self, values: Sequence[Any]) -> dict[str, Any]:
        """A row in the order of the matrix, with whole numbers as the log has them."""
        row = dict(zip(self._by_name, values, strict=True))
        for name in self._integers:
            value = row[name]
            if type(value) is float and value.is_integer():
                row[name] = int(value)
        return row

    def _few(self, rows: Sequence[dict[str, Any]], limit: int) -> Rows | None:
        """A few rows, read as JSON at once; None unless all of them are valid."""
        values = (value for row in rows for value in row.values())
        if any(type(value) is float and value in INFINITE for value in values):
            return None  # JSON would have null
        try:
            body = encode({"rows": rows})
        except OverflowError:
            return None
        return self._decoder.fast_rows(body, limit)

    def _violations(self, tensor: Tensor, n_rows: int) -> list[Violation]:
        feature = self._by_name.get(tensor.name)
        if feature is None:
            got = repr(tensor.name)[:MAX_SHOWN_CHARS]
            return [Violation(f"{tensor.location}.name", "the name of a feature", got)]
        found = []
        if tensor.datatype not in DATATYPES[feature.type]:
            expected = " or ".join(sorted(DATATYPES[feature.type]))
            found.append(Violation(f"{tensor.location}.datatype", expected, tensor.datatype))
        if tensor.shape not in ([n_rows], [n_rows, 1]):
            shapes = f"[{n_rows}] or [{n_rows}, 1]"
            found.append(Violation(f"{tensor.location}.shape", shapes, str(tensor.shape)))
        return found

    def _matrix(self, tensor: Tensor, limit: int) -> Rows:
        """One tensor with all features, in which categories and booleans are numbers."""
        n_features = len(self._columns)
        if any(feature.is_timestamp for feature in self._columns):
            expected = "one tensor per feature with its name, since a timestamp is BYTES"
            raise invalid_request([Violation(tensor.location, expected, "one for all")])
        if len(tensor.shape) != 2 or tensor.shape[1] != n_features:  # noqa: PLR2004 - a matrix
            expected = f"[n, {n_features}], or one tensor per feature with its name"
            location = f"{tensor.location}.shape"
            raise invalid_request([Violation(location, expected, str(tensor.shape))])
        if tensor.datatype not in NUMBERS:
            location = f"{tensor.location}.datatype"
            raise invalid_request([Violation(location, "numbers", tensor.datatype)])
        n_rows = tensor.shape[0]
        check_size(n_rows, limit)
        column = tensor.column
        if n_rows >= MIN_COLUMN_ROWS and column is not None and not isinstance(column, list):
            by_feature = zip(self._by_name, column.reshape(n_rows, n_features).T, strict=True)
            found = self._decode_columns(dict(by_feature), n_rows)
            if found is not None:
                return found
        table = self._matrix_table(tensor)
        if n_rows < MIN_COLUMN_ROWS:
            found = self._few(table.rows, limit)
            if found is not None:
                return found
        return valid_rows(table, self._decoder)

    def _matrix_table(self, tensor: Tensor) -> Table:
        n_features = len(self._columns)
        rows = [
            {
                feature.name: feature_value(feature, value)
                for feature, value in zip(
                    self._columns, tensor.data[start : start + n_features], strict=True
                )
            }
            for start in range(0, len(tensor.data), n_features)
        ]
        order = {feature.name: index for index, feature in enumerate(self._columns)}

        def locate(index: int, name: str, /) -> str:
            return f"{tensor.location}.data[{index * n_features + order.get(name, 0)}]"

        return Table(rows, locate)
