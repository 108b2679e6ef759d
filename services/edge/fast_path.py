"""The protocol: predictions answered inside uvicorn's HTTP protocol class.

What a request costs beside the model is mostly parsing its head and running it through ASGI.
Clients that keep a connection send the same head again and again, to the byte. So the first
request with a head goes the ordinary way (uvicorn's parser, the edge); the head is kept, and
when a whole request comes that begins with the same bytes, its meaning is known: the body goes
straight to the model's endpoint, and the answer to the socket. Everything else (another method,
path or header, a body in pieces, a pipelined request) goes the ordinary way, always.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from contracts.split import UNIT_HEADER
from services.edge.application import CLOSE, JSON, MAX_HEADERS, Edge, Headers, Pairs, demand_json
from services.edge.routes import Ask, Route
from services.faults import Fault
from services.inference.batch_result import new_request_id

logger = logging.getLogger("bentoml.slipway")

END = b"\r\n\r\n"
MAX_CACHED_HEADS = 4096
"""So many heads are kept; when there are more, all are forgotten."""
MAX_CACHEABLE_HEAD_BYTES = 4096
MAX_HEAD_BYTES = 64 * 1024
"""A head of more bytes is refused."""
PER_REQUEST_HEADERS = frozenset({b"x-request-id", b"traceparent"})
"""Headers that differ each time: a head with one of them is not worth keeping."""
BODY_HEADERS = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})
"""Headers that change how a body is read: only the ordinary way knows them."""


@dataclass(frozen=True, slots=True)
class CachedHead:
    """What the bytes of a head mean."""

    path: str
    headers: Headers
    body_bytes: int
    unit: bytes


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a memory for heads. One for each connection.

    With slots for our own, uvicorn's attributes stay few enough for Python to keep their names
    once for all connections, which takes a quarter off what an idle one weighs.
    """

    __slots__ = (
        "_at_message_boundary",
        "_edge",
        "_head_bytes",
        "_head_timer",
        "_heads",
        "_in_head",
        "_last_answer",
        "_messages_begun",
        "_new_head",
    )  # fmt: skip

    def __init__(self, *, edge: Edge, heads: dict[bytes, CachedHead], **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._edge = edge
        self._heads = heads
        self._new_head = b""
        self._at_message_boundary = True
        self._in_head = False
        self._messages_begun = 0
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._last_answer = 0.0

    def data_received(self, data: bytes) -> None:
        """Answer a known request, or let uvicorn read the data."""
        end = data.find(END) + len(END)
        between_messages = self._at_message_boundary and (
            self.cycle is None or self.cycle.response_complete
        )
        if between_messages and not self.flow.write_paused:
            head = self._heads.get(data[:end])
            if head is not None and len(data) - end == head.body_bytes:
                route = self._edge.route(head.path)
                if route is not None and route.ask is not None:
                    self._answer(head, route, route.ask, data[end:])
                    return
        self._new_head = data[:end] if between_messages and _is_plain(data[:end]) else b""
        self._at_message_boundary = False
        # Behind another request in the same piece it is not known where a head begins; else the
        # piece is all head.
        self._messages_begun = 0
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._bound_head(len(data) if self._messages_begun <= between_messages else 0)

    def _bound_head(self, received: int) -> None:
        """Refuse a head that is too long or takes too long; uvicorn would wait for ever."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._edge.head_timeout_s, self._head_is_late)
        self._head_bytes += received
        if self._head_bytes > MAX_HEAD_BYTES:
            self._end_with(Fault("headers_too_large"))

    def _head_is_late(self) -> None:
        if self.flow.read_paused or self.flow.write_paused:
            # It may have come long ago: it is this side that does not read.
            self._head_timer = self.loop.call_later(self._edge.head_timeout_s, self._head_is_late)
        elif self._in_head and not self.transport.is_closing():
            self._end_with(Fault("body_timeout", "the head of the request did not arrive in time"))

    def _end_with(self, fault: Fault) -> None:
        """Refuse what cannot be read to its end, and close the connection."""
        request_id = new_request_id()
        status, body, _ = self._edge.error_response(fault, None, "", request_id)
        self.transport.write(_answer_bytes(status, body, request_id, [], keep_alive=False))
        self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Uvicorn's set-up, lighter; who says nothing at all is not waited for."""
        super().connection_made(transport)
        self.flow = LeanFlowControl(transport)  # type: ignore[assignment]  # it does what uvicorn's does
        self.pipeline = LeanDeque()  # type: ignore[assignment]  # the same
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
        """Uvicorn's parser has read a head: keep it, if it is of a kind that comes again."""
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
        """The meaning of the head just read, if the endpoint can be asked without the edge."""
        scope, edge = self.scope, self._edge
        route = edge.route(scope["path"])
        if route is None or route.ask is None or route.endpoint is None:
            return None
        headers: Mapping[bytes, bytes] = dict(self.headers)
        length = headers.get(b"content-length", b"")
        is_usual = (
            scope["method"] == route.method
            and scope["http_version"] == "1.1"
            and not scope["query_string"]
            and len(headers) == len(self.headers) <= MAX_HEADERS
            and not headers.keys() & (BODY_HEADERS | PER_REQUEST_HEADERS)
            and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and length.isdigit()
            and int(length) <= edge.body_bytes
        )
        if not is_usual or not route.endpoint.is_synchronous or not edge.guard.is_synchronous:
            return None
        return CachedHead(scope["path"], headers, int(length), headers.get(UNIT_HEADER, b""))

    def _answer(self, head: CachedHead, route: Route, ask: Ask, body: bytes) -> None:
        cycle = FastPathCycle(self, head.path, route, new_request_id())
        self.cycle = cycle  # type: ignore[assignment]  # uvicorn looks at the same attributes
        try:
            if route.scope is not None:
                self._edge.guard.admit(head.headers, route.scope)
            demand_json(head.headers)
            if route.takes_unit:
                ask(body, cycle.request_id, cycle, head.unit)
            else:
                ask(body, cycle.request_id, cycle)
        except Exception as err:  # noqa: BLE001 - the client must not wait for ever
            cycle.set_exception(err)

    def answered(self, cycle: "FastPathCycle", status: int, body: bytes, extra: Pairs) -> None:
        """Write an answer, and go on as uvicorn does after one."""
        keep_alive = cycle.keep_alive and self._edge.repository.is_open and CLOSE not in extra
        headers = [*self.server_state.default_headers, *extra]
        self.transport.write(
            _answer_bytes(status, body, cycle.request_id, headers, keep_alive=keep_alive)
        )
        cycle.response_complete = True
        if not keep_alive:
            self.transport.close()
        elif self.pipeline or self.flow.read_paused:
            self.on_response_complete()
            return
        self._last_answer = self.loop.time()
        self.server_state.total_requests += 1

    def refused(self, cycle: "FastPathCycle", err: BaseException) -> None:
        """Write a refusal."""
        status, body, extra = self._edge.error_response(
            err, cycle.route, cycle.path, cycle.request_id
        )
        self.answered(cycle, status, body, extra)


class FastPathCycle:
    """A known request that waits for its answer; uvicorn takes it for one of its cycles."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "path",
        "protocol",
        "request_id",
        "response_complete",
        "route",
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
        """Answer."""
        if not self.done():
            self.protocol.answered(self, 200, result, ())

    def set_exception(self, fault: BaseException, /) -> None:
        """Refuse."""
        if not self.done():
            self.protocol.refused(self, fault)


class _NullEvent:
    def set(self) -> None:
        """Wake nobody."""


_NULL_EVENT = _NullEvent()


class LeanFlowControl:
    """What uvicorn's `FlowControl` does, in a fifth of the memory: most connections are idle."""

    __slots__ = ("_transport", "_writable", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable: asyncio.Event | None = None
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Wait until the client has read enough."""
        if self.write_paused:
            self._writable = self._writable or asyncio.Event()
            await self._writable.wait()

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self.read_paused:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None


class LeanDeque(list[Any]):
    """A deque of uvicorn's without its block of 64 places: few clients send before they read."""

    __slots__ = ()

    def appendleft(self, item: Any) -> None:
        """Put at the end that is not popped."""
        self.insert(0, item)


def _answer_bytes(
    status: int, body: bytes, request_id: str, headers: Pairs, *, keep_alive: bool
) -> bytes:
    lines = [STATUS_LINE[status]]
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
    """Whether a head means what it means for every reader: no bare line ends, no folded lines.

    Only then is it sure that uvicorn's parser, too, sees its end where `END` stands.
    """
    return (
        len(END) < len(head) <= MAX_CACHEABLE_HEAD_BYTES
        and head.startswith(b"POST /")
        and head.count(b"\n") == head.count(b"\r\n") == head.count(b"\r")
        and b"\r\n " not in head
        and b"\r\n\t" not in head
    )


def install(config: object, edge: Edge) -> bool:
    """Let new connections be wires; False if `config` is not a uvicorn that we know."""
    if getattr(config, "http_protocol_class", None) is not HttpToolsProtocol:
        return False
    heads: dict[bytes, CachedHead] = {}

    def protocol(**uvicorns: Any) -> FastPathProtocol:
        return FastPathProtocol(edge=edge, heads=heads, **uvicorns)

    config.http_protocol_class = protocol  # type: ignore[attr-defined]  # uvicorn's Config
    return True
