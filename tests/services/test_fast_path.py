"""Heads that are known, and bytes that only look like them: the answers stay right."""

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.services.conftest import Service, serving
from tests.services.http_client import GOOD, ask
from tests.services.raw_connection import PATH, connected, request, row

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(service: Service) -> dict[int, Any]:
    """The answers of the ordinary way, by age."""
    answers = {}
    for age in range(18, 48):
        named = {"content-type": "application/json", "x-request-id": f"age-{age}"}
        _, answer, headers = ask(service, PATH, row(age), headers=named)
        assert headers["x-request-id"] == f"age-{age}"
        answers[age] = answer["probabilities"]
    return answers


def test_known_heads_get_the_answers_of_the_ordinary_way(
    service: Service, plain: dict[int, Any]
) -> None:
    ids = set()
    with connected(service) as raw:
        for age in [*plain, *plain]:
            raw.send(request(row(age)))
            status, headers, answer = raw.answer()
            ids |= {answer["prediction_id"], headers["x-request-id"]}
            assert status == 200
            assert answer["probabilities"] == plain[age]
            assert headers["content-type"] == "application/json"
            assert headers["date"].endswith("GMT")
    assert len(ids) == 4 * len(plain)


def test_a_batch_with_a_known_head_gets_the_answer_of_the_ordinary_way(service: Service) -> None:
    good = [tiny.GOOD | {"age": age} for age in range(18, 90)]
    path = f"{PATH}/batch"
    bodies = {
        "rows": {"rows": good},
        "columns": {"columns": {name: [row[name] for row in good] for name in tiny.GOOD}},
        "a bad row": {"rows": [*good, tiny.GOOD | {"age": 7}]},
        "a clipped row": {"rows": [*good, tiny.GOOD | {"income": -1.0}]},
        "no rows": {"rows": []},
    }
    with connected(service) as raw:
        for what, document in bodies.items():
            body = json.dumps(document).encode()
            named = {"content-type": "application/json", "x-request-id": "ordinary"}
            status, answer, _ = ask(service, path, body, headers=named)
            for _ in range(3):
                raw.send(request(body, path))
                got, _, known = raw.answer()
                assert (what, got, scores_of(known)) == (what, status, scores_of(answer))
                assert known.get("failed") == answer.get("failed")


def test_a_body_beyond_the_limit_is_refused_with_a_known_head_too(
    models: Path, tmp_path: Path
) -> None:
    with (
        serving(tmp_path, models, SLIPWAY_SERVICE_BODY_BYTES="1000") as service,
        connected(service) as raw,
    ):
        for size, status in [(900, 200), (900, 200), (1500, 413)]:
            raw.send(request(GOOD + b" " * (size - len(GOOD))))
            assert raw.answer()[0] == status
        for _ in range(2):
            with connected(service) as other:
                other.send(request(GOOD + b" " * (1500 - len(GOOD))))
                assert other.answer()[0] == 413


def scores_of(answer: Any) -> Any:
    """The part of an answer to a batch that is the same each time."""
    results = answer.get("results", [])
    return [row.get("probabilities") or row["error"] for row in results]


def test_a_request_in_pieces_and_one_byte_at_a_time(service: Service) -> None:
    with connected(service) as raw:
        for cut in (0, 1, 40, 75, 80, len(request()) - 1):
            raw.send(request())
            assert raw.answer()[0] == 200
            raw.send(request()[:cut])
            time.sleep(0.02)
            raw.send(request()[cut:])
            assert raw.answer()[0] == 200
        for byte in request():
            raw.send(bytes([byte]))
        assert raw.answer()[0] == 200


