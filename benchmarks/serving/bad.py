"""Clients that do everything wrong, each in one way, and the answer that each must get."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from benchmarks.serving.client import Line, answered, request_of
from benchmarks.serving.workplace import Row

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


def badnesses(path: str, row: Row) -> list[Badness]:
    """Every kind, aimed at a model whose good row this is."""
    good = msgspec.json.encode(row)
    text = good.decode()
    first = next(iter(row))

    def said(body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST") -> Attack:
        return lambda port: _status(port, request_of(path, body, headers, method))

    def changed(**values: object) -> Attack:
        return said(msgspec.json.encode({**row, **values}))

    def to(other: str) -> Attack:
        return lambda port: _status(port, request_of(other, good))

    def raw(request: bytes) -> Attack:
        return lambda port: _status(port, request)

    many = {f"x-header-{n}": "value" for n in range(500)}
    chunked = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\n\r\nzz\r\n"
    )
    number = f'"{first}":{msgspec.json.encode(row[first]).decode()}'
    nesting = b"[" * 20_000
    return [
        _bad("a body cut short", said(good[:-1]), 400),
        _bad("words that are no JSON", said(b"hello"), 400),
        _bad("an empty body", said(b""), 400),
        _bad("bytes that are no UTF-8", said(good[:-1] + b',"\xff":1}'), 400),
        _bad("NaN", said(text.replace(number, f'"{first}":NaN').encode()), 400),
        _bad(
            "a number beyond all numbers",
            said(text.replace(number, f'"{first}":1e999').encode()),
            400,
            422,
        ),
        _bad("deep nesting", said(b'{"a":' + nesting), 400),
        _bad("text for a number", changed(**{first: "forty"}), 422),
        _bad("a list for a number", changed(**{first: [1]}), 422),
        _bad("a number out of its range", changed(**{first: -1}), 422),
        _bad("a field too many", changed(surprise=1), 422),
        _bad("no fields", said(b"{}"), 422),
        _bad("a key twice", said(text.replace("{", "{" + number + ",", 1).encode()), 422),
        _bad("a list for an object", said(b"[" + good + b"]"), 422),
        _bad("a model that is not there", to("/models/nobody/predict"), 404),
        _bad("another method", said(good, method="DELETE"), 405),
        _bad("another content type", said(good, {"content-type": "text/plain"}), 415),
        _bad("compressed, it says", said(good, {"content-encoding": "gzip"}), 415),
        _bad("500 headers", said(good, many), 431),
        _bad("a body of 5 MB", said(b" " * (5 * MEGABYTE) + good), 413, GONE),
        _bad(
            "a length of 300 MB", raw(request_of(path, b"", {"content-length": "300000000"})), 413
        ),
        _bad("no HTTP", raw(b"\x16\x03\x01 hello\r\n\r\n"), 400, GONE),
        _bad(
            "a header that is none",
            raw(f"POST {path} HTTP/1.1\r\nbad header\r\n\r\n".encode()),
            400,
            GONE,
        ),
        _bad(
            "a length that is no number",
            raw(request_of(path, b"", {"content-length": "many"})),
            400,
            GONE,
        ),
        _bad("chunks that are none", raw(chunked.encode()), 400, GONE),
        _bad("half a request, then half closed", _half_closed(request_of(path, good)), 400, GONE),
        _bad("a request, then gone", _gone(request_of(path, good)), GONE),
        _bad("half a request, then gone", _gone(request_of(path, good)[:-20]), GONE),
        _bad("a slow drip of the body", _dripping(request_of(path, good)), 408),
        _bad("a slow drip of the head", _dripping_head(path), 408, GONE),
    ]


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
