"""A service over gRPC with two workers, one for all tests that only ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

from services.protocols.binary_tensors import DTYPES
from tests.services.conftest import Service, serving
from tests.slipway.conftest import free_port

KINDS = {"age": "FP64", "income": "FP32", "lines": "INT32", "owner": "BOOL"}
"""The datatype of each feature of `tiny`; the others are BYTES."""


@dataclass(frozen=True)
class GrpcService:
    """A running service, and where it answers gRPC."""

    http: Service
    address: str

    @contextmanager
    def channel(self, **options: int) -> Iterator[Any]:
        """A connection of its own."""
        listed = [(f"grpc.{name}", value) for name, value in options.items()]
        with grpc.insecure_channel(
            self.address, [*listed, ("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            yield channel

    @contextmanager
    def stub(self, **options: int) -> Iterator[Any]:
        """Triton's stub."""
        with self.channel(**options) as channel:
            yield service_pb2_grpc.GRPCInferenceServiceStub(channel)

    @contextmanager
    def triton(self) -> Iterator[Any]:
        """Triton's client."""
        client = triton.InferenceServerClient(self.address)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def serving_grpc(folder: Path, models: Path, **settings: str) -> Iterator[GrpcService]:
    """`bentoml serve` with gRPC, as `serving`."""
    port = free_port()
    with serving(folder, models, SLIPWAY_SERVICE_GRPC_PORT=str(port), **settings) as http:
        yield GrpcService(http, f"127.0.0.1:{port}")


@pytest.fixture(scope="session")
def grpc_service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcService]:
    folder = tmp_path_factory.mktemp("grpc")
    settings = {"SLIPWAY_SERVICE_WORKERS": "2", "SLIPWAY_SERVICE_TRACE": "true"}
    with serving_grpc(folder, models, **settings) as running:
        yield running


def column_of(rows: list[dict[str, Any]], name: str) -> Any:
    """The values of a feature as an array, as Triton's client takes them."""
    kind = KINDS.get(name, "BYTES")
    dtype: Any = np.object_ if kind == "BYTES" else np.dtype(DTYPES[kind])
    array = np.array([row[name] for row in rows], dtype=bool if kind == "BOOL" else dtype)
    return array.reshape(-1, 1)


def inputs_of(rows: list[dict[str, Any]]) -> list[Any]:
    """The inputs of Triton's client: a tensor per feature."""
    inputs = []
    for name in rows[0]:
        column = column_of(rows, name)
        inputs.append(triton.InferInput(name, column.shape, KINDS.get(name, "BYTES")))
        inputs[-1].set_data_from_numpy(column)
    return inputs


def typed_request(model: str, rows: list[dict[str, Any]], **fields: Any) -> Any:
    """A request with typed contents."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    contents = {
        "FP64": "fp64_contents",
        "FP32": "fp32_contents",
        "INT32": "int_contents",
        "BOOL": "bool_contents",
        "BYTES": "bytes_contents",
    }
    for name in rows[0]:
        kind = KINDS.get(name, "BYTES")
        tensor = request.inputs.add(name=name, datatype=kind, shape=[len(rows)])
        values = column_of(rows, name).reshape(-1).tolist()
        values = [value.encode() for value in values] if kind == "BYTES" else values
        getattr(tensor.contents, contents[kind]).extend(values)
    return request
