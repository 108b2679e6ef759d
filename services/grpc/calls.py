"""A call of gRPC on its way: admitted by its metadata, read in time, answered or refused."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Protocol

import grpc

from contracts.split import UNIT_HEADER
from services.auth.guard import Guard
from services.auth.keys import Scope
from services.faults import STATUSES, Fault
from services.grpc.statuses import GRPC_STATUSES, message_of, trailing_metadata
from services.inference.ids import request_id_of
from services.protocols.trace_context import TRACEPARENT, trace_headers, trace_id_of
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

READ = {
    name.decode(): name
    for name in (b"authorization", b"x-api-key", b"x-request-id", UNIT_HEADER, TRACEPARENT)
}
"""The metadata that is read, each under the name of the same header of HTTP."""


class Call:
    """One call, known by its metadata.

    `timeout_s`: how long a message may take to arrive. `model`: the model that it asks, for
    metrics; empty until it is known. `unit`: as in `Request`.
    """

    __slots__ = ("_timeout_s", "context", "headers", "model", "request_id", "trace_id", "unit")

    def __init__(self, context: Any, timeout_s: float, *, traces: bool) -> None:
        self.context = context
        self._timeout_s = timeout_s
        self.headers = {
            READ[key]: value.encode() for key, value in context.invocation_metadata() if key in READ
        }
        self.request_id = request_id_of(self.headers)
        self.unit = self.headers.get(UNIT_HEADER, b"")
        self.trace_id = trace_id_of(self.headers) if traces else ""
        self.model = ""

    async def read(self) -> bytes:
        """The one message of the call.

        Raises:
            Fault: `body_timeout`, or `invalid_protobuf` if there is none.

        """
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self.context.read()
        except TimeoutError as err:
            raise Fault("body_timeout") from err
        if message is grpc.aio.EOF:
            raise Fault("invalid_protobuf", "message: expected one, got none")
        read: bytes = message
        return read


class Answer(Protocol):
    """Answers a call from the message of its client."""

    def __call__(self, call: Call, message: bytes, /) -> Awaitable[bytes]:
        """The encoded response; may raise a fault."""


class Handle(Protocol):
    """Answers a call in any way, such as message after message."""

    def __call__(self, call: Call, /) -> Awaitable[None]:
        """Write responses; may raise a fault."""


class Calls:
    """Makes the handlers of calls: keys, time limits, faults and metrics are the same for all."""

    def __init__(
        self, repository: ModelRepository, guard: Guard, settings: ServiceSettings
    ) -> None:
        self._metrics = repository.metrics
        self._guard = guard
        self._traces = settings.trace
        self._timeout_s = settings.body_timeout_s

    def unary(self, answer: Answer, scope: Scope | None = "predict") -> Any:
        """The handler of a method with one message and one response.

        It takes a stream, which looks the same to the client, so that a call is admitted before
        its message is read.
        """

        async def handle(_: Any, context: Any) -> bytes:
            call = Call(context, self._timeout_s, traces=self._traces)
            try:
                await self.admit(call, scope)
                response = await answer(call, await call.read())
            except Exception as err:  # noqa: BLE001 - whatever it is, the client gets a status
                return await self._refuse(call, err)
            self._set_metadata(call)
            return response

        return grpc.stream_unary_rpc_method_handler(handle)

    def streaming(self, handle_call: Handle, scope: Scope | None = "predict") -> Any:
        """The handler of a method with any number of messages and responses."""

        async def handle(_: Any, context: Any) -> None:
            call = Call(context, self._timeout_s, traces=self._traces)
            try:
                await self.admit(call, scope)
                await handle_call(call)
            except Exception as err:  # noqa: BLE001 - as above
                await self._refuse(call, err)
            self._set_metadata(call)

        return grpc.stream_stream_rpc_method_handler(handle)

    async def admit(self, call: Call, scope: Scope | None = "predict") -> None:
        """Check the key of a call, and count a request against its rate.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        if scope is not None:
            await self._guard.aadmit(call.headers, scope)

    def count(self, call: Call, err: BaseException) -> Fault:
        """Count and log a request that failed; returns its fault."""
        if not isinstance(err, Fault):
            logger.error("gRPC request %s failed", call.request_id, exc_info=err)
        fault = err if isinstance(err, Fault) else Fault("internal_error")
        self._metrics.requests.labels(call.model, STATUSES[fault.code]).inc()
        self._metrics.refused.labels(call.model, fault.code).inc()
        return fault

    async def _refuse(self, call: Call, err: Exception) -> bytes:
        fault = self.count(call, err)
        metadata = (*trailing_metadata(fault, call.request_id), *self._trace_metadata(call))
        await call.context.abort(GRPC_STATUSES[fault.code], message_of(fault), metadata)
        return b""

    def _set_metadata(self, call: Call) -> None:
        metadata = (("x-request-id", call.request_id), *self._trace_metadata(call))
        call.context.set_trailing_metadata(metadata)

    def _trace_metadata(self, call: Call) -> tuple[tuple[str, str], ...]:
        if not call.trace_id:
            return ()
        return tuple((k.decode(), v.decode()) for k, v in trace_headers(call.headers))
