"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol), off by default.

Starlette's middleware decides; the fast path, which no middleware sees, asks it for its headers.
"""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.middleware.cors import CORSMiddleware

from contracts.split import UNIT_HEADER
from services.edge.asgi import App
from services.edge.request_content import JSON_LENGTH
from services.edge.statuses import Pairs

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
REQUEST_HEADERS = (
    "authorization", "content-encoding", "prefer", "traceparent", "x-api-key", "x-request-id",
    UNIT_HEADER.decode(), JSON_LENGTH.decode(),
)  # fmt: skip
"""Headers that the service reads, beyond those that every origin may send."""
RESPONSE_HEADERS = (
    "link", "location", "preference-applied", "retry-after", "x-request-id", JSON_LENGTH.decode(),
)  # fmt: skip
"""Headers of responses that scripts may read, beyond those that they always may."""
DEFAULTS: Mapping[str, Collection[str]] = {
    "allow_methods": METHODS,
    "allow_headers": REQUEST_HEADERS,
    "expose_headers": RESPONSE_HEADERS,
}
"""What options that are not set allow: all that the service has."""
VARIES_BY_ORIGIN = (b"vary", b"origin")


class CrossOrigin(CORSMiddleware):
    """Answers preflight requests before they meet a guard, and adds headers to responses.

    `options`: of Starlette's `CORSMiddleware`; `DEFAULTS` where they are not set.
    """

    def __init__(self, app: App, options: Mapping[str, Any]) -> None:
        super().__init__(app, **{**DEFAULTS, **options})
        self._same_for_all = {
            name.lower().encode(): value.encode("latin-1")
            for name, value in self.simple_headers.items()
        }

    def response_headers(self, origin: bytes | None) -> Pairs:
        """What a response to a request from this origin says to the browser."""
        if origin is None:
            return (VARIES_BY_ORIGIN,)
        headers = dict(self._same_for_all)
        is_named = not self.allow_all_origins or self.allow_credentials
        if is_named and self.is_allowed_origin(origin.decode("latin-1")):
            headers[b"access-control-allow-origin"] = origin
        return (*headers.items(), VARIES_BY_ORIGIN)
