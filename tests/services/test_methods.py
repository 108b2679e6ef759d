"""HEAD, OPTIONS and cross-origin requests on every path; what MLflow's client asks for."""

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from services.edge.cors import CrossOrigin
from tests.services.conftest import Guarded, Service
from tests.services.http_client import GOOD, JSON, ask
from tests.services.raw_connection import connected, request

pytestmark = pytest.mark.slow
ORIGIN = "https://shop.example"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-user-id",
}
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
        methods = [m for m in ("GET", "POST", "PUT", "DELETE") if m.lower() in item]
        if "GET" in methods:
            methods.insert(1, "HEAD")
        allowed = ", ".join([*methods, "OPTIONS"])
        status, headers, body = exchange(service, "OPTIONS", path)
        assert (status, headers["allow"], body) == (204, allowed, b""), path
        assert "content-length" not in headers
        for method in {"PUT", "DELETE", "PATCH", "HEAD", "POST"} - {*methods}:
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


@pytest.mark.parametrize("path", ["/models/tiny/predict", "/models", "/livez", "/v2/models/tiny"])
def test_a_browser_may_ask_from_the_configured_origin(guarded: Guarded, path: str) -> None:
    """Its preflight request has no key."""
    _, _, headers = ask(guarded.service, path, None, "OPTIONS", PREFLIGHT)
    assert headers["access-control-allow-origin"] == guarded.origin == ORIGIN
    assert "POST" in headers["access-control-allow-methods"]
    assert "x-user-id" in headers["access-control-allow-headers"]
    assert "x-api-key" in headers["access-control-allow-headers"]
    other = PREFLIGHT | {"origin": "https://x.y"}
    status, _, headers = ask(guarded.service, path, None, "OPTIONS", other)
    assert status == 400
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/models/tiny/predict", GOOD, 200),
        ("POST", "/models/tiny/predict", b"{}", 422),
        ("POST", "/models/tiny/predict/batch", b'{"rows":[%b]}' % b",".join([GOOD] * 9), 200),
        ("GET", "/models", None, 200),
        ("GET", "/livez", None, 200),
        ("GET", "/models/none", None, 404),
    ],
    ids=["predict", "bad row", "batch", "models", "livez", "404"],
)
def test_each_answer_names_the_origin(
    guarded: Guarded, method: str, path: str, body: bytes | None, expected: int
) -> None:
    headers = JSON | {"x-api-key": guarded.key}
    status, _, got = ask(guarded.service, path, body, method, headers | {"origin": ORIGIN})
    assert (status, got["access-control-allow-origin"]) == (expected, ORIGIN)
    assert "origin" in got["vary"].lower()
    for other in (headers | {"origin": "https://x.y"}, headers):
        _, _, got = ask(guarded.service, path, body, method, other)
        assert "access-control-allow-origin" not in got


def test_a_page_may_read_why_its_key_is_refused(guarded: Guarded) -> None:
    """A script that may not read the response cannot say what is wrong."""
    headers = JSON | {"origin": ORIGIN}
    status, _, got = ask(guarded.service, "/models/tiny/predict", GOOD, headers=headers)

    assert (status, got["access-control-allow-origin"]) == (401, ORIGIN)


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
