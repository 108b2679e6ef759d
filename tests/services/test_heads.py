"""Heads of real clients take the fast path; hostile ones get one answer, or a closed connection."""

import asyncio
import json
import socket
import struct
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.auth.guard import PendingAdmission
from services.auth.keys import Key
from services.edge.connections import ConnectionLimit
from services.faults import Fault
from tests.services.conftest import Service, serving
from tests.services.http_client import GOOD, ask
from tests.services.protocol_bench import Bench, run_on_bench
from tests.services.raw_connection import PATH, connected, request

REAL_HEADERS = (
    "traceparent: 00-{0:032x}-{0:016x}-01\r\nx-request-id: req-{0}\r\nx-user-id: user-{0}\r\n"
    "x-amzn-trace-id: Root=1-{0:08x}\r\ncookie: session={0}\r\nauthorization: Bearer {0}\r\n"
    "connection: Keep-Alive, TE\r\nte: trailers\r\naccept-encoding: gzip, deflate\r\n"
)
INNER = b"GET /models HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("piece", [0, 1, 7, 100])
def test_heads_that_differ_in_each_request_take_the_fast_path(piece: int) -> None:
    data = b"".join(request(extra=REAL_HEADERS.format(n)) for n in range(20))

    bench = run_on_bench(data, piece)

    assert [r.request_id for r in bench.handled] == [f"req-{n}" for n in range(20)]
    assert [r.unit for r in bench.handled] == [b"user-%d" % n for n in range(20)]
    assert {r.body for r in bench.handled} == {GOOD}
    assert bench.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 20


@pytest.mark.parametrize(
    "data",
    [
        request(version="1.0"),
        request().replace(
            b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD,
            b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD),
        ),
        request(extra="expect: 100-continue\r\n"),
        request(extra="content-encoding: identity\r\n"),
        request(extra="upgrade: h2c\r\nconnection: upgrade, http2-settings\r\n"),
        request(extra="Upgrade-Insecure-Requests: 1\r\n"),
        b"\r\n" + request(),
    ],
    ids=["HTTP/1.0", "chunked", "expect", "identity", "h2c", "insecure", "blank line"],
)
def test_ways_to_send_one_request_all_take_the_fast_path(data: bytes) -> None:
    bench = run_on_bench(data)

    assert [r.body for r in bench.handled] == [GOOD]
    assert bench.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert (b"100 Continue" in bench.transport.written) == (b"100-continue" in data)


@pytest.mark.parametrize("piece", [0, 1, 50])
def test_a_body_in_pieces_beyond_the_limit_is_refused_once(piece: int) -> None:
    chunk = b"3e8\r\n" + b"a" * 1000 + b"\r\n"
    head = request().partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\n"

    bench = run_on_bench(head + 12 * chunk + b"0\r\n\r\n", piece)

    assert not bench.handled
    assert bench.transport.closed
    assert bench.transport.written.count(b"HTTP/1.1") == 1
    assert b"10000 bytes" in bench.transport.written


def test_resets_leave_no_timer_and_no_connection_behind() -> None:
    async def run() -> None:
        for data in (b"", request(), request()[:50], request()[:-5], request(b"{")):
            bench = Bench()
            bench.send(data)
            bench.protocol.connection_lost(ConnectionResetError())
            assert bench.protocol._timer is None
            assert not bench.state.connections
        loop: Any = asyncio.get_running_loop()
        assert all(handle.cancelled() for handle in loop._scheduled)

    asyncio.run(run())


@pytest.mark.parametrize("wait_s", [0.0, 7.0])
@pytest.mark.parametrize("when", ["before the body", "after the body"])
@pytest.mark.parametrize(
    "data", [request(), request(extra="expect: 100-continue\r\n")], ids=["plain", "expect"]
)
def test_a_request_waits_until_redis_has_counted_it(data: bytes, when: str, wait_s: float) -> None:
    key = Key(id="a", name="shop", sha256="", scopes=(), rate="1/hour", created_at="")

    async def run() -> None:
        counted: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        guard = SimpleNamespace(admit=lambda *_: PendingAdmission(key, counted))
        bench = Bench(guard)
        cut = len(data) - len(GOOD) if when == "before the body" else len(data)
        bench.send(data[:cut])
        await asyncio.sleep(0)
        assert not bench.handled
        assert not bench.transport.written
        counted.set_result(wait_s)
        await asyncio.sleep(0)
        asks = b"expect" in data and when == "before the body" and not wait_s
        assert (b"100 Continue" in bench.transport.written) == asks
        bench.send(data[cut:])
        assert len(bench.handled) == (wait_s == 0)
        assert (b"rate_limited" in bench.transport.written) == (wait_s > 0)
        assert bench.transport.written.count(b"HTTP/1.1 200 OK") == (wait_s == 0)
        assert not bench.state.tasks

    asyncio.run(run())


def test_a_client_that_reads_nothing_of_its_responses_is_left() -> None:
    async def run() -> None:
        bench = Bench()
        protocol, limit_s = bench.protocol, bench.protocol._edge.head_timeout_s
        bench.send(request())
        bench.transport.unread = 100_000
        protocol.pause_writing()
        protocol._check_deadlines()
        assert not bench.transport.is_closing()
        protocol._unread_since -= limit_s
        bench.transport.unread = 90_000
        protocol._check_deadlines()
        assert not bench.transport.is_closing()
        protocol._unread_since -= limit_s
        protocol._check_deadlines()
        assert bench.transport.is_closing()
        protocol.connection_lost(None)

    asyncio.run(run())


