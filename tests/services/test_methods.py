"""HEAD, OPTIONS and cross-origin requests on every path; what MLflow's client asks for."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from services.edge.cors import CrossOrigin
from tests.services.conftest import Service, serving
from tests.services.http_client import GOOD, JSON, ask
from tests.services.raw_connection import connected, request

pytestmark = pytest.mark.slow
ORIGIN = "https://shop.example"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-user-id",
}
CORS = (
    "services.predictor.http.cors.enabled=true "
    f"services.predictor.http.cors.access_control_allow_origins[0]={ORIGIN}"
)
BENTOML_PATHS = ("/livez", "/readyz", "/healthz", "/metrics")


def exchange(service: Service, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and every byte of the body of a response."""
    to = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
    to.request(method, path)
    response = to.getresponse()
    body = response.read()
    to.close()
    return response.status, {k.lower(): v for k, v in response.headers.items()}, body


def test_head_is_get_without_a_body_on_every_path(service: Service) -> None:
    document = ask(service, "/docs.json", None, "GET")[1]
    gets = [path for path, item in document["paths"].items() if "get" in item]
    assert len(gets) > 20
    for path in (*gets, "/version", "/docs.json", "/schema.json"):
        got, headed = exchange(service, "GET", path), exchange(service, "HEAD", path)
        assert (headed[0], headed[2]) == (got[0], b""), path
        assert headed[1].get("content-type") == got[1].get("content-type"), path
        if path not in BENTOML_PATHS:
            assert headed[1]["content-length"] == str(len(got[2])), path


def test_options_and_other_methods_name_the_methods_of_every_path(service: Service) -> None:
    document = ask(service, "/docs.json", None, "GET")[1]
    for path, item in document["paths"].items():
        if path in BENTOML_PATHS:
            continue
        allowed = "POST, OPTIONS" if "post" in item else "GET, HEAD, OPTIONS"
        status, headers, body = exchange(service, "OPTIONS", path)
        assert (status, headers["allow"], body) == (204, allowed, b""), path
        assert "content-length" not in headers
        for method in ("PUT", "DELETE", "PATCH", "HEAD" if "post" in item else "POST"):
            status, headers, _ = exchange(service, method, path)
            assert (status, headers["allow"]) == (405, allowed), (method, path)
    assert exchange(service, "OPTIONS", "/models/tiny/nothing")[0] == 404


def test_a_connection_goes_on_after_each_method(service: Service) -> None:
    with connected(service) as raw:
        for method in (b"OPTIONS", b"PUT", b"DELETE"):
            raw.send(request().replace(b"POST", method) + request())
            if method == b"OPTIONS":
                raw.unread = raw.socket.recv(300)
                head, _, raw.unread = raw.unread.partition(b"\r\n\r\n")
                assert b" 204 " in head
            else:
                assert raw.answer()[0] == 405
            assert raw.answer()[0] == 200


def test_without_the_setting_no_origin_is_mentioned(service: Service) -> None:
    for method, path in (("OPTIONS", "/models/tiny/predict"), ("POST", "/models/tiny/predict")):
        _, _, headers = ask(service, path, GOOD, method, JSON | PREFLIGHT)
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def crossed(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that a page of one other origin may ask."""
    folder = tmp_path_factory.mktemp("cors")
    with serving(folder, models, BENTOML_CONFIG_OPTIONS=CORS) as running:
        yield running


@pytest.mark.parametrize("path", ["/models/tiny/predict", "/models", "/livez", "/v2/models/tiny"])
def test_a_browser_may_ask_from_the_configured_origin(crossed: Service, path: str) -> None:
    _, _, headers = ask(crossed, path, None, "OPTIONS", PREFLIGHT)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in headers["access-control-allow-methods"]
    assert "x-user-id" in headers["access-control-allow-headers"]
    status, _, headers = ask(crossed, path, None, "OPTIONS", PREFLIGHT | {"origin": "https://x.y"})
    assert status == 400
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/models/tiny/predict", GOOD),
        ("POST", "/models/tiny/predict", b"{}"),
        ("POST", "/models/tiny/predict/batch", json.dumps({"rows": [json.loads(GOOD)] * 9})),
        ("GET", "/models", None),
        ("GET", "/livez", None),
        ("GET", "/models/none", None),
    ],
    ids=["predict", "bad row", "batch", "models", "livez", "404"],
)
def test_each_answer_names_the_origin(
    crossed: Service, method: str, path: str, body: bytes | str | None
) -> None:
    sent = body.encode() if isinstance(body, str) else body
    _, _, headers = ask(crossed, path, sent, method, JSON | {"origin": ORIGIN})
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "origin" in headers["vary"].lower()
    _, _, headers = ask(crossed, path, sent, method, JSON | {"origin": "https://x.y"})
    assert "access-control-allow-origin" not in headers
    _, _, headers = ask(crossed, path, sent, method)
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("origins", [[ORIGIN], ["*"]])
@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("origin", [ORIGIN.encode(), b"https://x.y", None])
def test_the_fast_path_says_what_starlettes_middleware_says(
    origins: list[str], *, credentials: bool, origin: bytes | None
) -> None:
    import asyncio

    sent: list[dict[str, Any]] = []

    async def app(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    options = {"allow_origins": origins, "allow_credentials": credentials}
    cors = CrossOrigin(app, options)
    headers = [] if origin is None else [(b"origin", origin)]
    scope = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(cors(scope, None, send))  # type: ignore[arg-type]  # nothing is received
    said = {k: v for k, v in sent[0]["headers"] if k != b"vary"}

    assert {k: v for k, v in cors.response_headers(origin) if k != b"vary"} == said


def test_mlflows_client_finds_a_model_by_its_path(service: Service) -> None:
    parts = urlsplit(service.url)
    client = ScoringServerClient(parts.hostname, parts.port)
    version = client.get_version()
    client.url_prefix += "/models/tiny"
    client.ping()
    client.wait_server_ready(timeout=5)

    assert client.get_version() == version == "checkout"
    assert exchange(service, "GET", "/version")[1]["content-type"].startswith("text/plain")
    assert ask(service, "/models/none/ping", None, "GET")[0] == 404


@pytest.mark.parametrize(
    "path", ["/v2/models/tiny/versions/99/infer", "/v2/models/tiny/versions/x"]
)
def test_a_version_that_is_not_served_is_named(service: Service, path: str) -> None:
    method = "POST" if path.endswith("infer") else "GET"
    status, answer, _ = ask(service, path, GOOD if method == "POST" else None, method)

    assert (status, answer["code"]) == (404, "unknown_model")
    assert "version of tiny: expected one that is served (1), got '" in answer["error"]
