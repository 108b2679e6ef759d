"""Real clients against a service with two workers: every answer is that of HTTP."""

import json
import queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests import tiny
from tests.services.conftest import Service
from tests.services.grpc.conftest import GrpcService, inputs_of, typed_request
from tests.services.http_client import JSON, ask
from tests.services.test_protocols import ROWS

pytestmark = pytest.mark.slow
NAMES = ["tiny", "tiny3", "tinyvalue", "tinypair"]
WHOLE = [row | {"income": row["income"] or 4e4, "region": row["region"] or "east"} for row in ROWS]
MANY = [
    tiny.GOOD | {"age": 18 + i % 80, "income": 1e3 * i, "lines": i % 60, "owner": i % 2 == 0}
    for i in range(50)
]
"""Enough rows that columns are read at once; some are clipped, and some are flagged."""


def over_http(service: Service, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The outputs of the same request as JSON tensors."""
    inputs = [
        {
            "name": feature,
            "shape": [len(rows)],
            "datatype": {"owner": "BOOL", "region": "BYTES", "work": "BYTES"}.get(feature, "FP64"),
            "data": [
                float(np.float32(row[feature])) if feature == "income" else row[feature]
                for row in rows
            ],
        }
        for feature in rows[0]
    ]
    status, answer, _ = ask(
        service, f"/v2/models/{name}/infer", json.dumps({"inputs": inputs}).encode()
    )
    assert status == 200, answer
    return {output["name"]: output["data"] for output in answer["outputs"]}


@pytest.mark.parametrize("rows", [WHOLE[:1], WHOLE, MANY], ids=["one", "few", "many"])
@pytest.mark.parametrize("name", NAMES)
def test_tritons_client_works_as_it_comes(
    grpc_service: GrpcService, name: str, rows: list[dict[str, Any]]
) -> None:
    """Its inputs and outputs are raw contents; the scores are HTTP's, bit for bit."""
    with grpc_service.triton() as client:
        got = client.infer(name, inputs_of(rows), request_id="mine")
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(name)
    expected = over_http(grpc_service.http, name, rows)
    predictions = got.as_numpy("prediction").tolist()
    scores = next(key for key in expected if key not in {"prediction", "prediction_id"})

    assert got.get_response().id == "mine"
    assert [p.decode() if isinstance(p, bytes) else p for p in predictions] == expected[
        "prediction"
    ]
    assert got.as_numpy(scores).reshape(-1).tolist() == expected[scores]
    assert len(set(got.as_numpy("prediction_id").tolist())) == len(rows)


@pytest.mark.parametrize("rows", [WHOLE[:1], MANY], ids=["one", "many"])
def test_typed_contents_are_answered_by_typed_contents(
    grpc_service: GrpcService, rows: list[dict[str, Any]]
) -> None:
    with grpc_service.stub() as stub:
        response = stub.ModelInfer(typed_request("tiny", rows, id="7"))
    expected = over_http(grpc_service.http, "tiny", rows)
    found = {output.name: output for output in response.outputs}
    predictions = [each.decode() for each in found["prediction"].contents.bytes_contents]

    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "7")
    assert predictions == expected["prediction"]
    assert list(found["probabilities"].contents.fp64_contents) == expected["probabilities"]
    assert found["probabilities"].shape == [len(rows), 2]
    assert not response.raw_output_contents


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_one_matrix_has_all_features(grpc_service: GrpcService, datatype: str) -> None:
    numbers = [[row["age"], row["income"], row["lines"], row["owner"], 0, 0] for row in MANY]
    matrix = np.array(numbers, dtype=np.float32 if datatype == "FP32" else np.float64)
    tensor = triton.InferInput("x", matrix.shape, datatype)
    tensor.set_data_from_numpy(matrix)
    with grpc_service.triton() as client:
        got = client.infer("tiny", [tensor])
    expected = over_http(grpc_service.http, "tiny", MANY)

    assert got.as_numpy("probabilities").reshape(-1).tolist() == expected["probabilities"]


def test_only_wanted_outputs_are_sent(grpc_service: GrpcService) -> None:
    request = typed_request("tiny", WHOLE[:1])
    request.outputs.add(name="prediction_id")
    with grpc_service.stub() as stub:
        response = stub.ModelInfer(request)

    assert [output.name for output in response.outputs] == ["prediction_id"]


