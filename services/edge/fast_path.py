"""The fast path: predictions answered inside uvicorn's HTTP protocol class.

Besides the model, a request mostly costs its way through ASGI: a scope, a task, two messages and
a chain of middleware. llhttp, uvicorn's parser, reads every request; if it is a prediction whose
path, headers and coding are known here, its body goes directly to the route's handler and the
response to the socket. Headers may differ in each request, and the body may come in pieces; a
request in one piece (`services.edge.whole_request`) costs least. Everything else (other methods
and paths, a request sent behind one that is unanswered) takes the ordinary path: uvicorn's cycle,
and the edge as an ASGI application.

Refused are heads without a host, and requests to upgrade the protocol that cannot be ignored:
llhttp would read their body as the next request of the connection.

This module uses private names of uvicorn. `services.edge.install` imports it only for versions of
uvicorn that it was tested with.
"""

import logging
import time
from functools import partial
from typing import Any

import httptools

from contracts.split import UNIT_HEADER
from services.auth.guard import PendingAdmission
from services.edge.application import MAX_HEADERS, Edge
from services.edge.asgi import Headers
from services.edge.body import too_large
from services.edge.connections import ConnectionLimit
from services.edge.fast_path_cycle import FastPathCycle, ResultHead, response_bytes
from services.edge.http_head import MAX_HEAD_BYTES, is_oversized, malformation, without_upgrade
from services.edge.request_content import is_plain
from services.edge.routes import Route
from services.edge.statuses import CLOSE, Pairs
from services.edge.watched_protocol import WatchedProtocol
from services.edge.whole_request import WholeRequestReader
from services.faults import Fault
from services.inference.ids import request_id_of
from services.inference.pending import Request
from services.protocols.trace_context import trace_headers, trace_id_of
from services.protocols.wire_protocol import JSON

logger = logging.getLogger("bentoml.slipway")


class _Refused(Exception):
    """Stops the parser: the connection is refused with a fault."""


class Shared:
    """What all connections of a worker share."""

    def __init__(self, limit: ConnectionLimit) -> None:
        self.limit = limit
        self.read_whole = WholeRequestReader(MAX_HEADERS).read
        self.result_head = ResultHead()


