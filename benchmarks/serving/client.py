"""A raw HTTP/1.1 client for what wrk cannot do: clients that wait, misbehave or honour answers."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import uvloop

from benchmarks.serving.server import HOST

T = TypeVar("T")
OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    head: bytes
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server says that this was the last on its connection."""
        return b"\r\nconnection: close" in self.head.lower()


class Line(asyncio.Protocol):
    """One connection, on which one request at a time is answered."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.is_closed = False
        self._is_paused = False

    @classmethod
    async def open(cls, port: int) -> Self:
        """A connection to the server on this port."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(cls, HOST, port)
        return line

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future gives its answer, or a ConnectionError."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._waiting.set_exception(ConnectionResetError("closed before the request"))
        self.write(request)
        return self._waiting

    def write(self, part: bytes) -> None:
        """Send more of a request, if the server still listens."""
        if not self._transport.is_closing():
            self._transport.write(part)

    async def pour(self, part: bytes) -> None:
        """Send more of a request, when what was sent before is taken."""
        await self._may_write.wait()
        self.write(part)

    def end_writing(self) -> None:
        """Close our half of the connection."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def pause_reading(self) -> None:
        """Leave what is answered in the socket."""
        self._transport.pause_reading()
        self._is_paused = True

    def resume_reading(self) -> None:
        """Read again; only then is it seen that the server closed the connection."""
        if self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def reset(self) -> None:
        """Close the connection with a reset."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Leave; nobody waits for an answer any more."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        # uvloop's transports do what asyncio.Transport does, but are none by class.
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """As asyncio calls it."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """As asyncio calls it."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._buffer += data
        answer, self._buffer = _parsed(self._buffer)
        if answer is not None and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        self.is_closed = True
        self._may_write.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("closed before the answer"))


def request_of(
    path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> bytes:
    """A request as it goes over the wire; `headers` add to or replace the usual ones."""
    usual = {
        "host": HOST,
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    lines = [f"{name}: {value}\r\n" for name, value in {**usual, **(headers or {})}.items()]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


async def answered(port: int, request: bytes, timeout_s: float = 30.0) -> Answer:
    """The answer to a request on a connection of its own."""
    line = await Line.open(port)
    try:
        async with asyncio.timeout(timeout_s):
            return await line.ask(request)
    finally:
        line.close()


@dataclass(frozen=True)
class Storm:
    """What many clients at once saw; times in seconds."""

    seconds: float
    good: list[float]
    refused: list[float]
    failed: int

    @property
    def goodput(self) -> float:
        """Requests a second that were answered 200."""
        return len(self.good) / self.seconds


async def storm(
    port: int, request: bytes, *, connections: int, seconds: float, retry_after_s: float
) -> Storm:
    """Clients that ask again and again; one that is refused waits before it asks again."""
    good: list[float] = []
    refused: list[float] = []
    failed = 0
    lines = [await Line.open(port) for _ in range(connections)]
    begin = time.perf_counter()
    end = begin + seconds

    async def client(line: Line) -> None:
        nonlocal failed
        while (asked := time.perf_counter()) < end:
            try:
                answer = await line.ask(request)
            except ConnectionError:
                failed += 1
                line = await Line.open(port)
                continue
            took = time.perf_counter() - asked
            if answer.status == OK:
                good.append(took)
            elif answer.status == 503:  # noqa: PLR2004 - HTTP's Service Unavailable
                refused.append(took)
                await asyncio.sleep(retry_after_s)
            else:
                failed += 1
        line.close()

    await asyncio.gather(*map(client, lines))
    return Storm(time.perf_counter() - begin, good, refused, failed)


def percentile_ms(times: list[float], share: float) -> float:
    """That percentile of times, in milliseconds; 0 of none."""
    ordered = sorted(times)
    return 1e3 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def run_client(work: Coroutine[Any, Any, T], cores: str) -> T:
    """Run a client to its end, on the client's cores."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    finally:
        os.sched_setaffinity(0, before)


def _parsed(buffer: bytes) -> tuple[Answer | None, bytes]:
    """The first whole answer in a buffer, and what is left; none if it is not whole yet."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None, buffer
    head = buffer[: end + 2]
    start = end + 4
    lowered = head.lower()
    place = lowered.find(b"\r\ncontent-length:")
    size = int(lowered[place + 17 : lowered.find(b"\r\n", place + 2)]) if place >= 0 else 0
    if len(buffer) < start + size:
        return None, buffer
    answer = Answer(int(head[9:12]), head, buffer[start : start + size])
    return answer, buffer[start + size :]
