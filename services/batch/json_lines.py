"""Record batches as JSON lines: `probabilities.yes` is the field `yes` of `probabilities`."""

from typing import Any

import msgspec

from services.inference.json_templates import Column, constant, encode, fill, split_template

NESTED = frozenset({"probabilities", "margins", "decisions", "scores", "values"})
"""Objects of numbers by class or output, as in a response over HTTP."""
_encode_value = msgspec.json.Encoder(enc_hook=str).encode


def encoded_lines(batch: Any) -> bytes:
    """The rows of a `pyarrow.RecordBatch`, an object per line."""
    template, columns = b"", []
    group = ""
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        prefix, dot, key = name.partition(".")
        is_nested = bool(dot) and prefix in NESTED
        if group and (not is_nested or prefix != group):
            template, group = template + b"}", ""
        template += b"," if template and not template.endswith(b"{") else b""
        if is_nested and not group:
            template, group = template + constant(prefix) + b":{", prefix
        template += constant(key if is_nested else name) + b":%b"
        columns.append(_texts(array))
    template += b"}" if group else b""
    return fill(split_template(b"{" + template + b"}\n"), *columns)


def _texts(array: Any) -> Column:
    """Each value as JSON."""
    values = array.to_pylist()
    if values and isinstance(values[0], float):
        # Numbers have no commas within: they are encoded at once.
        return encode(values)[1:-1].split(b",")
    return [_encode_value(value) for value in values]
