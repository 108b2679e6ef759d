"""An HTTP response before it is sent."""

from dataclasses import dataclass

from services.edge.statuses import Pairs


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; `headers` beyond those of its body, and the request id.

    `media_type`: empty if the body itself says what it is.
    """

    status: int
    body: bytes
    headers: Pairs = ()
    media_type: bytes = b""
