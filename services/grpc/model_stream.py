"""`ModelStreamInfer`: request after request on one call, answered in their order.

Requests of one stream are scored together, as those of several clients are. A request that is
refused gets its reason as a response, and the stream goes on.
"""

import asyncio
from typing import Any

import grpc

from services.faults import Fault
from services.grpc.calls import Call, Calls
from services.grpc.inference_service import InferenceService
from services.grpc.messages import INFERENCE, ModelInferRequest, ModelStreamInferResponse, parsed
from services.grpc.statuses import message_of

MAX_STREAM_REQUESTS = 64
"""Requests of one stream that are answered at the same time; the next one is read after that."""
INFER_RESPONSE = b"\x12"
"""What precedes the length and the bytes of `infer_response` in its message: field 2, bytes."""


class ModelStream:
    """Answers streams, until `close` ends those that are open."""

    def __init__(self, service: InferenceService, calls: Calls) -> None:
        self._service = service
        self._calls = calls
        self._readers: set[asyncio.Task[None]] = set()
        self._is_open = True

    def handlers(self) -> dict[str, Any]:
        """The handler of the method, by its full name."""
        return {f"/{INFERENCE}/ModelStreamInfer": self._calls.streaming(self._answer)}

    def close(self) -> None:
        """Read no more requests; those that were read are answered, and then the streams end."""
        self._is_open = False
        for reader in self._readers:
            reader.cancel()

    async def _answer(self, call: Call) -> None:
        """Answer the requests of a stream.

        Raises:
            Fault: `not_ready`, when the service stops.

        """
        if not self._is_open:
            raise Fault("not_ready")
        stream = _Stream(call, self._service, self._calls)
        reader = asyncio.create_task(stream.read())
        self._readers.add(reader)
        try:
            await stream.write()
            await reader
        except asyncio.CancelledError:
            if reader.cancelled() and not self._is_open:
                raise Fault("not_ready") from None
            raise
        finally:
            self._readers.discard(reader)
            reader.cancel()
            stream.cancel()


class _Pending:
    """A request of a stream that waits for its turn: its own id, and its response."""

    __slots__ = ("client_id", "response")

    def __init__(self) -> None:
        self.client_id = ""
        self.response: asyncio.Future[bytes] | Exception = Fault("internal_error")


class _Stream:
    """One stream: requests are read and submitted, and their responses written in order."""

    def __init__(self, call: Call, service: InferenceService, calls: Calls) -> None:
        self._call = call
        self._service = service
        self._calls = calls
        self._waiting: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(MAX_STREAM_REQUESTS)
        self._n_read = 0

    async def read(self) -> None:
        """Submit each request, until the client has sent its last one."""
        try:
            while (message := await self._call.context.read()) is not grpc.aio.EOF:
                await self._room.acquire()
                self._waiting.put_nowait(await self._submit(message))
        finally:
            self._waiting.put_nowait(None)

    async def write(self) -> None:
        """Write the response to each request, until the last one."""
        while (pending := await self._waiting.get()) is not None:
            await self._call.context.write(await self._response(pending))
            self._room.release()

    def cancel(self) -> None:
        """Wait for no more responses."""
        while not self._waiting.empty():
            pending = self._waiting.get_nowait()
            if pending is not None and isinstance(pending.response, asyncio.Future):
                pending.response.cancel()

    async def _submit(self, message: bytes) -> _Pending:
        pending = _Pending()
        try:
            # The first request was counted when its call was admitted.
            if self._n_read:
                await self._calls.admit(self._call)
            self._n_read += 1
            request = parsed(ModelInferRequest, message)
            pending.client_id = request.id
            request_id = f"{self._call.request_id}-{self._n_read}"
            pending.response = self._service.submit(self._call, request, request_id)
        except Exception as err:  # noqa: BLE001 - the stream goes on, whatever one request meets
            pending.response = err
        return pending

    async def _response(self, pending: _Pending) -> bytes:
        """The encoded response to a request, or the reason why there is none."""
        if isinstance(pending.response, Exception):
            return self._refusal(pending.response, pending.client_id)
        try:
            return _wrapped(await pending.response)
        except Exception as err:  # noqa: BLE001 - as above
            return self._refusal(err, pending.client_id)

    def _refusal(self, err: Exception, client_id: str) -> bytes:
        fault = self._calls.count(self._call, err)
        refused = ModelStreamInferResponse(error_message=message_of(fault))
        refused.infer_response.id = client_id
        return bytes(refused.SerializeToString())


def _wrapped(response: bytes) -> bytes:
    r"""An encoded `ModelInferResponse` as the `infer_response` of its message.

    >>> _wrapped(bytes(300))[:4]
    b'\x12\xac\x02\x00'
    """
    length = len(response)
    encoded = bytearray(INFER_RESPONSE)
    while length > 127:  # noqa: PLR2004 - seven bits per byte
        encoded.append(length & 127 | 128)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + response
