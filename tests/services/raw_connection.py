"""A connection to a service on which every byte is the test's own."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import GOOD

PATH = "/models/tiny/predict"


class Raw:
    """A connection of which every byte is ours."""

    def __init__(self, service: Service) -> None:
        parts = urlsplit(service.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self.unread = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        while b"\r\n\r\n" not in self.unread:
            self._more()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers["content-length"])
        while len(self.unread) < length:
            self._more()
        body, self.unread = self.unread[:length], self.unread[length:]
        parsed = json.loads(body) if "json" in headers["content-type"] else body.decode()
        return int(lines[0].split()[1]), headers, parsed

    def is_closed(self) -> bool:
        return self.socket.recv(1) == b""

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"closed after {self.unread!r}"
        self.unread += data


@contextmanager
def connected(service: Service) -> Iterator[Raw]:
    raw = Raw(service)
    try:
        yield raw
    finally:
        raw.socket.close()


def request(body: bytes = GOOD, path: str = PATH, extra: str = "", version: str = "1.1") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}{extra}content-length: {len(body)}\r\n\r\n".encode() + body


def row(age: int) -> bytes:
    return json.dumps(tiny.GOOD | {"age": age}).encode()
