"""The binary tensor extension: bytes in and bytes out mean what the same values mean as JSON."""

import json
import struct
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from services.faults import Fault
from services.protocols.binary_tensors import (
    DTYPES,
    TensorBody,
    column_of,
    json_values,
    packed_strings,
)
from services.protocols.open_inference import BinaryInference, OpenInference
from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import GOOD, JSON, ask
from tests.services.test_decode import features_of
from tests.services.test_protocols import ROWS, TINY, direct

PATH = "/v2/models/tiny/infer"
LENGTH = "inference-header-content-length"
KINDS = {"age": "FP64", "income": "FP64", "lines": "INT32", "owner": "BOOL"}
READ = BinaryInference(TINY).read


def packed(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bytes]:
    """The tensors of some rows as JSON, and the bytes that follow it."""
    tensors, data = [], b""
    for name in rows[0]:
        kind = KINDS.get(name, "BYTES")
        column = [row[name] for row in rows]
        if kind == "BYTES":
            texts = [each.encode() for each in column]
            raw = b"".join(struct.pack("<I", len(each)) + each for each in texts)
        else:
            raw = np.array(column, dtype=DTYPES[kind]).tobytes()
        parameters = {"binary_data_size": len(raw)}
        shape = [len(rows), 1]
        tensors.append({"name": name, "datatype": kind, "shape": shape, "parameters": parameters})
        data += raw
    return tensors, data


def body_of(document: object, data: bytes) -> TensorBody:
    text = json.dumps(document).encode()
    return TensorBody.of(text + data, len(text))


def client_of(service: Service) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(urlsplit(service.url).netloc)


def inputs_of(rows: list[dict[str, Any]], *, is_binary: bool) -> list[Any]:
    inputs = []
    for name in rows[0]:
        kind = KINDS.get(name, "BYTES")
        dtype: Any = np.object_ if kind == "BYTES" else np.dtype(DTYPES[kind])
        array = np.array([row[name] for row in rows], dtype=bool if kind == "BOOL" else dtype)
        inputs.append(triton.InferInput(name, [len(rows), 1], kind))
        inputs[-1].set_data_from_numpy(array.reshape(-1, 1), binary_data=is_binary)
    return inputs


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_tritons_client_works_as_it_comes(
    service: Service, coding: str | None, *, is_binary: bool
) -> None:
    """Its defaults are binary inputs and binary outputs; each may be compressed."""
    rows = ROWS[:2]
    client = client_of(service)
    got = client.infer(
        "tiny",
        inputs_of(rows, is_binary=is_binary),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    client.close()
    expected = direct(service, "tiny", rows)

    assert "binary_data_size" in got.get_output("probabilities")["parameters"]
    assert got.as_numpy("prediction").tolist() == [r["prediction"].encode() for r in expected]
    assert got.as_numpy("probabilities").tolist() == [
        list(r["probabilities"].values()) for r in expected
    ]
    assert len(got.as_numpy("prediction_id")) == 2


def test_each_output_is_sent_as_it_is_asked_for(service: Service) -> None:
    client = client_of(service)
    outputs = [
        triton.InferRequestedOutput("probabilities", binary_data=True),
        triton.InferRequestedOutput("prediction", binary_data=False),
    ]
    got = client.infer("tiny", inputs_of(ROWS[:1], is_binary=True), outputs=outputs)
    client.close()

    assert "data" in got.get_output("prediction")
    assert "data" not in got.get_output("probabilities")
    assert got.as_numpy("probabilities").shape == (1, 2)
    assert client_extensions(service) == ["binary_tensor_data"]


def client_extensions(service: Service) -> object:
    return ask(service, "/v2", None, "GET")[1]["extensions"]


def test_an_error_names_the_value_in_the_tensor(service: Service) -> None:
    client = client_of(service)
    rows = [tiny.GOOD, tiny.GOOD | {"age": -1.0}]
    with pytest.raises(InferenceServerException, match=r"inputs\[1\]\.data\[1\]: expected a num"):
        client.infer("tiny", inputs_of(rows, is_binary=True))
    client.close()


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", None])
def test_the_media_type_of_a_binary_request_may_be_any_of_those_that_clients_send(
    service: Service, content_type: str | None
) -> None:
    """KServe's client names octets, Triton's nothing."""
    tensors, data = packed(ROWS[:1])
    body = body_of({"inputs": tensors}, data)
    headers = {LENGTH: str(body.json_bytes)}
    if content_type is not None:
        headers["content-type"] = content_type
    status, answer, _ = ask(service, PATH, bytes(body), headers=headers)

    assert status == 200
    assert answer["outputs"][1]["data"] == list(
        direct(service, "tiny", ROWS[:1])[0]["probabilities"].values()
    )


@pytest.mark.parametrize("length", ["0", "-1", "x", "99999", "9" * 5000, "1.5"])
def test_a_wrong_length_of_the_json_is_named(service: Service, length: str) -> None:
    status, answer, _ = ask(service, PATH, GOOD, headers=JSON | {LENGTH: length})

    assert (status, answer["code"]) == (422, "invalid_request")
    assert answer["violations"][0]["path"] == LENGTH


def test_octets_without_the_length_get_the_reason(service: Service) -> None:
    headers = {"content-type": "application/octet-stream"}
    status, answer, _ = ask(service, PATH, GOOD, headers=headers)

    assert status == 415
    assert f"with the header {LENGTH}" in answer["error"]


def test_binary_values_are_those_of_json() -> None:
    tensors, data = packed(ROWS[:2])
    rows, _ = READ(body_of({"inputs": tensors}, data), 10)
    same = [
        {"name": name, "datatype": KINDS.get(name, "BYTES"), "shape": [2]}
        | {"data": [row[name] for row in ROWS[:2]]}
        for name in tiny.GOOD
    ]
    expected, _ = OpenInference(TINY).read(json.dumps({"inputs": same}).encode(), 10)

    assert features_of(rows) == features_of(expected) == ROWS[:2]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"parameters": {"binary_data_size": 7}}, "inputs[0].parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": -1}}, "inputs[0].parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": 10**30}}, "inputs[0].parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": "8"}}, "inputs[0].parameters.binary_data_size"),
        ({"parameters": {}}, "inputs[0].data"),
        ({"parameters": 3}, "inputs[0].parameters"),
        ({"shape": [2**31 - 1, 2**31 - 1]}, "inputs[0].parameters.binary_data_size"),
        ({"datatype": "BF16"}, "inputs[0].datatype"),
        ({"datatype": "BYTES"}, "inputs[0].datatype"),
    ],
)
def test_a_bad_tensor_gets_the_path_of_the_error(change: dict[str, Any], where: str) -> None:
    tensor = {"name": "age", "datatype": "FP64", "shape": [1]}
    tensor |= {"parameters": {"binary_data_size": 8}} | change
    with pytest.raises(Fault) as caught:
        READ(body_of({"inputs": [tensor]}, b"\0" * 8), 10)

    assert [violation.path for violation in caught.value.violations] == [where]


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0", b"\1\0\0\0aa", b"\1\0\0\0\xff", b"\xff" * 5])
def test_strings_that_do_not_fill_their_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Fault, match="invalid_request"):
        column_of("BYTES", [1], memoryview(data), "inputs[0]")


