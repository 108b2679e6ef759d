"""A request of the fast path: its body as it arrives, and the sink of its response."""

import asyncio
from http import HTTPStatus
from typing import Protocol

from services.edge.asgi import Headers
from services.edge.request_content import content_route
from services.edge.response_content import (
    MAX_INLINE_BYTES,
    MIN_CODED_BYTES,
    Content,
    coded,
    content_of,
    is_coded,
)
from services.edge.routes import Route
from services.edge.statuses import CLOSE, Pairs
from services.faults import Fault
from services.protocols.wire_protocol import JSON

MAX_UNREAD_BODY_BYTES = 64 * 1024
"""The body of a request that its head refuses is read to its end up to this size, so that the
connection can be used again; above, the response closes the connection."""
STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


class ResponseWriter(Protocol):
    """The connection on which a cycle answers."""

    def write_result(self, cycle: "FastPathCycle", body: bytes) -> None:
        """Write the response to a request that succeeded: short, and plain JSON."""

    def write_response(
        self,
        cycle: "FastPathCycle",
        status: int,
        body: bytes,
        extra: Pairs,
        media_type: bytes = JSON,
    ) -> None:
        """Write a response."""

    def refuse(self, cycle: "FastPathCycle", err: BaseException) -> None:
        """Write the response to a request that failed."""


class _NullEvent:
    """An event for which nobody waits."""

    def set(self) -> None:
        """Do nothing."""


_NULL_EVENT = _NullEvent()


class FastPathCycle:
    """A request of the fast path, and the sink of its response.

    It stands in for uvicorn's `RequestResponseCycle`, of which it has the attributes that the
    protocol class reads and writes. `refusal`: why the request is refused once its body is read.
    `is_admitted`: false while the guard waits for Redis; `is_received`: the body arrived meanwhile.
    """

    __slots__ = (
        "_pieces", "disconnected", "headers", "is_admitted", "is_received", "keep_alive",
        "message_event", "n_bytes", "path", "protocol", "refusal", "request_id",
        "response_complete", "route", "unit",
    )  # fmt: skip

    def __init__(
        self,
        protocol: ResponseWriter,
        path: str,
        route: Route,
        request_id: str,
        unit: bytes,
        headers: Headers,
        *,
        keep_alive: bool,
    ) -> None:
        self.protocol = protocol
        self.path = path
        self.route = route
        self.request_id = request_id
        self.unit = unit
        self.headers = headers
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NULL_EVENT
        self.refusal: Exception | None = None
        self.is_admitted = True
        self.is_received = False
        self.n_bytes = 0
        self._pieces: bytes | bytearray = b""

    def read_content(self, max_bytes: int) -> None:
        """Let the body be read as the headers announce it: not as plain JSON."""
        if self.refusal is None:
            try:
                self.route = content_route(self.route, self.headers, max_bytes)
            except Fault as fault:
                self.refuse_early(fault)

    def refuse_early(self, err: Exception) -> None:
        """Refuse a request by its head: after its body if that is small, else at once."""
        length = int(self.headers.get(b"content-length", b"0"))
        is_read = b"transfer-encoding" not in self.headers and b"expect" not in self.headers
        self.refusal = err
        if not is_read or length > MAX_UNREAD_BODY_BYTES:
            self.keep_alive = False
            self.set_exception(err)

    def receive(self, piece: bytes, max_bytes: int) -> bool:
        """Take a piece of the body; false if the body is now longer than `max_bytes`."""
        self.n_bytes += len(piece)
        if self.refusal is not None:
            return True
        if self.n_bytes > max_bytes:
            return False
        if not self._pieces:
            self._pieces = piece
        elif isinstance(self._pieces, bytes):
            self._pieces = bytearray(self._pieces + piece)
        else:
            self._pieces += piece
        return True

    def receive_whole(self, body: bytes) -> None:
        """Take the body in one piece."""
        self.n_bytes = len(body)
        self._pieces = body

    def body(self) -> bytes:
        """The body up to now."""
        return bytes(self._pieces)

    def done(self) -> bool:
        """Whether it was answered, or the client has left."""
        return self.response_complete or self.disconnected

    def set_result(self, result: bytes, /) -> None:
        """Send the response."""
        if self.response_complete or self.disconnected:
            return
        if len(result) <= MIN_CODED_BYTES and type(result) is bytes:
            self.protocol.write_result(self, result)
        else:
            self.send(200, result)

    def set_exception(self, fault: BaseException, /) -> None:
        """Send the fault."""
        if not self.done():
            self.protocol.refuse(self, fault)

    def send(self, status: int, body: bytes, extra: Pairs = ()) -> None:
        """Send a response that may be long or not JSON: compressed if the client asks for it."""
        content = content_of(body)
        if not is_coded(content, self.headers):
            self._write(status, content, extra)
        elif len(body) <= MAX_INLINE_BYTES:
            self._write(status, coded(content), extra)
        else:
            packing = asyncio.get_running_loop().run_in_executor(None, coded, content)
            packing.add_done_callback(lambda done: self._write(status, done.result(), extra))

    def _write(self, status: int, content: Content, extra: Pairs) -> None:
        if not self.done():
            headers = (*content.headers, *extra)
            self.protocol.write_response(self, status, content.body, headers, content.media_type)


class ResultHead:
    """The head of the response to a request that succeeded, up to the length of its body.

    All connections share one: it is formatted again when uvicorn replaces its headers, that is
    when the second of its `Date` has passed.
    """

    def __init__(self) -> None:
        self._headers: Pairs | None = None
        self._text = b""

    def text(self, headers: Pairs) -> bytes:
        """The head with these headers."""
        if headers is not self._headers:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self._text = b"%b%bcontent-type: %b\r\ncontent-length: " % (
                STATUS_LINES[200], lines, JSON,
            )  # fmt: skip
            self._headers = headers
        return self._text


def response_bytes(
    status: int,
    body: bytes,
    request_id: str,
    headers: Pairs,
    media_type: bytes,
    *,
    keep_alive: bool,
) -> bytes:
    """A whole response."""
    lines = [STATUS_LINES[status]]
    for name, value in headers:
        if (name, value) != CLOSE:
            lines += (name, b": ", value, b"\r\n")
    lines.append(
        b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
        % (media_type, len(body), request_id.encode())
    )
    lines += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
    return b"".join(lines)
