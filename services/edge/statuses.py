"""Faults as HTTP: the headers that go with a fault."""

from collections.abc import Sequence

from services.faults import STATUSES, Fault, InvalidKey

Pairs = Sequence[tuple[bytes, bytes]]

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