@given(
    st.lists(
        st.sampled_from(["", "yes", "é", "a" * 255, "a" * 256, "a" * 600]) | st.text(max_size=9)
    )
)
def test_strings_of_any_length_are_read(texts: list[str]) -> None:
    packed_texts = packed_strings(text.encode() for text in texts)
    data = memoryview(packed_texts)

    assert column_of("BYTES", [len(texts)], data, "inputs[0]") == texts
    if texts:
        with pytest.raises(Fault, match="strings with their lengths"):
            column_of("BYTES", [len(texts)], data[:-1], "inputs[0]")
    with pytest.raises(Fault, match=f"expected {len(packed_texts)} for {len(texts)} strings"):
        column_of("BYTES", [len(texts)], memoryview(packed_texts + b"\0"), "inputs[0]")


def test_bytes_that_no_tensor_takes_are_refused() -> None:
    tensors, data = packed(ROWS[:1])
    with pytest.raises(Fault, match="body: expected the sum of all binary_data_size, "):
        READ(body_of({"inputs": tensors}, data + b"\0"), 10)


def test_missing_and_infinite_numbers_keep_their_meaning() -> None:
    data = memoryview(np.array([np.nan, 1.5, -np.inf], dtype="<f4").tobytes())
    floats = column_of("FP32", [3], data, "x")
    booleans = column_of("BOOL", [3], memoryview(b"\0\1\2"), "x")

    assert json_values("FP32", floats) == [None, 1.5, -float("inf")]
    assert json_values("BOOL", booleans) == [False, True, 2]
    assert packed_strings(["a\u00e9".encode()]) == b"\3\0\0\0a\xc3\xa9"


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["age", "work", "x"]),
                "datatype": st.sampled_from([*DTYPES, "BYTES", "X"]),
                "shape": st.lists(st.integers(0, 3), max_size=3),
                "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20)}),
            }
        ),
        max_size=3,
    ),
    st.binary(max_size=40),
)
def test_any_bytes_raise_nothing_but_a_fault(tensors: list[Any], data: bytes) -> None:
    with suppress(Fault):
        READ(body_of({"inputs": tensors}, data), 10)
