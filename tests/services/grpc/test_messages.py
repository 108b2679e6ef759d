"""The messages are those of the published protocol, and no bytes raise anything but a fault."""

from base64 import b85decode
from contextlib import suppress
from typing import Any
from zlib import decompress

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from services.faults import Fault
from services.grpc.descriptors import DESCRIPTORS
from services.grpc.messages import (
    HEALTH,
    INFERENCE,
    POOL,
    REFLECTION,
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from services.grpc.model_infer import InferBody, ModelInfer
from services.grpc.reflection import reflected
from tests import tiny
from tests.services.grpc.compile_protos import compiled_descriptors
from tests.services.grpc.conftest import typed_request
from tests.services.test_protocols import ROWS, TINY

READ = ModelInfer(TINY).read
WHOLE = [row | {"income": row["income"] or 4e4, "region": row["region"] or "east"} for row in ROWS]
GOOD = typed_request("tiny", WHOLE).SerializeToString()


def test_the_descriptors_are_compiled_from_the_files() -> None:
    """`make protos` writes them; compression may differ between machines."""
    assert decompress(b85decode(DESCRIPTORS)) == compiled_descriptors()


def shape_of(message: Any) -> dict[str, Any]:
    """What is on the wire: numbers, types and labels of the fields, by name."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            shape_of(field.message_type) if field.message_type else None,
        )
        for field in message.fields
    }


def test_the_messages_are_those_of_tritons_stubs() -> None:
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    ours = POOL.FindServiceByName(INFERENCE)

    assert len(ours.methods) == 7
    for method in ours.methods:
        their = theirs.methods_by_name[method.name]
        assert shape_of(method.input_type) == shape_of(their.input_type)
        assert shape_of(method.output_type) == shape_of(their.output_type)
        assert method.server_streaming == their.server_streaming
        assert method.client_streaming == their.client_streaming


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_fault(body: bytes) -> None:
    with suppress(Fault):
        READ(body, 10)


@given(st.data())
def test_no_damaged_message_raises_anything_but_a_fault(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(body) - 1))
        body[index] = data.draw(st.integers(0, 255))
    with suppress(Fault):
        READ(bytes(body), 10)


DATATYPES = ["BOOL", "INT8", "UINT64", "FP16", "FP32", "FP64", "BYTES", "none"]
FIELDS = ["fp64_contents", "int_contents", "bool_contents", "uint64_contents"]


@given(st.data())
def test_no_message_raises_anything_but_a_fault(data: st.DataObject) -> None:
    """Every combination of names, types, shapes and contents, raw and typed."""
    request = service_pb2.ModelInferRequest(model_name="tiny", id=data.draw(st.text(max_size=3)))
    for name in data.draw(st.lists(st.sampled_from([*tiny.GOOD, "x"]), max_size=7)):
        tensor = request.inputs.add(name=name, datatype=data.draw(st.sampled_from(DATATYPES)))
        tensor.shape.extend(
            data.draw(st.lists(st.sampled_from([0, 1, 2, 6, -1, 2**62]), max_size=3))
        )
        if data.draw(st.booleans()):
            field = data.draw(st.sampled_from(FIELDS))
            getattr(tensor.contents, field).extend([1] * data.draw(st.integers(0, 3)))
    request.raw_input_contents.extend(data.draw(st.lists(st.binary(max_size=50), max_size=7)))
    with suppress(Fault):
        READ(InferBody.of(request), 10)


def test_typed_contents_are_read_as_their_rows() -> None:
    rows, _ = READ(GOOD, 10)

    assert len(rows) == len(WHOLE)
    assert b'"work":"no"' in bytes(rows.features[1])


def ask(**fields: str) -> Any:
    response = reflected(ServerReflectionRequest(host="h", **fields))
    return ServerReflectionResponse.FromString(response.SerializeToString())


def test_reflection_lists_and_describes_the_services() -> None:
    listed = [each.name for each in ask(list_services="").list_services_response.service]
    assert listed == [INFERENCE, HEALTH, *REFLECTION]

    for name in listed:
        answer = ask(file_containing_symbol=name)
        files = [
            FileDescriptorProto.FromString(each)
            for each in answer.file_descriptor_response.file_descriptor_proto
        ]
        assert answer.valid_host == "h"
        assert files[0].service
    by_name = ask(file_by_filename=files[0].name)
    assert by_name.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize(
    "fields",
    [
        {"file_containing_symbol": "x"},
        {"file_by_filename": "x"},
        {"all_extension_numbers_of_type": "x"},
        {},
    ],
)
def test_reflection_says_what_it_does_not_know(fields: dict[str, str]) -> None:
    assert ask(**fields).error_response.error_code == 5


def test_a_file_comes_with_what_it_imports() -> None:
    files = FileDescriptorSet.FromString(decompress(b85decode(DESCRIPTORS))).file
    described = ask(file_containing_symbol="google.rpc.Status").file_descriptor_response
    names = {FileDescriptorProto.FromString(e).name for e in described.file_descriptor_proto}

    assert names == {"status.proto", "google/protobuf/any.proto", "google/protobuf/duration.proto"}
    assert names <= {file.name for file in files}
