"""uvicorn's protocol class with what it lacks: limits on connections, and deadlines.

A connection that sends nothing is closed, and so is one whose head or body never ends, whose
response is complete while its body is not, or whose client reads none of its responses.
Connections beyond the limits are refused.

This module imports private names of uvicorn; see `services.edge.install`.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.edge.application import Edge
from services.edge.connections import ConnectionLimit
from services.edge.fast_path_cycle import FastPathCycle, response_bytes
from services.edge.flow_control import LeanDeque, LeanFlowControl
from services.faults import Fault
from services.inference.ids import new_request_id
from services.protocols.wire_protocol import JSON

UVICORN_PROTOCOL = HttpToolsProtocol
"""The protocol class that the fast path extends."""
ORDINARY_GRACE = 1.25
"""The edge answers a late body on the ordinary path itself; the connection is closed after this
many times the limit, for paths that are not the edge's."""


class WatchedProtocol(HttpToolsProtocol):
    """A connection with limits and deadlines.

    `__slots__` keeps the instance dict small enough for CPython's key-sharing dicts: an idle
    connection uses a quarter less memory. `_in_message`: a request has begun and not ended;
    `_in_head`: nor has its head. `_unfinished_since`: the loop's time, 0 for never.
    `_unread_since`: since when the client has read nothing of `_unread_bytes` that wait for it.
    """

    __slots__ = (
        "_edge", "_idle_until", "_in_head", "_in_message", "_limit", "_refusal", "_timer",
        "_unfinished_since", "_unread_bytes", "_unread_since",
    )  # fmt: skip

    def __init__(self, *, edge: Edge, limit: ConnectionLimit, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._edge = edge
        self._limit = limit
        self._in_message = self._in_head = False
        self._unfinished_since = 0.0
        self._idle_until = 0.0
        self._unread_bytes = 0
        self._unread_since = 0.0
        self._refusal: Fault | None = None
        self._timer: asyncio.TimerHandle | None = None

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

    def pause_writing(self) -> None:
        """Watch a client whose responses fill their buffer."""
        super().pause_writing()
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread_since = self.loop.time()

    def _is_unread(self, now: float) -> bool:
        """Whether the client has read nothing of its responses for the time limit."""
        waiting = self.transport.get_write_buffer_size()
        if waiting < self._unread_bytes:
            self._unread_since = now
        self._unread_bytes = waiting
        return now - self._unread_since >= self._edge.head_timeout_s

    def _check_deadlines(self) -> None:
        """Close the connection if it is idle, or if what it sends does not end."""
        if self.transport.is_closing():
            return
        now, limit_s = self.loop.time(), self._edge.head_timeout_s
        if self.flow.write_paused and self._is_unread(now):
            self.transport.abort()
            return
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
