"""The load client counts what a server answers, whatever the server does with connections."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.errors import PlatformError
from slipway import load_client
from slipway.load_client import send
from tests.slipway.conftest import free_port

ROWS: Sequence[dict[str, Any]] = [{"age": age} for age in range(40)]


@dataclass
class Server:
    """A small HTTP server in a thread: answers 200, or as `answer` says."""

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    closes: bool = False
    silent: bool = False
    port: int = 0
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].split("\r\n")[0])
                self.heads.append(head)
                self.bodies.append(json.loads(await reader.readexactly(length)))
                if self.silent:
                    continue
                writer.write(self.answer)
                await writer.drain()
                if self.closes:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(found.serve, "127.0.0.1", 0)

    listener = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    found.port = listener.sockets[0].getsockname()[1]
    yield found

    async def stop() -> None:
        listener.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_every_row_is_sent_once_on_connections_that_stay_open(server: Server) -> None:
    result = send(url_of(server), "tiny", ROWS, connections=4, key="slw_a_b")

    assert (result.requests, result.errors, result.statuses) == (40, 0, {"200": 40})
    assert sorted(body["age"] for body in server.bodies) == list(range(40))
    assert server.connections == 4
    assert all(head.startswith("post /models/tiny/predict http/1.1") for head in server.heads)
    assert all("authorization: bearer slw_a_b" in head for head in server.heads)
    assert result.first_answer == "{}"
    assert 0 < result.p50_ms <= result.p99_ms
    assert result.requests_per_s == pytest.approx(40 / result.seconds)


def test_a_server_that_closes_each_connection_is_survived(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    server.closes = True
    result = send(url_of(server), "tiny", ROWS, connections=4)

    assert (result.errors, server.connections) == (0, 40)


def test_no_rows_are_no_requests(server: Server) -> None:
    result = send(url_of(server), "tiny", [])

    assert (result.requests, result.errors, result.p50_ms, result.first_answer) == (0, 0, 0.0, "")
    assert server.connections == 0


def test_an_answer_with_an_error_is_counted(server: Server) -> None:
    server.answer = b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 0\r\n\r\n"
    result = send(url_of(server), "tiny", ROWS[:3])

    assert (result.errors, result.statuses) == (3, {"422": 3})


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.silent = True
    monkeypatch.setattr(load_client, "REQUEST_TIMEOUT_S", 0.2)

    with pytest.raises(PlatformError, match=r"expected an answer from .*, got TimeoutErr"):
        send(url_of(server), "tiny", ROWS[:2])


def test_a_service_that_is_not_there_is_reported() -> None:
    with pytest.raises(PlatformError, match="service: expected an answer from") as caught:
        send(f"http://127.0.0.1:{free_port()}", "tiny", ROWS[:1])

    assert caught.value.remedy == "start it: slipway serve"


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://127.0.0.1", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(PlatformError, match="--url: expected http://HOST:PORT, got"):
        send(url, "tiny", ROWS[:1])
