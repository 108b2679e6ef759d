"""The protobuf messages of the service, from the compiled files in `protos/`.

They live in a pool of their own: another library of the process may bring the same names
(KServe's and Triton's clients do), which protobuf allows only once per pool.
"""

from base64 import b85decode
from typing import Any
from zlib import decompress

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.faults import Fault
from services.grpc.descriptors import DESCRIPTORS

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Full names of the services."""


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(decompress(b85decode(DESCRIPTORS))).file:
        pool.Add(file)
    return pool


POOL = _pool()


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(name))


ModelInferRequest = _message("inference.ModelInferRequest")
ModelInferResponse = _message("inference.ModelInferResponse")
ModelMetadataRequest = _message("inference.ModelMetadataRequest")
ModelMetadataResponse = _message("inference.ModelMetadataResponse")
ModelReadyRequest = _message("inference.ModelReadyRequest")
ModelReadyResponse = _message("inference.ModelReadyResponse")
ModelStreamInferResponse = _message("inference.ModelStreamInferResponse")
ServerLiveResponse = _message("inference.ServerLiveResponse")
ServerMetadataResponse = _message("inference.ServerMetadataResponse")
ServerReadyResponse = _message("inference.ServerReadyResponse")

HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")

ServerReflectionRequest = _message("grpc.reflection.v1.ServerReflectionRequest")
ServerReflectionResponse = _message("grpc.reflection.v1.ServerReflectionResponse")

BadRequest = _message("google.rpc.BadRequest")
ErrorInfo = _message("google.rpc.ErrorInfo")
RequestInfo = _message("google.rpc.RequestInfo")
RetryInfo = _message("google.rpc.RetryInfo")
RpcStatus = _message("google.rpc.Status")


def parsed(message: Any, data: bytes) -> Any:
    """The message in some bytes; `message` is one of the classes above.

    Raises:
        Fault: `invalid_protobuf`.

    """
    try:
        return message.FromString(data)
    except DecodeError as err:
        raise Fault(
            "invalid_protobuf", f"message: expected {message.DESCRIPTOR.full_name}, got other bytes"
        ) from err
