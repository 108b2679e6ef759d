"""Asking a service, and comparing what it says."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests import tiny

GOOD = json.dumps(tiny.GOOD).encode()
JSON = {"content-type": "application/json"}


class Service(Protocol):
    """What a request needs to know of a service."""

    @property
    def url(self) -> str: ...


def ask(
    service: Service,
    path: str,
    body: bytes | None = GOOD,
    method: str = "POST",
    headers: dict[str, str] = JSON,
) -> tuple[int, Any, dict[str, str]]:
    """Status, parsed body and headers of an answer, on a connection of its own."""
    parts = urlsplit(service.url)
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)) as to:
        to.request(method, path, body, headers)
        answer = to.getresponse()
        data = answer.read()
    kind = answer.headers.get("content-type", "")
    parsed = json.loads(data) if "json" in kind and data else data.decode()
    return answer.status, parsed, {k.lower(): v for k, v in answer.headers.items()}


def changed(**changes: object) -> bytes:
    """A good row with other values."""
    return json.dumps(tiny.GOOD | changes).encode()


def without(name: str) -> bytes:
    """A good row without a feature."""
    return json.dumps({k: v for k, v in tiny.GOOD.items() if k != name}).encode()


def metric(service: Service, name: str) -> float:
    """Return a sample of /metrics, by its name and labels as printed there; 0 if there is none."""
    _, text, _ = ask(service, "/metrics", None, "GET")
    lines = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def eventually(claim: Callable[[], bool], log: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, log.read_text()[-4000:]
        time.sleep(0.05)