def test_pipelined_requests_are_answered_in_order(service: Service, plain: dict[int, Any]) -> None:
    ages = list(plain)
    with connected(service) as raw:
        raw.send(request(row(20)))
        assert raw.answer()[0] == 200
        raw.send(b"".join(request(row(age)) for age in ages))
        assert [raw.answer()[2]["probabilities"] for _ in ages] == [plain[a] for a in ages]
        for age in ages:
            raw.send(request(row(age)))
        assert [raw.answer()[2]["probabilities"] for _ in ages] == [plain[a] for a in ages]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(b"{"), 400),
        (request(b"{}"), 422),
        (request(path="/models/tny/predict"), 404),
        (request(extra="expect: 100-continue\r\n"), 100),
        (request(extra="x-request-id: a\r\n"), 200),
        (request(extra="content-encoding: gzip\r\n"), 400),
        (request(extra="content-encoding: br\r\n"), 415),
        (request(path=PATH + "?a=b"), 200),
        (b"\r\n" + request(), 200),
        (request().replace(b"application/json", b"text/plain"), 415),
        (request().replace(b"POST", b"PUT"), 405),
        (request().replace(b"host: x", b"host: x\r\nx-y: " + b"a" * 5000), 200),
    ],
    ids=str,
)
def test_each_kind_of_request_is_answered_thrice_on_one_connection(
    service: Service, data: bytes, status: int
) -> None:
    with connected(service) as raw:
        for _ in range(3):
            raw.send(data)
            if status == 100:
                raw.socket.settimeout(5)
                head = raw.socket.recv(25)
                assert head in {b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"} or head
                raw.unread = head.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
                assert raw.answer()[0] == 200
            else:
                assert raw.answer()[0] == status
            raw.send(request())
            assert raw.answer()[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        request(version="1.0"),
        request(extra="connection: close\r\n"),
    ],
    ids=["HTTP/1.0", "close"],
)
def test_a_connection_is_closed_for_who_wants_it(service: Service, data: bytes) -> None:
    for _ in range(2):
        with connected(service) as raw:
            raw.send(data)
            assert raw.answer()[0] == 200
            assert raw.is_closed()


@pytest.mark.parametrize(
    "data",
    [
        request(extra=f"content-length: {len(GOOD)}\r\n"),
        request(extra="transfer-encoding: chunked\r\n"),
        request().replace(b"\r\nhost", b"\nhost"),
        request().replace(b"host: x", b"host: x\r\n folded"),
        request().replace(b"content-length: ", b"content-length: +"),
    ],
    ids=["two lengths", "length and chunked", "bare newline", "folded", "signed length"],
)
def test_a_head_that_two_parsers_could_read_differently_misleads_nobody(
    service: Service, data: bytes
) -> None:
    """Whatever the first answer is (uvicorn's parser decides), what follows is not misread."""
    for _ in range(2):
        with connected(service) as raw:
            raw.send(data)
            first = raw.answer()[0]
            if first == 200:
                raw.send(request())
                assert raw.answer()[0] == 200
    assert ask(service, PATH)[0] == 200


def test_a_client_that_leaves_takes_nobody_with_it(service: Service) -> None:
    for _ in range(20):
        with connected(service) as raw:
            raw.send(request())
            raw.answer()
            raw.send(request())
    with connected(service) as raw:
        raw.send(request())
        assert raw.answer()[0] == 200


def test_a_client_that_does_not_read_is_not_answered_for_ever(service: Service) -> None:
    """Its answers fill the socket's buffers; then its requests wait there too."""
    with connected(service) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.socket.settimeout(0.5)
        sent = 0
        try:
            for _ in range(200_000):
                sent += raw.socket.send(request())
        except TimeoutError:
            pass
        assert sent < 60_000_000
        assert ask(service, PATH)[0] == 200


def test_a_head_without_an_end_is_refused(service: Service) -> None:
    with connected(service) as raw:
        raw.send(b"POST /models/tiny/predict HTTP/1.1\r\nhost: ")
        try:
            for _ in range(100):
                raw.send(b"a" * 10_000)
        except ConnectionError:
            pass
        else:
            assert raw.answer()[0] == 431
    with connected(service) as raw:
        raw.send(b"POST /models/tiny/predict HTTP/1.1\r\n" + b"a: b\r\n" * 40_000)
        assert raw.answer()[0] == 431
    assert ask(service, PATH)[0] == 200


def test_a_dripping_head_and_a_silent_client_are_not_waited_for(
    models: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_BODY_TIMEOUT_S="1") as service:
        with connected(service) as raw, connected(service) as silent:
            raw.send(request()[:30])
            status, _, answer = raw.answer()
            assert (status, answer["error"]["code"]) == (408, "body_timeout")
            assert raw.is_closed()
            assert silent.is_closed()
        with connected(service) as raw:
            raw.send(request()[:30])
            time.sleep(0.3)
            raw.send(request()[30:])
            assert raw.answer()[0] == 200


def test_an_idle_connection_is_closed_and_a_used_one_is_not(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, BENTOML_HTTP_TIMEOUT="60") as service, connected(service) as raw:
        for _ in range(4):
            raw.send(request())
            assert raw.answer()[0] == 200
            time.sleep(2)
        raw.socket.settimeout(15)
        begin = time.monotonic()
        assert raw.is_closed()
        assert time.monotonic() - begin > 1