class FastPathProtocol(WatchedProtocol):
    """A connection with a short path for predictions."""

    __slots__ = ("_find_route", "_head_bytes", "_messages_begun", "_shared")

    def __init__(self, *, edge: Edge, shared: Shared, **uvicorn: Any) -> None:
        super().__init__(edge=edge, limit=shared.limit, **uvicorn)
        self._shared = shared
        self._find_route = edge.routes.find
        self._messages_begun = 0
        self._head_bytes = 0

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; the parser calls the `on_` methods below."""
        if self._refusal is not None or self.transport.is_closing():
            return
        between_messages = not self._in_message
        if between_messages and self._is_free() and self._answer_whole(data):
            return
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

    def _answer_whole(self, data: bytes) -> bool:
        """Answer a request that is all of `data`; false if it takes another way."""
        whole = self._shared.read_whole(data)
        if whole is None:
            return False
        route = self._find_route(whole.path)
        if route is None or not self._accepts(route, whole.headers):
            return False
        cycle = self._begin_fast(whole.path, route, whole.headers, keep_alive=whole.keep_alive)
        cycle.receive_whole(whole.body)
        self._answer(cycle)
        return True

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
        if (
            route is not None
            and self.parser.get_method() == b"POST"
            and len(headers) == len(self.headers) <= MAX_HEADERS
            and self._is_free()
            and self._accepts(route, headers)
        ):
            is_1_1 = self.parser.get_http_version() != "1.0"
            keep_alive = self.parser.should_keep_alive() and is_1_1
            cycle = self._begin_fast(path, route, headers, keep_alive=keep_alive)
            if cycle.is_admitted:
                self._ask_for_body(cycle)
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
        else:
            self._answer(cycle)

    def _answer(self, cycle: FastPathCycle) -> None:
        """Answer a request whose body is complete."""
        if cycle.response_complete:
            self._idle_until = self.loop.time() + self.timeout_keep_alive
        elif not cycle.is_admitted:
            cycle.is_received = True
        elif cycle.refusal is not None:
            cycle.set_exception(cycle.refusal)
        else:
            trace_id = trace_id_of(cycle.headers) if self._edge.traces else ""
            request = Request(
                cycle.body(), cycle.request_id, cycle.unit, time.monotonic(), trace_id
            )
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

    def _is_free(self) -> bool:
        """Whether a request could be answered now, without waiting for another."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self.limit_concurrency is None
        )

    def _accepts(self, route: Route, headers: Headers) -> bool:
        """Whether nothing in a head asks for what only the ordinary path can do."""
        length = int(headers.get(b"content-length", b"0"))
        is_short = length <= self._edge.body_bytes
        return route.method == "POST" and is_short and b"prefer" not in headers

    def _begin_fast(
        self, path: str, route: Route, headers: Headers, *, keep_alive: bool
    ) -> FastPathCycle:
        unit = headers.get(UNIT_HEADER, b"")
        request_id = request_id_of(headers)
        cycle = FastPathCycle(self, path, route, request_id, unit, headers, keep_alive=keep_alive)
        self.cycle = cycle  # type: ignore[assignment]  # it has the attributes that uvicorn reads
        if route.scope is not None:
            try:
                pending = self._edge.guard.admit(headers, route.scope)
            except Exception as err:  # noqa: BLE001 - a bug in the guard must refuse, too
                cycle.refuse_early(err)
            else:
                if pending is not None:
                    cycle.is_admitted = False
                    end = partial(self._end_admission, cycle, pending)
                    pending.wait_s.add_done_callback(end)
        if not is_plain(headers):
            cycle.read_content(self._edge.body_bytes)
        return cycle

    def _end_admission(self, cycle: FastPathCycle, pending: PendingAdmission, _: object) -> None:
        """Go on with a request that Redis has counted."""
        cycle.is_admitted = True
        if cycle.done():
            return
        try:
            pending.check()
        except Exception as err:  # noqa: BLE001 - as in `_begin_fast`
            cycle.refuse_early(err)
        if cycle.is_received:
            self._answer(cycle)
        else:
            self._ask_for_body(cycle)

    def _ask_for_body(self, cycle: FastPathCycle) -> None:
        """Ask a client for the body that it holds back until its head is accepted."""
        if cycle.refusal is None and cycle.headers.get(b"expect", b"").lower() == b"100-continue":
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
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def write_result(self, cycle: FastPathCycle, body: bytes) -> None:
        """Write the response to a request of the fast path that succeeded."""
        edge = self._edge
        if not cycle.keep_alive or not edge.repository.is_open or edge.traces or edge.cors:
            self.write_response(cycle, 200, body, ())
            return
        head = self._shared.result_head.text(self.server_state.default_headers)
        self.transport.write(
            b"%b%d\r\nx-request-id: %b\r\n\r\n%b"
            % (head, len(body), cycle.request_id.encode(), body)
        )
        cycle.response_complete = True
        self.on_response_complete()

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
        if self._edge.cors is not None:
            headers += self._edge.cors.response_headers(cycle.headers.get(b"origin"))
        if self._edge.traces:
            headers += trace_headers(cycle.headers)
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


def protocol_factory(edge: Edge) -> Any:
    """What uvicorn calls for each new connection, instead of its own protocol class."""
    limit = ConnectionLimit(edge.max_connections, edge.max_connections_per_address)
    shared = Shared(limit)

    def protocol(**uvicorn: Any) -> FastPathProtocol:
        return FastPathProtocol(edge=edge, shared=shared, **uvicorn)

    return protocol


def _internal_error(err: Exception) -> Fault:
    logger.error("a request could not be parsed", exc_info=err.__context__ or err)
    return Fault("internal_error")
