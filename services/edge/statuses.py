"""Faults as HTTP: the one table from code to status, and the headers that go with a fault."""

from collections.abc import Mapping, Sequence

from services.faults import Fault, InvalidKey

Pairs = Sequence[tuple[bytes, bytes]]

STATUSES: Mapping[str, int] = {
    "invalid_http": 400,
    "invalid_json": 400,
    "invalid_csv": 400,
    "invalid_coding": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_model": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_timeout": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "headers_too_large": 431,
    "rate_limited": 429,
    "prediction_failed": 500,
    "internal_error": 500,
    "not_ready": 503,
    "too_many_connections": 503,
    "overloaded": 503,
    "deadline_exceeded": 503,
    "model_unavailable": 503,
    "label_log_unavailable": 503,
    "traffic_log_unavailable": 503,
}
"""The HTTP status of each code of `services.faults.FAULTS`."""

CLOSE = (b"connection", b"close")
UNREAD_BODY = frozenset(
    {"body_timeout", "headers_too_large", "invalid_http", "too_many_connections"}
)
"""The rest of such a request is never read, so its connection cannot be used again."""
RETRY_AFTER_S = 1


class HttpFault(Fault):
    """A fault that only HTTP has, with headers of its own."""

    def __init__(self, code: str, message: str = "", headers: Pairs = ()) -> None:
        super().__init__(code, message)
        self.headers = tuple(headers)


def headers_of(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The response headers that a fault adds."""
    headers = list(fault.headers) if isinstance(fault, HttpFault) else []
    if fault.code == "unauthorized":
        error = b' error="invalid_token"' if isinstance(fault, InvalidKey) else b""
        headers.append((b"www-authenticate", b"Bearer" + error))
    retry_after_s = fault.retry_after_s
    if retry_after_s is None and STATUSES[fault.code] == 503:  # noqa: PLR2004 - HTTP's Service Unavailable
        retry_after_s = RETRY_AFTER_S
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    if fault.code in UNREAD_BODY:
        headers.append(CLOSE)
    return headers
