"""A request that is read whole is what the parser of its connection would have read."""

import asyncio
from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.edge.cors import REQUEST_HEADERS
from services.edge.whole_request import WholeRequestReader
from services.inference.pending import Request
from tests.services.protocol_bench import Bench, run_on_bench
from tests.services.raw_connection import PATH, request

LINES = (
    b"x-request-id: Abc",
    b"X-USER-ID: Ada",
    b"content-Type: application/json; charset=utf-8",
    b"content-type: text/plain",
    b"Content-Length: 2",
    b"content-length: 2",
    b"content-length: 02",
    b"content-length: 2, 2",
    b"content-length : 2",
    b"transfer-encoding: chunked",
    b"expect: 100-continue",
    b"upgrade: h2c",
    b"connection: upgrade",
    b"connection: close",
    b"Connection: keep-alive, TE",
    b"authorization: Bearer \tslw_1_2",
    b"host: x",
    b"Host:",
    b" folded",
    b"cookie: a=b; host: y",
    b"x-other:x-request-id: no",
    b"bad\rhost: z",
    b"bare\nhost: z",
    b"\x00: 1",
)
BODIES = (b"", b"{}", b"{}\r\n", b"{}GET / HTTP/1.1\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n")
TARGETS = (b"POST /a HTTP/1.1", b"POST /a?b=c HTTP/1.1", b"POST /a HTTP/1.0", b"PUT /a HTTP/1.1")
READ = (b"content-type", b"x-request-id", b"x-user-id", b"authorization", b"host")


class Listener:
    """What llhttp reports of one message."""

    def __init__(self) -> None:
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.events: list[str] = []
        self.keep_alive = False
        self.parser: Any = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.events.append("begin")

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.events.append("complete")
        self.keep_alive = self.parser.should_keep_alive()


@given(
    st.sampled_from(TARGETS),
    st.lists(st.sampled_from(LINES), max_size=6),
    st.sampled_from(BODIES),
)
@example(TARGETS[0], [b"host: x", b"content-length: 2", b"connection: close"], b"{}")
def test_what_is_read_whole_is_what_llhttp_reads(
    target: bytes, lines: list[bytes], body: bytes
) -> None:
    data = b"\r\n".join([target, *lines, b"", b""]) + body

    whole = WholeRequestReader(128).read(data)

    if whole is None:
        return
    listener = Listener()
    listener.parser.feed_data(data)
    assert listener.events == ["begin", "complete"]
    assert (whole.path.encode(), whole.body) == (listener.url, listener.body)
    assert whole.keep_alive == listener.keep_alive
    listed = [pair for pair in listener.headers if pair[0] in READ]
    assert {n: v.strip(b" \t") for n, v in whole.headers.items() if n in READ} == dict(listed)
    assert len(listed) == len(dict(listed))


@pytest.mark.parametrize("version", ["1.1"])
def test_one_plain_request_is_read_whole_after_anything_else(version: str) -> None:
    reader = WholeRequestReader(128)
    plain = request(version=version)

    for other in (b"", b"x", plain[:-1], plain + b"x", plain + plain, b"\r\n" + plain, plain[5:]):
        assert reader.read(other) is None
        whole = reader.read(plain)
        assert whole is not None
        assert (whole.path, whole.keep_alive) == (PATH, True)


@pytest.mark.parametrize(
    ("n_headers", "is_read"), [(120, True), (128, False), (500, False)], ids=str
)
def test_a_request_with_many_headers_is_left_to_its_connection(
    n_headers: int, is_read: bool
) -> None:
    data = request(extra="a: b\r\n" * (n_headers - 3))

    assert (WholeRequestReader(128).read(data) is not None) == is_read


def test_a_long_head_and_a_long_body_are_left_to_their_connection() -> None:
    reader = WholeRequestReader(128)

    assert reader.read(request(extra=f"cookie: {'a' * 70_000}\r\n")) is None
    assert reader.read(request(b" " * (1 << 20))) is None
    assert reader.read(request(b" " * 100_000)) is not None


def test_each_header_that_the_service_reads_is_read_whole() -> None:
    lines = "".join(f"{name}: 1\r\n" for name in REQUEST_HEADERS)
    head = f"POST /a HTTP/1.1\r\nhost: x\r\n{lines}content-length: 0\r\n\r\n"
    whole = WholeRequestReader(128).read(head.encode())

    assert whole is not None
    assert {name.encode() for name in REQUEST_HEADERS} <= whole.headers.keys()


PIECES = (b'{"a": 1}', b'{"a": 22}', b"{}", b"")


@given(
    st.lists(
        st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "x-user-id: a\r\n"])), max_size=6
    )
)
def test_a_head_that_a_connection_sent_before_changes_no_request(
    sent: list[tuple[bytes, str]],
) -> None:
    """Each request is what a connection of its own would have read."""

    async def run() -> list[Request]:
        bench = Bench()
        for body, extra in sent:
            bench.send(request(body, extra=extra))
        return bench.handled

    handled = asyncio.run(run())
    alone = [run_on_bench(request(body, extra=extra)).handled[0] for body, extra in sent]

    assert [(r.body, r.unit) for r in handled] == [(r.body, r.unit) for r in alone]
    assert len({r.request_id for r in handled}) == len(sent)
