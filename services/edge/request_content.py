"""What the headers of a request say about its body.

Most bodies are plain JSON, and need nothing of this. The others are unpacked (gzip, deflate), read
by another media type (CSV), or marked where their JSON ends and binary tensors begin, before a
handler of their route gets them.
"""

from dataclasses import replace
from functools import lru_cache, partial

import msgspec

from contracts.errors import preview
from contracts.schema import Violation
from services.edge.asgi import Headers
from services.edge.codings import coding_of, unpacked
from services.edge.routes import Handler, Route
from services.faults import MAX_SHOWN_CHARS, Fault
from services.inference.json_body import invalid_request
from services.inference.pending import Request, ResponseSink
from services.protocols.binary_tensors import TensorBody
from services.protocols.wire_protocol import JSON, TENSORS

JSON_LENGTH = b"inference-header-content-length"
"""Where binary tensors follow the JSON of a body: the length of the JSON, in requests and in
responses."""
MAX_LENGTH_DIGITS = 15


def is_plain(headers: Headers) -> bool:
    """Whether the headers announce JSON in UTF-8 and nothing else, or say nothing."""
    if b"content-encoding" in headers or JSON_LENGTH in headers:
        return False
    content_type = headers.get(b"content-type", JSON)
    return content_type == JSON or _media_type(content_type) == JSON


def content_route(route: Route, headers: Headers, max_bytes: int) -> Route:
    """A route whose handler takes the body that these headers announce.

    Raises:
        Fault: `unsupported_media_type` or `invalid_request`.

    """
    coding = coding_of(headers)
    handle, json_bytes = _handler(route, headers)
    if coding or json_bytes:
        handle = partial(_handle, handle, coding, json_bytes, max_bytes)
    return replace(route, handle=handle)


def _handle(
    handle: Handler,
    coding: bytes,
    json_bytes: int,
    max_bytes: int,
    request: Request,
    sink: ResponseSink,
    /,
) -> None:
    body = unpacked(request.body, coding, max_bytes) if coding else request.body
    if json_bytes > len(body):
        raise _invalid_length(f"{json_bytes}, and a body of {len(body)} bytes")
    if json_bytes:
        body = TensorBody.of(body, json_bytes)
    handle(msgspec.structs.replace(request, body=body), sink)


def media_type_of(headers: Headers) -> bytes:
    """The media type of a request, which is JSON if it says nothing; empty if it is not UTF-8."""
    return _media_type(headers.get(b"content-type", JSON))


def _handler(route: Route, headers: Headers) -> tuple[Handler, int]:
    """What reads the media type of a request, and the length of the JSON before tensors, or 0."""
    media_type = media_type_of(headers)
    if TENSORS in route.media_handlers and media_type in {JSON, TENSORS}:
        length = headers.get(JSON_LENGTH)
        if length is not None:
            return route.media_handlers[TENSORS], _json_bytes(length)
    if media_type == JSON:
        return route.handle, 0
    if media_type in route.media_handlers and media_type != TENSORS:
        return route.media_handlers[media_type], 0
    raise _unsupported(route, headers[b"content-type"])


def _json_bytes(length: bytes) -> int:
    n_bytes = int(length) if length.isdigit() and len(length) <= MAX_LENGTH_DIGITS else 0
    if not n_bytes:
        raise _invalid_length(preview(length.decode("latin-1"), MAX_SHOWN_CHARS))
    return n_bytes


def _invalid_length(got: str) -> Fault:
    expected = "the length of the JSON that is before the tensors"
    return invalid_request([Violation(JSON_LENGTH.decode(), expected, got)])


def _unsupported(route: Route, content_type: bytes) -> Fault:
    known = [JSON, *(each for each in route.media_handlers if each != TENSORS)]
    expected = b" or ".join(known).decode() + " in UTF-8"
    if TENSORS in route.media_handlers:
        expected += f", or {TENSORS.decode()} with the header {JSON_LENGTH.decode()}"
    got = preview(content_type.decode("latin-1"), MAX_SHOWN_CHARS)
    return Fault("unsupported_media_type", f"content-type: expected {expected}, got {got}")


@lru_cache(maxsize=64)
def _media_type(content_type: bytes) -> bytes:
    """The media type without its parameters; empty if they name a charset that is not UTF-8.

    >>> _media_type(b'Application/JSON; charset="UTF-8"'), _media_type(b"text/csv; charset=latin1")
    (b'application/json', b'')
    """
    media_type, *parameters = content_type.lower().split(b";")
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"charset" and value.strip().strip(b'"') not in {b"utf-8", b"utf8"}:
            return b""
    return media_type.strip()
