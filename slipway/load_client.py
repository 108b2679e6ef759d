"""A client that sends many requests at once and times the answers, for demos and checks."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from contracts.errors import PlatformError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class LoadResult:
    """What the client saw; latencies are of whole requests, on connections that stay open."""

    requests: int
    errors: int
    statuses: dict[str, int]
    seconds: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    first_answer: str


def send(
    url: str, model: str, rows: Sequence[Mapping[str, Any]], connections: int = 16, key: str = ""
) -> LoadResult:
    """POST each row to `/models/{model}/predict` at `url`, over `connections` at once.

    `key` is an API key, for a service that wants one.

    Raises:
        PlatformError: nothing answers at `url`.

    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise PlatformError(
            f"--url: expected http://HOST:PORT, got {url!r}",
            remedy="for example --url http://127.0.0.1:3000",
        )
    path = f"/models/{model}/predict"
    requests = [_request(path, parts.netloc, msgspec.json.encode(row), key) for row in rows]
    try:
        return asyncio.run(_send_all(parts.hostname, parts.port or 80, requests, connections))
    except (OSError, asyncio.IncompleteReadError) as err:
        raise PlatformError(
            f"service: expected an answer from {url}, got {err or type(err).__name__}",
            remedy="start it: slipway serve",
        ) from err


def _request(path: str, host: str, body: bytes, key: str) -> bytes:
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"{authorization}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _send_all(
    host: str, port: int, requests: Sequence[bytes], connections: int
) -> LoadResult:
    waiting = iter(requests)
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    answers: list[str] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for request in waiting:
                begin = time.perf_counter()
                writer.write(request)
                async with asyncio.timeout(TIMEOUT_S):
                    status, body = await _answer(reader)
                latencies.append(time.perf_counter() - begin)
                statuses[status] += 1
                if not answers:
                    answers.append(body.decode(errors="replace"))
        finally:
            writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(min(connections, len(requests)))))
    seconds = time.perf_counter() - begin
    ordered = sorted(latencies)
    return LoadResult(
        requests=len(requests),
        errors=len(requests) - statuses["200"],
        statuses=dict(statuses),
        seconds=seconds,
        requests_per_s=len(requests) / seconds,
        p50_ms=ordered[len(ordered) // 2] * 1e3,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1e3,
        first_answer=answers[0],
    )


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The status and the body of an answer that says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = lines[0].split(b" ")[1].decode()
    lengths = [line[15:] for line in lines if line[:15].lower() == b"content-length:"]
    return status, await reader.readexactly(int(lengths[0]) if lengths else 0)
