"""How a response body is sent: its media type, and compressed if it is long and the client asks."""

from dataclasses import dataclass, replace

from services.edge.asgi import Headers
from services.edge.codings import GZIP, accepts_gzip, packed
from services.edge.request_content import JSON_LENGTH
from services.edge.routes import HtmlBody, TextBody
from services.edge.statuses import Pairs
from services.protocols.binary_tensors import TensorBody
from services.protocols.wire_protocol import JSON, TENSORS

TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"
MIN_CODED_BYTES = 1000
"""Shorter responses are never compressed: they fit into one packet anyway."""
MAX_INLINE_BYTES = 64 * 1024
"""Longer responses are compressed in a thread: it takes milliseconds."""
VARIES = (b"vary", b"accept-encoding")
CODED = (b"content-encoding", GZIP)


@dataclass(frozen=True, slots=True)
class Content:
    """A response body, its media type, and the headers that describe it."""

    body: bytes
    media_type: bytes = JSON
    headers: Pairs = ()


def content_of(body: bytes) -> Content:
    """A body that a handler encoded, with what it is; not compressed."""
    varies = (VARIES,) if len(body) > MIN_CODED_BYTES else ()
    if isinstance(body, TensorBody):
        return Content(body, TENSORS, ((JSON_LENGTH, b"%d" % body.json_bytes), *varies))
    if isinstance(body, HtmlBody):
        return Content(body, HTML, varies)
    return Content(body, TEXT if isinstance(body, TextBody) else JSON, varies)


def is_coded(content: Content, headers: Headers) -> bool:
    """Whether a response to a request with these headers is compressed."""
    return len(content.body) > MIN_CODED_BYTES and accepts_gzip(headers)


def coded(content: Content) -> Content:
    """The content, compressed."""
    return replace(content, body=packed(content.body), headers=(*content.headers, CODED))
