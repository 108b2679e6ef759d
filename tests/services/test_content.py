"""Bodies that are not plain JSON, in requests and responses, on the fast and the ordinary path."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.codings import MAX_GZIP_MEMBERS, accepts_gzip, packed, unpacked
from services.edge.request_content import is_plain
from services.faults import Fault
from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import GOOD, JSON, ask
from tests.services.raw_connection import connected, request

LIMIT = 1_000_000
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}


@given(st.binary(max_size=200_000), st.sampled_from(sorted(CODERS)))
def test_what_was_packed_is_unpacked(body: bytes, coding: str) -> None:
    assert unpacked(CODERS[coding](body), coding.encode(), LIMIT) == body
    assert gzip.decompress(packed(body)) == body


@given(st.binary(max_size=500))
def test_other_bytes_raise_nothing_but_a_fault(body: bytes) -> None:
    for coding in CODERS:
        with pytest.raises(Fault, match="invalid_coding: content-encoding: expected a body in"):
            unpacked(body, coding.encode(), LIMIT)


def test_several_gzip_members_are_one_body_but_not_thousands() -> None:
    assert unpacked(gzip.compress(b"a") + gzip.compress(b"b"), b"gzip", LIMIT) == b"ab"
    with pytest.raises(Fault, match=f"more than {MAX_GZIP_MEMBERS} members"):
        unpacked(gzip.compress(b"") * 10_000, b"gzip", LIMIT)
    with pytest.raises(Fault, match="bytes behind its end"):
        unpacked(zlib.compress(b"a") + b"b", b"deflate", LIMIT)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 100 * LIMIT)
    tracemalloc.start()
    with pytest.raises(Fault, match=r"body_too_large: .* at most 1000000 bytes unpacked"):
        unpacked(bomb, b"gzip", LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * LIMIT


@pytest.mark.parametrize("coding", CODERS)
def test_compressed_requests_get_the_same_predictions(service: Service, coding: str) -> None:
    body = CODERS[coding](GOOD)
    _, plain, _ = ask(service, "/models/tiny/predict")
    status, answer, _ = ask(
        service, "/models/tiny/predict", body, headers=JSON | {"content-encoding": coding}
    )

    assert (status, answer["probabilities"]) == (200, plain["probabilities"])


def test_a_compressed_request_behind_an_unanswered_one_is_read_too(service: Service) -> None:
    coded = request(gzip.compress(GOOD), extra="content-encoding: GZIP\r\n")
    with connected(service) as raw:
        raw.send(request() + coded + coded + request())
        assert [raw.answer()[0] for _ in range(4)] == [200] * 4


@pytest.mark.parametrize(
    ("coding", "body", "code", "text"),
    [
        ("br", GOOD, "unsupported_media_type", "content-encoding: expected gzip, deflate or"),
        ("gzip, gzip", GOOD, "unsupported_media_type", "content-encoding: expected gzip"),
        ("gzip", GOOD, "invalid_coding", "content-encoding: expected a body in gzip, got"),
        ("gzip", gzip.compress(b"{"), "invalid_json", "body: expected JSON"),
        ("gzip", gzip.compress(b" " * 5_000_000), "body_too_large", "bytes unpacked"),
    ],
    ids=["brotli", "gzip twice", "not in gzip", "half a body", "a bomb"],
)
def test_a_bad_coding_is_named(
    service: Service, coding: str, body: bytes, code: str, text: str
) -> None:
    headers = JSON | {"content-encoding": coding}
    status, answer, got = ask(service, "/models/tiny/predict", body, headers=headers)

    assert answer["error"]["code"] == code
    assert text in answer["error"]["message"]
    assert status in {400, 413, 415}
    if status == 415:
        assert got["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("n_rows", [40, 2000])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_long_answers_are_compressed_for_those_who_ask(
    service: Service, method: str, n_rows: int
) -> None:
    """Short and long ones, which are compressed in a thread; and on the ordinary path."""
    path, body = "/docs.json", None
    if method == "POST":
        path, body = "/models/tiny/predict/batch", json.dumps({"rows": [tiny.GOOD] * n_rows})
    sent = None if body is None else body.encode()
    status, plain, headers = ask(service, path, sent, method)
    assert (status, headers["vary"]) == (200, "accept-encoding")
    assert "content-encoding" not in headers

    answer = coded_answer(service, path, body, method)

    assert set(answer) == set(plain)
    if method == "POST":
        assert len(answer["results"]) == n_rows
        assert answer["results"][0]["probabilities"] == plain["results"][0]["probabilities"]


def coded_answer(service: Service, path: str, body: str | None, method: str) -> Any:
    """The answer of a response in gzip."""
    import http.client
    from urllib.parse import urlsplit

    to = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
    to.request(method, path, body, JSON | {"accept-encoding": "br, gzip"})
    response = to.getresponse()
    data = response.read()
    to.close()
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(data)
    return json.loads(gzip.decompress(data))


def test_short_answers_are_never_compressed(service: Service) -> None:
    headers = JSON | {"accept-encoding": "gzip"}
    _, answer, got = ask(service, "/models/tiny/predict", headers=headers)

    assert "content-encoding" not in got
    assert answer["model"] == "tiny"


@pytest.mark.parametrize(
    ("value", "is_accepted"),
    [
        (b"", False),
        (b"gzip", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*", True),
        (b"identity, *;q=0", False),
        (b"deflate, X-GZIP;q=0.1", True),
    ],
)
def test_the_weights_of_accepted_codings_count(value: bytes, *, is_accepted: bool) -> None:
    assert accepts_gzip({b"accept-encoding": value}) is is_accepted


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf8"; version=1', True),
        ("application/json; charset=latin-1", False),
        ("text/csv", False),
    ],
)
def test_json_is_known_by_its_media_type(content_type: str, *, is_json: bool) -> None:
    assert is_plain({b"content-type": content_type.encode()}) is is_json
