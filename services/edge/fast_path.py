"""The fast path: predictions answered inside uvicorn's HTTP protocol class.

Besides the model, a request mostly costs its way through ASGI: a scope, a task, two messages and
a chain of middleware. llhttp, uvicorn's parser, reads every request; if it is a prediction whose
path, headers and coding are known here, its body goes directly to the route's handler and the
response to the socket. Headers may differ in each request, and the body may come in pieces.
Everything else (other methods and paths, a request sent behind one that is unanswered) takes the
ordinary path: uvicorn's cycle, and the edge as an ASGI application.

The protocol also watches over what uvicorn does not: heads and bodies that never end, heads
without a host, and requests to upgrade the protocol, whose body llhttp would read as the next
request of the connection.

This module imports private names of uvicorn. `services.edge.install` imports it only for versions
of uvicorn that it was tested with.
"""

import asyncio
import logging
import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from contracts.split import UNIT_HEADER
from services.edge.application import MAX_HEADERS, Edge, request_id_of
from services.edge.asgi import Headers
from services.edge.body import too_large
from services.edge.connections import ConnectionLimit
from services.edge.fast_path_cycle import FastPathCycle, response_bytes
from services.edge.flow import LeanDeque, LeanFlowControl
from services.edge.http_head import MAX_HEAD_BYTES, is_oversized, malformation, without_upgrade
from services.edge.request_content import is_plain
from services.edge.routes import Route
from services.edge.statuses import CLOSE, Pairs
from services.faults import Fault
from services.inference.ids import new_request_id
from services.inference.pending import Request
from services.protocols.wire_protocol import JSON

logger = logging.getLogger("bentoml.slipway")

UVICORN_PROTOCOL = HttpToolsProtocol
"""The protocol class that the fast path extends."""
ORDINARY_GRACE = 1.25
"""The edge answers a late body on the ordinary path itself; the connection is closed after this
many times the limit, for paths that are not the edge's."""


