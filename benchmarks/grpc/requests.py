"""Requests with some rows, one function per kind of request."""

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from benchmarks.serving.testbed import Row
from contracts.schema import Feature, Schema

DATATYPES = {"float": "FP64", "int": "INT64", "bool": "BOOL", "category": "BYTES"}
DTYPES = {"FP64": "<f8", "INT64": "<i8", "BOOL": "<u1"}
CONTENTS = {
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
JSON_LENGTH = "inference-header-content-length"


def column(feature: Feature, rows: Sequence[Row]) -> list[Any]:
    """The values of a feature."""
    return [row[feature.name] for row in rows]


def packed(feature: Feature, rows: Sequence[Row]) -> bytes:
    """The values of a feature as bytes."""
    values = column(feature, rows)
    if feature.is_category:
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, dtype=DTYPES[DATATYPES[feature.type]]).tobytes()


def batch_json(schema: Schema, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
    """The body of `/predict/batch`, by rows."""
    del schema
    return json.dumps({"rows": [*rows]}).encode(), {}


def tensors_json(schema: Schema, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
    """A tensor per feature, as JSON."""
    inputs = [
        {
            "name": feature.name,
            "datatype": DATATYPES[feature.type],
            "shape": [len(rows)],
            "data": column(feature, rows),
        }
        for feature in schema.features
    ]
    return json.dumps({"inputs": inputs}).encode(), {}


def tensors_binary(schema: Schema, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
    """A tensor per feature as bytes, and the outputs as bytes."""
    data = [packed(feature, rows) for feature in schema.features]
    return _with_tensors(
        [
            {
                "name": feature.name,
                "datatype": DATATYPES[feature.type],
                "shape": [len(rows)],
                "parameters": {"binary_data_size": len(raw)},
            }
            for feature, raw in zip(schema.features, data, strict=True)
        ],
        b"".join(data),
    )


def matrix_binary(schema: Schema, rows: Sequence[Row]) -> tuple[bytes, dict[str, str]]:
    """One matrix of float32 as bytes, and the outputs as bytes."""
    raw = schema.matrix(rows).tobytes()
    tensor = {
        "name": "rows",
        "datatype": "FP32",
        "shape": [len(rows), len(schema.columns)],
        "parameters": {"binary_data_size": len(raw)},
    }
    return _with_tensors([tensor], raw)


def _with_tensors(inputs: list[dict[str, Any]], data: bytes) -> tuple[bytes, dict[str, str]]:
    document = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    text = json.dumps(document).encode()
    return text + data, {JSON_LENGTH: str(len(text))}


HttpBody = Callable[[Schema, Sequence[Row]], tuple[bytes, dict[str, str]]]
HTTP: dict[str, tuple[str, HttpBody]] = {
    "HTTP, rows as JSON": ("/models/{model}/predict/batch", batch_json),
    "HTTP, tensors as JSON": ("/v2/models/{model}/infer", tensors_json),
    "HTTP, binary tensors": ("/v2/models/{model}/infer", tensors_binary),
    "HTTP, one binary matrix": ("/v2/models/{model}/infer", matrix_binary),
}
"""Path and body of each kind of request over HTTP."""


def infer_request(model: str, schema: Schema, rows: Sequence[Row], *, is_raw: bool) -> bytes:
    """A `ModelInferRequest` with a tensor per feature."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for feature in schema.features:
        datatype = DATATYPES[feature.type]
        tensor = request.inputs.add(name=feature.name, datatype=datatype, shape=[len(rows)])
        if is_raw:
            request.raw_input_contents.append(packed(feature, rows))
            continue
        values = column(feature, rows)
        values = [str(value).encode() for value in values] if feature.is_category else values
        getattr(tensor.contents, CONTENTS[datatype]).extend(values)
    return bytes(request.SerializeToString())


def matrix_request(model: str, schema: Schema, rows: Sequence[Row]) -> bytes:
    """A `ModelInferRequest` with one matrix of float32."""
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="rows", datatype="FP32", shape=[len(rows), len(schema.columns)])
    request.raw_input_contents.append(schema.matrix(rows).tobytes())
    return bytes(request.SerializeToString())
