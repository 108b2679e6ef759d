"""A load client: sends many requests over few connections and times the answers.

It uses aiohttp, not httpx as the other commands do, so that the service is measured and not the
client: per request, aiohttp 3.14 takes a third of the CPU time of httpx 0.28 with one client per
connection, and a sixth of httpx with a shared client.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from contracts.errors import PlatformError

REQUEST_TIMEOUT_S = 30.0
"""For each request, from the connection to the end of the answer."""
OK = "200"


@dataclass(frozen=True)
class LoadResult:
    """What the client measured.

    Latencies are those of whole requests on connections that stay open; zero, like the rate, if
    there were no requests. `errors` counts answers with a status other than 200,
    `labels` the labels that the service accepted.
    """

    requests: int
    errors: int
    statuses: dict[str, int]
    seconds: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    first_answer: str
    labels: int = 0


class KeepAnswer(Protocol):
    """Receives each answer."""

    def __call__(self, index: int, status: int, body: bytes, /) -> None:
        """The row at `index` was answered."""


def ignore_answer(_index: int, _status: int, _body: bytes, /) -> None:
    """A `KeepAnswer` that does nothing."""


def send(
    url: str,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    connections: int = 16,
    key: str = "",
    answered: KeepAnswer = ignore_answer,
) -> LoadResult:
    """POST each row to `/models/{model}/predict` at `url`, on `connections` connections.

    `key` is an API key, for a service that requires one. `answered` is called with each answer.

    Raises:
        PlatformError: `url` is not an HTTP URL, or the service does not answer.

    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PlatformError(
            f"--url: expected http://HOST:PORT, got {url!r}",
            remedy="for example --url http://127.0.0.1:3000",
        )
    bodies = [msgspec.json.encode(row) for row in rows]
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    path = f"{url.rstrip('/')}/models/{model}/predict"
    try:
        return asyncio.run(_send_all(path, bodies, headers, connections, answered))
    except (aiohttp.ClientError, TimeoutError) as err:
        raise PlatformError(
            f"service: expected an answer from {url}, got {str(err) or type(err).__name__}",
            remedy="start it: slipway serve",
        ) from err


async def _send_all(
    url: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    connections: int,
    answered: KeepAnswer,
) -> LoadResult:
    waiting = iter(enumerate(bodies))
    statuses: Counter[str] = Counter()
    latencies_s: list[float] = []
    answers: list[str] = []

    async def worker(session: aiohttp.ClientSession) -> None:
        for index, body in waiting:
            started = time.perf_counter()
            async with session.post(url, data=body) as response:
                answer = await response.read()
            latencies_s.append(time.perf_counter() - started)
            statuses[str(response.status)] += 1
            answered(index, response.status, answer)
            if not answers:
                answers.append(answer.decode(errors="replace"))

    started = time.perf_counter()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        headers=headers,
    ) as session:
        await asyncio.gather(*(worker(session) for _ in range(min(connections, len(bodies)))))
    seconds = time.perf_counter() - started
    latencies_s.sort()
    return LoadResult(
        requests=len(bodies),
        errors=len(bodies) - statuses[OK],
        statuses=dict(statuses),
        seconds=seconds,
        requests_per_s=len(bodies) / seconds,
        p50_ms=_quantile_ms(latencies_s, 0.5),
        p99_ms=_quantile_ms(latencies_s, 0.99),
        first_answer=answers[0] if answers else "",
    )


def _quantile_ms(sorted_s: Sequence[float], share: float) -> float:
    return sorted_s[int(len(sorted_s) * share)] * 1e3 if sorted_s else 0.0