class _Refused(Exception):
    """Stops the parser: the connection is refused with a fault."""


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol class with a short path for predictions; an instance per connection.

    `__slots__` keeps the instance dict small enough for CPython's key-sharing dicts: an idle
    connection uses a quarter less memory.
    """

    __slots__ = (
        "_edge", "_find_route", "_head_bytes", "_idle_until", "_in_head", "_in_message", "_limit",
        "_messages_begun", "_refusal", "_timer", "_unfinished_since",
    )  # fmt: skip

    def __init__(self, *, edge: Edge, limit: ConnectionLimit, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._edge = edge
        self._limit = limit
        self._find_route = edge.routes.find
        self._in_message = self._in_head = False
        self._messages_begun = 0
        self._head_bytes = 0
        self._unfinished_since = 0.0
        self._idle_until = 0.0
        self._refusal: Fault | None = None
        self._timer: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Set up a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self.flow = LeanFlowControl(transport)  # type: ignore[assignment]  # it does what uvicorn's does
        self.pipeline = LeanDeque()  # type: ignore[assignment]  # as above
        self._idle_until = self.loop.time() + self._edge.head_timeout_s
        self._timer = self.loop.call_later(self._edge.head_timeout_s, self._check_deadlines)
        if not self._limit.acquire(self.client):
            self._refuse_connection(Fault("too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; a reset leaves no timer behind."""
        super().connection_lost(exc)
        self._limit.release(self.client)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadlines(self) -> None:
        """Close the connection if it is idle, or if what it sends does not end."""
        if self.transport.is_closing():
            return
        now, limit_s = self.loop.time(), self._edge.head_timeout_s
        is_pending = self.cycle is not None and not self.cycle.response_complete
        if self._unfinished_since and not self.flow.read_paused:
            due = self._unfinished_since + limit_s * self._grace(is_pending=is_pending)
            if due <= now:
                self._end_late_message(is_pending=is_pending)
        elif is_pending or self.flow.write_paused:
            due = now + 1.0
        else:
            due = self._idle_until
            if due <= now:
                self.transport.close()
        self._timer = self.loop.call_later(
            min(max(due - now, 0.05), limit_s), self._check_deadlines
        )

    def _grace(self, *, is_pending: bool) -> float:
        is_ordinary = is_pending and not self._in_head and not self._is_fast()
        return ORDINARY_GRACE if is_ordinary else 1.0

    def _end_late_message(self, *, is_pending: bool) -> None:
        if self._in_head:
            fault = Fault("body_timeout", "the head of the request did not arrive in time")
            self._refuse_connection(fault)
        elif is_pending and self._is_fast():
            self.cycle.set_exception(Fault("body_timeout"))  # type: ignore[attr-defined]  # a FastPathCycle
        else:
            self.transport.close()

    def _is_fast(self) -> bool:
        cycle: Any = self.cycle
        return type(cycle) is FastPathCycle

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; the parser calls the `on_` methods below."""
        if self._refusal is not None or self.transport.is_closing():
            return
        between_messages = not self._in_message
        if between_messages and b"pgrade" in data:
            data = without_upgrade(data)
        self._messages_begun = 0
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._head_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as err:
            self._refuse_connection(self._refusal or _internal_error(err))
            return
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse_connection(Fault("invalid_http"))
            return
        if self._in_message:
            self._unfinished_since = self._unfinished_since or self.loop.time()
            begun = self._messages_begun
            # Behind another request in the same data, the start of the head is unknown.
            is_all_head = begun == 0 or (begun == 1 and between_messages)
            if self._in_head and is_all_head and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_connection(Fault("headers_too_large"))

    def on_message_begin(self) -> None:
        """Begin a request; uvicorn's scope is made only if the ordinary path needs one."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_message = self._in_head = True
        self._messages_begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the path of a request whose head is complete."""
        headers = dict(self.headers)
        self._check_head(headers)
        self._in_head = False
        if self._unfinished_since:
            self._unfinished_since = self.loop.time()
        path = self.url.decode("latin-1")
        route = self._find_route(path)
        if route is not None and self._can_be_fast(route, headers):
            self._begin_fast(path, route, headers)
        else:
            self._begin_ordinary(headers)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        cycle: Any = self.cycle
        if type(cycle) is not FastPathCycle:
            super().on_body(body)
        elif not cycle.response_complete and not cycle.receive(body, self._edge.body_bytes):
            cycle.set_exception(too_large(self._edge.body_bytes, f"{cycle.n_bytes} or more"))

    def on_message_complete(self) -> None:
        """Answer a request of the fast path; on the ordinary path, its task waits for this."""
        self._in_message = False
        self._unfinished_since = 0.0
        cycle: Any = self.cycle
        if type(cycle) is not FastPathCycle:
            super().on_message_complete()
        elif cycle.response_complete:
            self._idle_until = self.loop.time() + self.timeout_keep_alive
        elif cycle.refusal is not None:
            cycle.set_exception(cycle.refusal)
        else:
            request = Request(cycle.body(), cycle.request_id, cycle.unit, time.monotonic())
            try:
                cycle.route.handle(request, cycle)
            except Exception as err:  # noqa: BLE001 - the client must not wait for ever
                cycle.set_exception(err)

    # The head of a request

    def _check_head(self, headers: Headers) -> None:
        """Stop the parser at a head that no server may accept.

        Raises:
            _Refused: it is too long, or not HTTP/1.1; `_refusal` has the reason.

        """
        self._refusal = malformation(
            self.parser.get_http_version(),
            headers,
            self.headers,
            is_upgrade=self.parser.should_upgrade(),
        )
        if self._head_bytes > MAX_HEAD_BYTES and is_oversized(self.url, self.headers):
            self._refusal = Fault("headers_too_large")
        if self._refusal is not None:
            raise _Refused

    def _can_be_fast(self, route: Route, headers: Headers) -> bool:
        """Whether nothing in a head asks for what only the ordinary path can do."""
        edge = self._edge
        return (
            route.method == "POST"
            and self.parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and len(headers) == len(self.headers) <= MAX_HEADERS
            and edge.guard.is_synchronous
            and self.limit_concurrency is None
            and int(headers.get(b"content-length", b"0")) <= edge.body_bytes
        )

    def _begin_fast(self, path: str, route: Route, headers: Headers) -> None:
        request_id = request_id_of(headers)
        unit = headers.get(UNIT_HEADER, b"")
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        cycle = FastPathCycle(self, path, route, request_id, unit, headers, keep_alive=keep_alive)
        self.cycle = cycle  # type: ignore[assignment]  # it has the attributes that uvicorn reads
        if route.scope is not None:
            try:
                self._edge.guard.admit(headers, route.scope)
            except Exception as err:  # noqa: BLE001 - a bug in the guard must refuse, too
                cycle.refuse_early(err)
        if not is_plain(headers):
            cycle.read_content(self._edge.body_bytes)
        if cycle.refusal is None and headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin_ordinary(self, headers: Headers) -> None:
        """Let uvicorn make a cycle and a task of the head that was read."""
        url, listed = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(listed)
        self.expect_100_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()

    # What the client receives

    def on_response_complete(self) -> None:
        """Go on after a response: read, and answer what was sent behind the request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._refusal is not None and not self.pipeline:
            self.transport.close()
            return
        self._idle_until = self.loop.time() + self.timeout_keep_alive
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def write_response(
        self,
        cycle: FastPathCycle,
        status: int,
        body: bytes,
        extra: Pairs,
        media_type: bytes = JSON,
    ) -> None:
        """Write the response to a request of the fast path."""
        keep_alive = cycle.keep_alive and self._edge.repository.is_open and CLOSE not in extra
        headers = [*self.server_state.default_headers, *extra]
        self.transport.write(
            response_bytes(
                status, body, cycle.request_id, headers, media_type, keep_alive=keep_alive
            )
        )
        cycle.response_complete = True
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def refuse(self, cycle: FastPathCycle, err: BaseException) -> None:
        """Write the response to a request of the fast path that failed."""
        response = self._edge.refuse(err, cycle.route, cycle.path, cycle.request_id)
        cycle.send(response.status, response.body, response.headers)

    def _refuse_connection(self, fault: Fault) -> None:
        """Refuse what cannot be read on, and close; a request before it is answered first."""
        self._refusal = fault
        is_of_earlier = self._in_head or not self._in_message
        if is_of_earlier and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        request_id = new_request_id()
        response = self._edge.refuse(fault, None, "", request_id)
        self.transport.write(
            response_bytes(response.status, response.body, request_id, [], JSON, keep_alive=False)
        )
        self.transport.close()


def protocol_factory(edge: Edge, kind: type[FastPathProtocol] = FastPathProtocol) -> Any:
    """What uvicorn calls for each new connection, instead of its own protocol class."""
    limit = ConnectionLimit(edge.max_connections, edge.max_connections_per_address)

    def protocol(**uvicorn: Any) -> FastPathProtocol:
        return kind(edge=edge, limit=limit, **uvicorn)

    return protocol


def _internal_error(err: Exception) -> Fault:
    logger.error("a request could not be parsed", exc_info=err.__context__ or err)
    return Fault("internal_error")
