"""The body of an HTTP request, within the size limit and within the time limit."""

from services.edge.asgi import Headers, Receive
from services.edge.statuses import CLOSE, HttpFault
from services.edge.timeout import SharedTimeout
from services.faults import Fault

DRAIN_LIMIT_FACTOR = 8
"""A body of at most this many times the limit is read to its end before it is refused;
otherwise a client that is still sending gets a reset instead of the 413."""


class ClientLeft(Exception):
    """The connection was closed before the body was complete."""


class BodyReader:
    """Reads bodies of at most `max_bytes`, each within `timeout_s`."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._timeout = SharedTimeout(timeout_s)

    async def read(self, receive: Receive, headers: Headers) -> bytes:
        """The complete body.

        Raises:
            Fault: `body_too_large` or `body_timeout`.
            ClientLeft: the client closed the connection.

        """
        length = headers.get(b"content-length", b"")
        declared = int(length) if length.isdigit() else 0
        try:
            return await self._timeout.wait(self._received(receive, declared))
        except TimeoutError as err:
            raise Fault("body_timeout") from err

    async def _received(self, receive: Receive, declared: int) -> bytes:
        limit = self._max_bytes
        if declared > limit:
            if declared <= DRAIN_LIMIT_FACTOR * limit:
                await _drain(receive)
            raise too_large(limit, str(declared))
        message = await receive()
        body = bytearray(message.get("body", b""))
        while message["type"] == "http.request" and message.get("more_body"):
            if len(body) > limit:
                raise too_large(limit, f"{len(body)} or more")
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ClientLeft
        if len(body) > limit:
            raise too_large(limit, str(len(body)))
        return bytes(body)


def too_large(max_bytes: int, got: str) -> Fault:
    """The fault for a body of more than `max_bytes`; its connection is closed."""
    message = f"body: expected at most {max_bytes} bytes, got {got}"
    return HttpFault("body_too_large", message, headers=[CLOSE])


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass
