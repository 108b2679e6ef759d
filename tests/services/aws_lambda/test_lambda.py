"""The function answers like the service, bit for bit, to every kind of event."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import NothingInProduction
from contracts.traffic import TrafficRecord
from services.aws_lambda.events import LambdaRequest, request_of
from services.aws_lambda.predictions import LambdaPredictor
from services.faults import Fault
from services.settings import ServiceSettings
from tests import tiny
from tests.services.aws_lambda.runtime_api import RuntimeApi, function
from tests.services.conftest import Service
from tests.services.http_client import ask

pytestmark = pytest.mark.slow

OWN = ("prediction_id", "time", "request_id")
"""What differs each time that a row is scored."""
ROWS = [tiny.GOOD, tiny.GOOD | {"region": "west", "income": 2e6}, tiny.GOOD | {"income": None}]
BAD = tiny.GOOD | {"age": "forty"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lambda") / "function.log"


@pytest.fixture(scope="module")
def running(models: Path, log: Path) -> Iterator[RuntimeApi]:
    with function(models, log) as api:
        yield api


def url_event(path: str, body: str, method: str = "POST", **headers: str) -> dict[str, Any]:
    """An event of a function URL or an HTTP API."""
    return {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": "application/json"} | headers,
        "requestContext": {"http": {"method": method, "path": path}},
        "body": body,
        "isBase64Encoded": False,
    }


def rest_event(path: str, body: str) -> dict[str, Any]:
    """An event of a REST API or a load balancer, whose body is in base64."""
    return {
        "httpMethod": "POST",
        "path": path,
        "headers": {"Content-Type": "application/json; charset=utf-8"},
        "body": base64.b64encode(body.encode()).decode(),
        "isBase64Encoded": True,
    }


def without_own(answer: Any) -> Any:
    """An answer without the fields that differ each time."""
    if isinstance(answer, dict):
        return {key: without_own(value) for key, value in answer.items() if key not in OWN}
    return [without_own(each) for each in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/models/tiny/predict", ROWS[1]),
        ("/models/tiny/predict/batch", {"rows": [*ROWS, BAD]}),
        ("/models/tiny/predict/batch", {"columns": {n: [r[n] for r in ROWS] for n in ROWS[0]}}),
        ("/models/tiny/invocations", {"dataframe_records": ROWS}),
        ("/v2/models/tiny/infer", {"inputs": []}),
        ("/models/tiny/predict", BAD),
        ("/models/tinypair/predict", ROWS[0]),
    ],
)
def test_it_answers_like_the_service(
    running: RuntimeApi, service: Service, path: str, content: Any
) -> None:
    """Statuses and numbers are equal, digit by digit, since both are compared as JSON."""
    body = json.dumps(content)
    status, expected, _ = ask(service, path, body.encode())

    for event in (url_event(path, body), rest_event(path, body)):
        answer = running.invoke(event)

        assert answer["statusCode"] == status
        assert without_own(json.loads(answer["body"])) == without_own(expected)


def test_csv_is_read(running: RuntimeApi, service: Service) -> None:
    path = "/models/tiny/invocations"
    text = ",".join(tiny.GOOD) + "\nnorth,40,50000,3,true,yes\n"
    _, expected, _ = ask(service, path, text.encode(), headers={"content-type": "text/csv"})

    answer = running.invoke(url_event(path, text, **{"content-type": "text/csv"}))

    assert json.loads(answer["body"]) == expected


def test_a_path_a_method_and_a_body_that_are_not_ours_get_the_usual_statuses(
    running: RuntimeApi,
) -> None:
    path, body = "/models/tiny/predict", json.dumps(tiny.GOOD)
    events = [
        url_event("/elsewhere", body),
        url_event(path, body, "GET"),
        url_event(path, body, **{"content-type": "text/html"}),
        url_event(path, body, **{"content-encoding": "gzip"}),
        url_event(path, "{"),
        url_event("/ping", "", "GET"),
        rest_event(path, "") | {"body": "no base64!"},
    ]

    assert [running.invoke(e)["statusCode"] for e in events] == [404, 405, 415, 400, 400, 200, 400]


def test_a_prediction_is_a_line_of_standard_output_before_it_is_answered(
    running: RuntimeApi, log: Path
) -> None:
    event = url_event("/models/tiny/predict", json.dumps(tiny.GOOD), **{"x-user-id": "ada"})

    answer = json.loads(running.invoke(event)["body"])

    lines = [line for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    records = [TrafficRecord.read(line) for line in lines if b"prediction_id" in line]
    (record,) = (each for each in records if each.prediction_id == answer["prediction_id"])
    assert record.features == tiny.GOOD
    assert record.unit


def test_a_direct_call_gets_the_answer_itself(models: Path) -> None:
    """The event is the body, and with one model no path is needed."""
    lines: list[bytes] = []
    predictor = LambdaPredictor(ServiceSettings(var=only(models, "tiny")), lines.append)

    one = predictor.answer(request_of(tiny.GOOD))
    several = predictor.answer(request_of({"rows": ROWS}))

    assert json.loads(one.body)["model"] == "tiny"
    assert len(json.loads(several.body)["results"]) == 3
    assert [line.count(b"\n") for line in lines] == [1, 3]


def only(models: Path, name: str) -> Path:
    """A `var/` with one of the models."""
    var = models.parent / f"only_{name}"
    shutil.copytree(models / "models" / name, var / "models" / name)
    return var


def test_a_full_log_refuses_a_prediction(models: Path) -> None:
    def full(lines: bytes) -> None:
        del lines
        raise OSError(28, "No space left on device")

    predictor = LambdaPredictor(ServiceSettings(var=models), full)
    request = LambdaRequest("POST", "/models/tiny/predict", json.dumps(tiny.GOOD).encode())

    answer = predictor.answer(request)

    assert (answer.status, b"traffic_log_unavailable" in answer.body) == (503, True)


def test_an_event_of_another_kind_is_refused() -> None:
    with pytest.raises(Fault, match="event: expected an object, got list"):
        request_of([1])


def test_a_function_without_models_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(NothingInProduction, match="expected models in production, got none"):
        LambdaPredictor(ServiceSettings(var=tmp_path), print)


def test_the_stage_of_an_http_api_is_no_part_of_the_path() -> None:
    event = {
        "rawPath": "/prod/models/loan/predict",
        "requestContext": {"stage": "prod", "http": {"method": "POST"}},
        "body": "{}",
    }

    assert request_of(event).path == "/models/loan/predict"
    event["requestContext"] = {"stage": "$default", "http": {"method": "POST"}}
    assert request_of(event).path == "/prod/models/loan/predict"


def test_headers_with_several_values_are_read() -> None:
    event = {
        "httpMethod": "POST",
        "path": "/invocations",
        "multiValueHeaders": {"Content-Type": ["text/csv"]},
        "body": "a\n1\n",
    }

    assert request_of(event).media_type == "text/csv"


def test_a_direct_call_with_what_json_has_not_is_left_to_the_decoder() -> None:
    assert request_of({"age": float("inf")}).body == b'{"age":Infinity}'
    assert request_of({"name": "\ud800"}).body == b'{"name":"\xed\xa0\x80"}'
