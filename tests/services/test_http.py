"""What a client sees: right answers, and for what is wrong a reason, never a 5xx."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import bentoml
import numpy as np
import pytest

from services.faults import STATUSES
from slipway.load_client import send
from tests import tiny
from tests.services.conftest import Service, serving
from tests.services.http_client import GOOD, JSON, ask, changed, metric, without
from tests.services.raw_connection import connected, request
from training.dataset import plain_rows
from training.fitting import fit
from training.recipe import Recipe

pytestmark = pytest.mark.slow

BAD: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "invalid_json", ""),
    "not json": (b"age=3", "invalid_json", ""),
    "truncated": (GOOD[:-1], "invalid_json", ""),
    "two documents": (GOOD + GOOD, "invalid_json", ""),
    "not utf-8": (b'{"age": "\xff"}', "invalid_json", ""),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "invalid_json", ""),
    "nan": (changed(age=float("nan")), "invalid_json", ""),
    "infinity": (changed(age=float("inf")), "invalid_json", ""),
    "deep nesting": (b"[" * 100_000, "invalid_json", ""),
    "nested value": (b'{"age":' + b"[" * 500 + b"]" * 500 + b"}", "invalid_request", "age"),
    "five thousand digits": (GOOD.replace(b"40", b"9" * 5000), "invalid_json", ""),
    "list": (b"[" + GOOD + b"]", "invalid_request", "body"),
    "null body": (b"null", "invalid_request", "body"),
    "text body": (b'"age"', "invalid_request", "body"),
    "missing": (without("age"), "invalid_request", "age"),
    "null": (changed(age=None), "invalid_request", "age"),
    "text for number": (changed(age="40"), "invalid_request", "age"),
    "bool for number": (changed(age=True), "invalid_request", "age"),
    "object for number": (changed(age={"value": 40}), "invalid_request", "age"),
    "too low": (changed(age=17.999), "invalid_request", "age"),
    "too high": (changed(age=100.001), "invalid_request", "age"),
    "beyond float64": (GOOD.replace(b"40", b"1e400"), "invalid_request", "age"),
    "beyond float32": (changed(lines=10**39), "invalid_request", "lines"),
    "fraction": (changed(lines=2.5), "invalid_request", "lines"),
    "number for bool": (changed(owner=1), "invalid_request", "owner"),
    "text for bool": (changed(owner="true"), "invalid_request", "owner"),
    "unseen category": (changed(work="maybe"), "invalid_request", "work"),
    "number for category": (changed(work=1), "invalid_request", "work"),
    "other case": (changed(work="Yes"), "invalid_request", "work"),
    "extra": (changed(colour="red"), "invalid_request", "colour"),
    "duplicate key": (GOOD[:-1] + b', "age": 41}', "invalid_request", "age"),
    "escaped duplicate": (GOOD[:-1] + b', "\\u0061ge": 41}', "invalid_request", "age"),
    "duplicate hides a gap": (without("income")[:-1] + b', "age": 41}', "invalid_request", "age"),
    "too large": (b" " * (5 * 1024 * 1024), "body_too_large", ""),
}


@pytest.mark.parametrize(("body", "code", "path"), BAD.values(), ids=BAD.keys())
def test_a_bad_body_gets_the_reason_and_harms_nobody(
    service: Service, body: bytes, code: str, path: str
) -> None:
    status, answer, headers = ask(service, "/models/tiny/predict", body)
    error = answer["error"]

    assert status == STATUSES[code]
    assert 400 <= status < 500
    assert error["code"] == code
    assert error["message"]
    assert error["request_id"] == headers["x-request-id"]
    if path:
        assert path in {v["path"] for v in error["violations"]}
        assert all(v["expected"] and v["got"] for v in error["violations"])
    assert ask(service, "/models/tiny/predict")[0] == 200


@pytest.mark.parametrize(
    ("path", "method", "headers", "code"),
    [
        ("/models/tny/predict", "POST", JSON, "unknown_model"),
        ("/predict", "POST", JSON, "unknown_model"),
        ("/models/tiny/train", "POST", JSON, "not_found"),
        ("/models/tiny/predict", "GET", JSON, "method_not_allowed"),
        ("/models/tiny/predict", "DELETE", JSON, "method_not_allowed"),
        ("/models/tiny", "POST", JSON, "method_not_allowed"),
        ("/models/tiny/predict", "POST", {"content-type": "text/csv"}, "unsupported_media_type"),
        (
            "/models/tiny/predict",
            "POST",
            {"content-type": "application/json; charset=latin-1"},
            "unsupported_media_type",
        ),
        (
            "/models/tiny/predict",
            "POST",
            JSON | {"content-encoding": "br"},
            "unsupported_media_type",
        ),
        ("/models/tiny/predict", "POST", JSON | {"content-encoding": "gzip"}, "invalid_coding"),
    ],
)
def test_a_bad_path_or_header_gets_the_reason(
    service: Service, path: str, method: str, headers: dict[str, str], code: str
) -> None:
    status, answer, got = ask(service, path, GOOD, method, headers)

    assert (status, answer["error"]["code"]) == (STATUSES[code], code)
    if code == "method_not_allowed":
        assert got["allow"] == ("POST, OPTIONS" if "predict" in path else "GET, HEAD, OPTIONS")
    if code == "unknown_model":
        assert "tiny3" in answer["error"]["message"]


def test_an_answer_has_all_that_it_promises(service: Service) -> None:
    body = changed(income=2e6, region="mars")
    named = JSON | {"x-request-id": "abc-1"}
    status, answer, headers = ask(service, "/models/tiny/predict", body, headers=named)

    assert status == 200
    assert headers["x-request-id"] == "abc-1"
    assert set(answer["probabilities"]) == {"no", "yes"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert sorted(answer["flags"]) == ["clipped:income", "unseen:region"]
    assert (answer["model"], answer["version"], answer["variant"]) == ("tiny", 1, "production")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", answer["time"])


def test_a_strange_request_id_is_not_echoed(service: Service) -> None:
    _, _, headers = ask(
        service, "/models/tiny/predict", headers=JSON | {"x-request-id": "a b\tc" + "d" * 200}
    )

    assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])


@pytest.mark.parametrize(
    "recipe",
    [tiny.binary(), tiny.multiclass(), tiny.regression(), tiny.pair()],
    ids=lambda r: r.name,
)
def test_answers_are_the_pipelines_own(service: Service, recipe: Recipe) -> None:
    """The oracle is scikit-learn, on held-out rows, from a DataFrame."""
    from training.pipeline import scores_of
    from training.reference import predictions

    fitted = fit(recipe)
    rows = plain_rows(fitted.data.split.holdout, recipe.schema)
    rows = (rows * (1000 // len(rows) + 1))[:1000]
    body = json.dumps({"rows": rows}).encode()
    status, answer, _ = ask(service, f"/models/{recipe.name}/predict/batch", body)
    scores = scores_of(fitted.pipeline, fitted.data.split.holdout, recipe)
    expected = predictions(recipe, scores)
    field = "values" if recipe.task == "regression" else "probabilities"
    got = np.array([list(r[field].values()) for r in answer["results"]])
    wanted = np.tile(scores, (1000 // len(scores) + 1, 1))[:1000]
    scale = np.std(fitted.target, axis=0) if recipe.task == "regression" else 1.0

    assert (status, answer["failed"]) == (200, 0)
    assert (np.abs(got - wanted) / scale).max() <= fitted.certificate.tolerance
    if recipe.task != "regression":
        tiled = np.tile(expected, 1000 // len(scores) + 1)[:1000]
        assert [r["prediction"] for r in answer["results"]] == list(tiled)


def test_a_bad_row_does_not_fail_its_batch_neighbours(service: Service) -> None:
    rows = [tiny.GOOD, tiny.GOOD | {"age": -1}, tiny.GOOD]
    _, answer, _ = ask(service, "/models/tiny/predict/batch", json.dumps({"rows": rows}).encode())
    results = answer["results"]

    assert answer["failed"] == 1
    assert [set(r) >= {"prediction"} for r in results] == [True, False, True]
    assert results[1]["error"]["violations"][0]["path"] == "rows[1].age"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "invalid_request"),
        (b'{"rows": 3}', "invalid_request"),
        (b'{"rows": []}', "invalid_request"),
        (b'{"rows": [{}], "x": 1}', "invalid_request"),
        (b'{"rows": [' + b"{}," * 4096 + b"{}]}", "body_too_large"),
        (b"{", "invalid_json"),
    ],
)
def test_a_bad_batch_gets_the_reason(service: Service, body: bytes, code: str) -> None:
    status, answer, _ = ask(service, "/models/tiny/predict/batch", body)

    assert (status, answer["error"]["code"]) == (STATUSES[code], code)


def test_models_are_listed_with_their_schema(service: Service) -> None:
    _, listed, _ = ask(service, "/models", None, "GET")
    _, one, _ = ask(service, "/models/tiny", None, "GET")

    assert [m["name"] for m in listed["models"]] == ["tiny", "tiny3", "tinypair", "tinyvalue"]
    assert one["schema"]["features"][1] == {
        "name": "age",
        "type": "float",
        "unit": "years",
        "minimum": 18.0,
        "maximum": 100.0,
    }


def test_bentomls_own_client_and_documents_know_every_model(service: Service) -> None:
    with bentoml.SyncHTTPClient(service.url) as client:
        answer = client.predict_tiny(**tiny.GOOD)
    _, direct, _ = ask(service, "/models/tiny/predict")
    _, schema, _ = ask(service, "/schema.json", None, "GET")
    routes = {route["route"]: route for route in schema["routes"]}

    assert answer["probabilities"] == direct["probabilities"]
    assert set(routes) >= {"/models/tiny/predict", "/models/tinyvalue/predict/batch"}
    age = routes["/models/tiny/predict"]["input"]["properties"]["age"]
    assert (age["minimum"], age["maximum"]) == (18, 100)
    assert ask(service, "/", None, "GET")[0] == 200


def test_requests_that_arrive_together_are_scored_together(service: Service) -> None:
    calls = 'slipway_batch_rows_count{model="tiny"}'
    rows = 'slipway_batch_rows_sum{model="tiny"}'
    before = metric(service, calls), metric(service, rows)
    n_connections, n_rounds = 100, 30
    with ExitStack() as stack:
        raws = [stack.enter_context(connected(service)) for _ in range(n_connections)]
        for _ in range(n_rounds):
            for raw in raws:
                raw.send(request())
            assert {raw.answer()[0] for raw in raws} == {200}
    n_calls, n_rows = metric(service, calls) - before[0], metric(service, rows) - before[1]

    assert n_rows == n_connections * n_rounds
    assert n_calls < n_rows / 3


def test_one_bad_client_in_four_fails_nobody_else(service: Service) -> None:
    bodies = [body for body, _, _ in BAD.values() if len(body) < 10_000]
    with ThreadPoolExecutor(4) as pool:
        bad = pool.submit(lambda: [ask(service, "/models/tiny/predict", b)[0] for b in bodies * 3])
        good = [
            pool.submit(send, service.url, "tiny", [tiny.GOOD] * 1000, connections=8)
            for _ in range(3)
        ]
        assert [job.result().errors for job in good] == [0, 0, 0]
        assert all(400 <= status < 500 for status in bad.result())


def test_a_dripping_body_ends_with_408(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_BODY_TIMEOUT_S="0.5") as service:
        parts = urlsplit(service.url)
        with socket.create_connection((parts.hostname, parts.port)) as raw:
            head = b"POST /models/tiny/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"
            raw.sendall(head)
            raw.settimeout(10)
            assert raw.recv(100).startswith(b"HTTP/1.1 408")
        assert ask(service, "/models/tiny/predict")[0] == 200