def upgraded(body: bytes, protocol: str) -> bytes:
    extra = f"connection: Upgrade\r\nUpgrade: {protocol}\r\n"
    return request(body, extra=extra)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["foo", "h2c", "websocket"])
def test_the_body_of_an_upgrade_is_never_a_request(service: Service, protocol: str) -> None:
    data = upgraded(INNER, protocol)
    cut = len(data) - len(INNER)
    with connected(service) as raw:
        raw.send(data[:cut])
        time.sleep(0.05)
        raw.send(data[cut:])
        status, _, answer = raw.answer()
        assert (status, answer["error"]["code"]) == (400, "invalid_json")
        raw.send(upgraded(GOOD, protocol))
        assert raw.answer()[0] == 200
        raw.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.socket.recv(1)


@pytest.mark.slow
def test_an_upgrade_that_comes_in_pieces_is_refused_and_ends_the_connection(
    service: Service,
) -> None:
    data = upgraded(INNER, "foo")
    for cut in (data.index(b"Upgrade: foo") + 4, data.index(b"Upgrade: foo") + 9):
        with connected(service) as raw:
            for piece in (data[:cut], data[cut:-5], data[-5:]):
                raw.send(piece)
                time.sleep(0.03)
            status, headers, answer = raw.answer()
            assert status == 400
            assert answer["error"]["code"] in {"invalid_http", "invalid_json"}
            assert not raw.unread
            if answer["error"]["code"] == "invalid_http":
                assert headers["connection"] == "close"
                assert raw.is_closed()


@pytest.mark.slow
def test_an_upgrade_behind_another_request_ends_the_connection_after_its_answer(
    service: Service,
) -> None:
    with connected(service) as raw:
        raw.send(request() + upgraded(INNER, "foo"))
        status, headers, _ = raw.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert not raw.unread
        assert raw.is_closed()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        request().replace(b"host: x\r\n", b""),
        request().replace(b"host: x\r\n", b"host: x\r\nhost: y\r\n"),
        request(version="2.0"),
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["no host", "two hosts", "HTTP/2.0", "CONNECT", "nonsense"],
)
def test_what_is_not_http_1_1_is_refused_and_closed(service: Service, data: bytes) -> None:
    with connected(service) as raw:
        raw.send(data)
        status, headers, answer = raw.answer()
        assert (status, answer["error"]["code"]) == (400, "invalid_http")
        assert headers["connection"] == "close"
        assert raw.is_closed()


@pytest.mark.slow
def test_a_long_head_in_one_piece_is_refused_like_one_in_many(service: Service) -> None:
    with connected(service) as raw:
        raw.send(request(extra=f"x-long: {'a' * 70_000}\r\n"))
        assert raw.answer()[0] == 431


@pytest.mark.slow
def test_a_body_that_never_ends_after_its_answer_is_not_waited_for(
    models: Path, tmp_path: Path
) -> None:
    unfinished = [
        request(path="/models/other/predict")[:-5],
        request(path="/nowhere")[:-5],
        request().replace(b"POST", b"GET")[:-5],
        request()[:-5],
        request() + b"\r\n",
    ]
    with serving(tmp_path, models, SLIPWAY_SERVICE_BODY_TIMEOUT_S="1") as service:
        raws = []
        for data in unfinished:
            raw = socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), 20)
            raw.sendall(data)
            raws.append(raw)
        time.sleep(0.5)
        for raw in raws:
            raw.sendall(b" ")
        begin = time.monotonic()
        for raw in raws:
            while raw.recv(65536):
                pass
            raw.close()
        assert time.monotonic() - begin < 15
        assert ask(service, PATH)[0] == 200


@pytest.mark.slow
def test_connections_beyond_the_limit_are_refused_and_reported(
    models: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_CONNECTIONS_PER_ADDRESS="3") as service:
        with connected(service) as one, connected(service) as two, connected(service) as three:
            for raw in (one, two, three):
                raw.send(request())
                assert raw.answer()[0] == 200
            with connected(service) as fourth:
                status, _, answer = fourth.answer()
                assert (status, answer["error"]["code"]) == (503, "too_many_connections")
                assert fourth.is_closed()
        time.sleep(0.2)
        assert ask(service, PATH)[0] == 200
        assert "3 connections of one client address are open" in service.log.read_text()


@pytest.mark.slow
def test_clients_that_reset_take_nobody_with_them(service: Service) -> None:
    for n in range(200):
        with connected(service) as raw:
            raw.send(request()[: len(request()) - n % 3])
            linger = struct.pack("ii", 1, 0)
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    status, answer, _ = ask(service, PATH)
    assert status == 200
    assert json.loads(json.dumps(answer))["probabilities"]


def test_a_connection_limit_counts_what_is_open() -> None:
    limit = ConnectionLimit(2, 1)

    assert limit.acquire(("a", 1))
    assert not limit.acquire(("a", 2))
    limit.release(("a", 2))
    assert limit.acquire(("b", 1))
    assert not limit.acquire(("c", 1))
    for client in ("a", "b", "c"):
        limit.release((client, 1))
    assert limit.acquire(("a", 3))


def test_a_fault_of_the_parser_is_a_fault_of_ours() -> None:
    assert Fault("invalid_http").message.startswith("the request is not HTTP/1.1")
