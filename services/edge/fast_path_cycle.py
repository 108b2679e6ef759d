"""A request of the fast path: its body as it arrives, and the sink of its response."""

from http import HTTPStatus
from typing import Protocol

from services.edge.body import JSON
from services.edge.routes import Route
from services.edge.statuses import CLOSE, Pairs

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


class ResponseWriter(Protocol):
    """The connection on which a cycle answers."""

    def write_response(
        self, cycle: "FastPathCycle", status: int, body: bytes, extra: Pairs
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
    """

    __slots__ = (
        "_pieces", "disconnected", "keep_alive", "message_event", "n_bytes", "path", "protocol",
        "refusal", "request_id", "response_complete", "route", "unit",
    )  # fmt: skip

    def __init__(
        self,
        protocol: ResponseWriter,
        path: str,
        route: Route,
        request_id: str,
        unit: bytes,
        *,
        keep_alive: bool,
    ) -> None:
        self.protocol = protocol
        self.path = path
        self.route = route
        self.request_id = request_id
        self.unit = unit
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NULL_EVENT
        self.refusal: Exception | None = None
        self.n_bytes = 0
        self._pieces: bytes | bytearray = b""

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

    def body(self) -> bytes:
        """The body up to now."""
        return bytes(self._pieces)

    def done(self) -> bool:
        """Whether it was answered, or the client has left."""
        return self.response_complete or self.disconnected

    def set_result(self, result: bytes, /) -> None:
        """Send the response."""
        if not self.done():
            self.protocol.write_response(self, 200, result, ())

    def set_exception(self, fault: BaseException, /) -> None:
        """Send the fault."""
        if not self.done():
            self.protocol.refuse(self, fault)


def response_bytes(
    status: int, body: bytes, request_id: str, headers: Pairs, *, keep_alive: bool
) -> bytes:
    """A whole response with a JSON body."""
    lines = [STATUS_LINES[status]]
    for name, value in headers:
        if (name, value) != CLOSE:
            lines += (name, b": ", value, b"\r\n")
    lines.append(
        b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
        % (JSON, len(body), request_id.encode())
    )
    lines += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
    return b"".join(lines)