def test_metadata_is_that_of_http(grpc_service: GrpcService) -> None:
    with grpc_service.triton() as client:
        server = client.get_server_metadata()
        got = client.get_model_metadata("tiny", as_json=True)
        version = client.get_model_metadata("tiny", "1").versions
        assert not client.is_model_ready("tiny", "7")
        assert not client.is_model_ready("none")
    _, described, _ = ask(grpc_service.http, "/v2", None, "GET")
    _, expected, _ = ask(grpc_service.http, "/v2/models/tiny", None, "GET")

    assert (server.name, server.version) == (described["name"], described["version"])
    assert list(server.extensions) == described["extensions"]
    assert list(version) == ["1"]
    assert got["platform"] == expected["platform"]
    for side in ("inputs", "outputs"):
        listed = [(each["name"], each["datatype"]) for each in expected[side]]
        assert [(each["name"], each["datatype"]) for each in got[side]] == listed


def records_of(service: Service, request_id: str) -> list[dict[str, Any]]:
    """The traffic records of a request."""
    paths = Path(service.layout.traffic("tiny")).rglob("*.jsonl")
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    return [each for each in map(json.loads, lines) if each["request_id"] == request_id]


def test_a_record_is_that_of_http(grpc_service: GrpcService) -> None:
    """Unit, trace and request id come in the metadata under the names of the headers."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-user-id": "ada", "traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    rows = [tiny.GOOD | {"income": 2e6}]
    with grpc_service.stub() as stub:
        metadata = [*headers.items(), ("x-request-id", "over-grpc")]
        _, call = stub.ModelInfer.with_call(typed_request("tiny", rows), metadata=metadata)
    ask(
        grpc_service.http,
        "/models/tiny/predict",
        json.dumps(rows[0]).encode(),
        headers=JSON | headers | {"x-request-id": "over-http"},
    )
    trailing = dict(call.trailing_metadata())
    (got,), (expected,) = (
        records_of(grpc_service.http, each) for each in ("over-grpc", "over-http")
    )

    assert trailing["x-request-id"] == "over-grpc"
    assert trailing["traceparent"].split("-")[1] == trace_id
    same = got.keys() - {"prediction_id", "time", "latency_ms", "request_id", "features"}
    assert got.keys() == expected.keys()
    assert {key: got[key] for key in same} == {key: expected[key] for key in same}
    assert got["features"] == expected["features"]
    assert (got["flags"], got["trace_id"]) == (["clipped:income"], trace_id)


def test_a_stream_answers_in_the_order_of_its_requests(grpc_service: GrpcService) -> None:
    """A refused request gets its reason, and the stream goes on."""
    ages = [18 + i % 80 for i in range(200)]
    requests = [
        typed_request("tiny", [tiny.GOOD | {"age": age}], id=str(i)) for i, age in enumerate(ages)
    ]
    requests[7] = typed_request("tiny", [tiny.GOOD | {"age": -1.0}], id="7")
    requests[9] = service_pb2.ModelInferRequest(model_name="none", id="9")
    with grpc_service.stub() as stub:
        responses = list(stub.ModelStreamInfer(iter(requests)))

    assert [each.infer_response.id for each in responses] == [str(i) for i in range(200)]
    assert responses[7].error_message.startswith("invalid_request: inputs[")
    assert responses[9].error_message.startswith("unknown_model: ")
    assert [i for i, each in enumerate(responses) if each.error_message] == [7, 9]


def test_tritons_stream_works_as_it_comes(grpc_service: GrpcService) -> None:
    answered: queue.Queue[Any] = queue.Queue()
    with grpc_service.triton() as client:
        client.start_stream(callback=lambda result, error: answered.put((result, error)))
        for _ in range(3):
            client.async_stream_infer("tiny", inputs_of(WHOLE))
        found = [answered.get(timeout=30) for _ in range(3)]
        client.stop_stream()

    assert all(error is None for _, error in found)
    assert found[0][0].as_numpy("prediction").shape == (len(WHOLE),)


def test_tritons_client_gets_the_reason(grpc_service: GrpcService) -> None:
    rows = [tiny.GOOD, tiny.GOOD | {"age": -1.0}]
    with (
        grpc_service.triton() as client,
        pytest.raises(InferenceServerException, match=r"inputs\[1\]\.data\[1\]: expected a num"),
    ):
        client.infer("tiny", inputs_of(rows))
