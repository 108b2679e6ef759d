"""The fast path: requests answered inside uvicorn's HTTP protocol class.

Besides the model, a request mostly costs parsing its head and running it through ASGI. Clients
that keep a connection send the same head again and again, byte for byte. So the first request
with a head takes the ordinary path (uvicorn's parser, the edge), and the head is cached. When a
complete request comes that begins with the same bytes, its meaning is known: the body goes
directly to the route's endpoint, and the response to the socket. Everything else (another method,
path or header, a body in pieces, a pipelined request) takes the ordinary path, always.

This module imports private names of uvicorn. `services.edge.install` imports it only for versions
of uvicorn that it was tested with.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from contracts.split import UNIT_HEADER
from services.edge.application import MAX_HEADERS, Edge
from services.edge.asgi import Headers
from services.edge.body import JSON, is_json
from services.edge.flow import LeanDeque, LeanFlowControl
from services.edge.routes import Route
from services.edge.statuses import CLOSE, Pairs
from services.faults import Fault
from services.inference.ids import new_request_id
from services.inference.pending import Request

logger = logging.getLogger("bentoml.slipway")

UVICORN_PROTOCOL = HttpToolsProtocol
"""The protocol class that the fast path extends."""
END = b"\r\n\r\n"
MAX_CACHED_HEADS = 4096
"""When there are more heads, all are dropped."""
MAX_CACHEABLE_HEAD_BYTES = 4096
MAX_HEAD_BYTES = 64 * 1024
"""A request with a longer head is refused."""
PER_REQUEST_HEADERS = frozenset({b"x-request-id", b"traceparent"})
"""Headers that differ in each request: a head with one of them never comes again."""
BODY_HEADERS = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})
"""Headers that change how a body is read: only the ordinary path knows them."""
STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


class CachedHead(msgspec.Struct, frozen=True):
    """What the bytes of a head mean."""

    path: str
    headers: Headers
    body_bytes: int
    unit: bytes


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol class with a cache of heads; an instance per connection.

    `__slots__` keeps the instance dict small enough for CPython's key-sharing dicts: an idle
    connection uses a quarter less memory.
    """

    __slots__ = (
        "_at_message_boundary", "_edge", "_find_route", "_head_bytes", "_head_timer", "_heads",
        "_in_head", "_last_answer", "_messages_begun", "_new_head",
    )  # fmt: skip

    def __init__(self, *, edge: Edge, heads: dict[bytes, CachedHead], **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._edge = edge
        self._find_route = edge.routes.find
        self._heads = heads
        self._new_head = b""
        self._at_message_boundary = True
        self._in_head = False
        self._messages_begun = 0
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._last_answer = 0.0

    def data_received(self, data: bytes) -> None:
        """Answer a request with a cached head, or let uvicorn parse the data."""
        end = data.find(END) + len(END)
        between_messages = self._at_message_boundary and (
            self.cycle is None or self.cycle.response_complete
        )
        if between_messages and not self.flow.write_paused:
            head = self._heads.get(data[:end])
            if head is not None and len(data) - end == head.body_bytes:
                route = self._find_route(head.path)
                if route is not None:
                    self._answer(head, route, data[end:])
                    return
        self._new_head = data[:end] if between_messages and _is_plain(data[:end]) else b""
        self._at_message_boundary = False
        self._messages_begun = 0
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            # Behind another request in the same data, the start of the head is unknown.
            begun = self._messages_begun
            is_all_head = begun == 0 or (begun == 1 and between_messages)
            self._limit_head(len(data) if is_all_head else 0)

    def _limit_head(self, received: int) -> None:
        """Refuse a head that is too long or takes too long; uvicorn would wait for ever."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._edge.head_timeout_s, self._head_is_late)
        self._head_bytes += received
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_and_close(Fault("headers_too_large"))

    def _head_is_late(self) -> None:
        if self.flow.read_paused or self.flow.write_paused:
            # It may have arrived long ago: this side has stopped reading.
            self._head_timer = self.loop.call_later(self._edge.head_timeout_s, self._head_is_late)
        elif self._in_head and not self.transport.is_closing():
            fault = Fault("body_timeout", "the head of the request did not arrive in time")
            self._refuse_and_close(fault)

    def _refuse_and_close(self, fault: Fault) -> None:
        request_id = new_request_id()
        response = self._edge.refuse(fault, None, "", request_id)
        self.transport.write(
            _response_bytes(response.status, response.body, request_id, [], keep_alive=False)
        )
        self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Uvicorn's set-up with lean parts, and a timeout for clients that never send."""
        super().connection_made(transport)
        self.flow = LeanFlowControl(transport)  # type: ignore[assignment]  # it does what uvicorn's does
        self.pipeline = LeanDeque()  # type: ignore[assignment]  # as above
        self.timeout_keep_alive_task = self.loop.call_later(
            self._edge.head_timeout_s, self.timeout_keep_alive_handler
        )

    def on_message_complete(self) -> None:
        """Uvicorn's parser has read a request to its end."""
        self._at_message_boundary = True
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """Uvicorn's parser begins a request."""
        self._at_message_boundary = False
        self._in_head = True
        self._head_bytes = 0
        self._messages_begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Uvicorn's parser has read a head: cache it if it is likely to come again."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()
        if self._new_head:
            head = self._cacheable_head()
            if head is not None:
                if len(self._heads) >= MAX_CACHED_HEADS:
                    self._heads.clear()
                self._heads[self._new_head] = head
            self._new_head = b""

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, unless it was used since the timer was set."""
        left_s = self._last_answer + self.timeout_keep_alive - self.loop.time()
        is_waiting = self.cycle is not None and not self.cycle.response_complete
        if left_s > 0 or is_waiting:
            self.timeout_keep_alive_task = self.loop.call_later(
                max(left_s, 1.0), self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _cacheable_head(self) -> CachedHead | None:
        """The meaning of the head just read; None if it must take the ordinary path."""
        scope, edge = self.scope, self._edge
        route = self._find_route(scope["path"])
        if route is None or route.method != scope["method"]:
            return None
        headers: Mapping[bytes, bytes] = dict(self.headers)
        length = headers.get(b"content-length", b"")
        is_simple = (
            scope["http_version"] == "1.1"
            and not scope["query_string"]
            and len(headers) == len(self.headers) <= MAX_HEADERS
            and not headers.keys() & (BODY_HEADERS | PER_REQUEST_HEADERS)
            and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and is_json(headers)
            and length.isdigit()
            and int(length) <= edge.body_bytes
        )
        if not is_simple or not edge.guard.is_synchronous:
            return None
        return CachedHead(scope["path"], headers, int(length), headers.get(UNIT_HEADER, b""))

    def _answer(self, head: CachedHead, route: Route, body: bytes) -> None:
        cycle = FastPathCycle(self, head.path, route, new_request_id())
        self.cycle = cycle  # type: ignore[assignment]  # it has the attributes that uvicorn reads
        try:
            if route.scope is not None:
                self._edge.guard.admit(head.headers, route.scope)
            route.handle(Request(body, cycle.request_id, head.unit, time.monotonic()), cycle)
        except Exception as err:  # noqa: BLE001 - the client must not wait for ever
            cycle.set_exception(err)

    def write_response(
        self, cycle: "FastPathCycle", status: int, body: bytes, extra: Pairs
    ) -> None:
        """Write the response to a request of the fast path, and go on as uvicorn does."""
        keep_alive = cycle.keep_alive and self._edge.repository.is_open and CLOSE not in extra
        headers = [*self.server_state.default_headers, *extra]
        self.transport.write(
            _response_bytes(status, body, cycle.request_id, headers, keep_alive=keep_alive)
        )
        cycle.response_complete = True
        if not keep_alive:
            self.transport.close()
        elif self.pipeline or self.flow.read_paused:
            self.on_response_complete()
            return
        self._last_answer = self.loop.time()
        self.server_state.total_requests += 1

    def refuse(self, cycle: "FastPathCycle", err: BaseException) -> None:
        """Write the response to a request of the fast path that failed."""
        response = self._edge.refuse(err, cycle.route, cycle.path, cycle.request_id)
        self.write_response(cycle, response.status, response.body, response.headers)


class _NullEvent:
    """An event for which nobody waits."""

    def set(self) -> None:
        """Do nothing."""


_NULL_EVENT = _NullEvent()


class FastPathCycle:
    """A request of the fast path, and the sink of its response.

    It stands in for uvicorn's `RequestResponseCycle`, of which it has the attributes that the
    protocol class reads and writes.
    """

    __slots__ = (
        "body", "disconnected", "keep_alive", "message_event", "more_body", "path", "protocol",
        "request_id", "response_complete", "route",
    )  # fmt: skip

    def __init__(
        self, protocol: FastPathProtocol, path: str, route: Route, request_id: str
    ) -> None:
        self.protocol = protocol
        self.path = path
        self.route = route
        self.request_id = request_id
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NULL_EVENT
        self.more_body = False
        self.body = b""

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


def protocol_factory(edge: Edge) -> Any:
    """What uvicorn calls for each new connection, instead of its own protocol class."""
    heads: dict[bytes, CachedHead] = {}

    def protocol(**uvicorn: Any) -> FastPathProtocol:
        return FastPathProtocol(edge=edge, heads=heads, **uvicorn)

    return protocol


def _response_bytes(
    status: int, body: bytes, request_id: str, headers: Pairs, *, keep_alive: bool
) -> bytes:
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


def _is_plain(head: bytes) -> bool:
    """Whether every parser reads a head the same: no bare line ends, no folded lines.

    Only then is it certain that uvicorn's parser also sees its end where `END` is.
    """
    return (
        len(END) < len(head) <= MAX_CACHEABLE_HEAD_BYTES
        and head.startswith(b"POST /")
        and head.count(b"\n") == head.count(b"\r\n") == head.count(b"\r")
        and b"\r\n " not in head
        and b"\r\n\t" not in head
    )
