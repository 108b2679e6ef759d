"""Clients that do everything wrong, each in one way, and the answer that each must get."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from benchmarks.serving.client import Line, answered, request_of
from benchmarks.serving.testbed import Row

GONE = 0
"""The outcome of a client to whom nothing was said: it left, or the connection was closed."""
MEGABYTE = 1 << 20
DRIP_S = 0.25
LONGEST_DRIP_S = 20.0

Attack = Callable[[int], Awaitable[int]]


@dataclass(frozen=True)
class Badness:
    """A way to be wrong: `attack` a port; any of `deserved` statuses is a good answer to it."""

    name: str
    attack: Attack
    deserved: frozenset[int]


@dataclass(frozen=True)
class Target:
    """A model's path and one of its good rows: what the attacks are made from."""

    path: str
    row: Row

    @property
    def good(self) -> bytes:
        """The body of the good row."""
        return msgspec.json.encode(self.row)

    @property
    def number(self) -> tuple[str, str]:
        """The first feature's name, and its key and value as they are in the body."""
        first = next(iter(self.row))
        return first, f'"{first}":{msgspec.json.encode(self.row[first]).decode()}'

    def broken_json(self) -> list[Badness]:
        """Bodies that are not JSON."""
        good, text, (first, number) = self.good, self.good.decode(), self.number
        nesting = b"[" * 20_000
        return [
            _bad("a body cut short", self._said(good[:-1]), 400),
            _bad("words that are no JSON", self._said(b"hello"), 400),
            _bad("an empty body", self._said(b""), 400),
            _bad("bytes that are no UTF-8", self._said(good[:-1] + b',"\xff":1}'), 400),
            _bad("NaN", self._said(text.replace(number, f'"{first}":NaN').encode()), 400),
            _bad(
                "a number beyond all numbers",
                self._said(text.replace(number, f'"{first}":1e999').encode()),
                400,
                422,
            ),
            _bad("deep nesting", self._said(b'{"a":' + nesting), 400),
        ]

    def wrong_values(self) -> list[Badness]:
        """JSON that breaks the schema."""
        good, text, (first, number) = self.good, self.good.decode(), self.number
        return [
            _bad("text for a number", self._changed(**{first: "forty"}), 422),
            _bad("a list for a number", self._changed(**{first: [1]}), 422),
            _bad("a number out of its range", self._changed(**{first: -1}), 422),
            _bad("a field too many", self._changed(surprise=1), 422),
            _bad("no fields", self._said(b"{}"), 422),
            _bad("a key twice", self._said(text.replace("{", "{" + number + ",", 1).encode()), 422),
            _bad("a list for an object", self._said(b"[" + good + b"]"), 422),
        ]

    def wrong_http(self) -> list[Badness]:
        """Wrong paths, methods, headers and lengths, and connections that break off."""
        good, path = self.good, self.path
        many = {f"x-header-{n}": "value" for n in range(500)}
        chunked = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            "transfer-encoding: chunked\r\n\r\nzz\r\n"
        )
        return [
            _bad("a model that is not there", self._to("/models/nobody/predict"), 404),
            _bad("another method", self._said(good, method="DELETE"), 405),
            _bad("another content type", self._said(good, {"content-type": "text/plain"}), 415),
            _bad("compressed, it says", self._said(good, {"content-encoding": "gzip"}), 415),
            _bad("500 headers", self._said(good, many), 431),
            _bad("a body of 5 MB", self._said(b" " * (5 * MEGABYTE) + good), 413, GONE),
            _bad(
                "a length of 300 MB",
                self._raw(request_of(path, b"", {"content-length": "300000000"})),
                413,
            ),
            _bad("no HTTP", self._raw(b"\x16\x03\x01 hello\r\n\r\n"), 400, GONE),
            _bad(
                "a header that is none",
                self._raw(f"POST {path} HTTP/1.1\r\nbad header\r\n\r\n".encode()),
                400,
                GONE,
            ),
            _bad(
                "a length that is no number",
                self._raw(request_of(path, b"", {"content-length": "many"})),
                400,
                GONE,
            ),
            _bad("chunks that are none", self._raw(chunked.encode()), 400, GONE),
            _bad(
                "half a request, then half closed", _half_closed(request_of(path, good)), 400, GONE
            ),
            _bad("a request, then gone", _gone(request_of(path, good)), GONE),
            _bad("half a request, then gone", _gone(request_of(path, good)[:-20]), GONE),
            _bad("a slow drip of the body", _dripping(request_of(path, good)), 408),
            _bad("a slow drip of the head", _dripping_head(path), 408, GONE),
        ]

    def _said(
        self, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Attack:
        return lambda port: _status(port, request_of(self.path, body, headers, method))

    def _changed(self, **values: object) -> Attack:
        return self._said(msgspec.json.encode({**self.row, **values}))

    def _to(self, other: str) -> Attack:
        return lambda port: _status(port, request_of(other, self.good))

    def _raw(self, request: bytes) -> Attack:
        return lambda port: _status(port, request)


def badnesses(path: str, row: Row) -> list[Badness]:
    """Return every kind, aimed at a model for which `row` is a good row."""
    target = Target(path, row)
    return [*target.broken_json(), *target.wrong_values(), *target.wrong_http()]


async def _status(port: int, request: bytes) -> int:
    try:
        return (await answered(port, request)).status
    except ConnectionError:
        return GONE


def _half_closed(request: bytes) -> Attack:
    async def attack(port: int) -> int:
        line = await Line.open(port)
        try:
            answer = line.ask(request[:-20])
            line.end_writing()
            async with asyncio.timeout(30):
                return (await answer).status
        except ConnectionError:
            return GONE
        finally:
            line.close()

    return attack


def _gone(part: bytes) -> Attack:
    async def attack(port: int) -> int:
        line = await Line.open(port)
        unread = line.ask(part)
        await asyncio.sleep(0)
        unread.cancel()
        line.close()
        return GONE

    return attack


def _dripping(request: bytes) -> Attack:
    async def attack(port: int) -> int:
        return await drip(port, request)

    return attack


def _dripping_head(path: str) -> Attack:
    async def attack(port: int) -> int:
        """Raises TimeoutError if the server listens for as long as we go on."""
        line = await Line.open(port)
        try:
            answer = line.ask(f"POST {path} HTTP/1.1\r\nx-slow: ".encode())
            async with asyncio.timeout(LONGEST_DRIP_S):
                while not answer.done():
                    line.write(b"x")
                    await asyncio.sleep(DRIP_S)
                return (await answer).status
        except ConnectionError:
            return GONE
        finally:
            line.close()

    return attack


async def drip(port: int, request: bytes) -> int:
    """Send the head, then a byte now and then; gives how it ended."""
    line = await Line.open(port)
    try:
        head = request.index(b"\r\n\r\n") + 4
        answer = line.ask(request[:head])
        for place in range(head, len(request) - 1):
            if answer.done() or line.is_closed:
                break
            line.write(request[place : place + 1])
            await asyncio.sleep(DRIP_S)
        async with asyncio.timeout(30):
            return (await answer).status
    except ConnectionError:
        return GONE
    finally:
        line.close()


def _bad(name: str, attack: Attack, *deserved: int) -> Badness:
    return Badness(name, attack, frozenset(deserved))
