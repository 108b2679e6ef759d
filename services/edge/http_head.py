"""The head of an HTTP request: what no server may accept, and what a server may ignore."""

import re
from collections.abc import Sequence

from services.edge.asgi import Headers
from services.faults import Fault

MAX_HEAD_BYTES = 64 * 1024
"""A request with a longer head is refused."""
VERSIONS = frozenset({"1.1", "1.0"})
END = b"\r\n\r\n"
_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)

HeaderList = Sequence[tuple[bytes, bytes]]


def malformation(
    version: str, headers: Headers, listed: HeaderList, *, is_upgrade: bool
) -> Fault | None:
    """Why a head is not HTTP/1.1 (RFC 9112) as this server speaks it: `invalid_http`, or None.

    `listed` has a pair per header line, `headers` the last value of each name.
    """
    if version not in VERSIONS:
        return _invalid(f"version: expected HTTP/1.1 or HTTP/1.0, got HTTP/{version}")
    if is_upgrade:
        return _invalid("upgrade: expected HTTP/1.1 to the end of the request, got an upgrade")
    if b"host" not in headers:
        if version == "1.1":
            return _invalid("host: expected the header in an HTTP/1.1 request, got none")
    elif len(headers) < len(listed) and sum(name == b"host" for name, _ in listed) > 1:
        return _invalid("host: expected the header once, got it several times")
    return None


def is_oversized(url: bytes, listed: HeaderList) -> bool:
    """Whether a head has more than `MAX_HEAD_BYTES`."""
    n_bytes = len(url) + sum(len(name) + len(value) + 4 for name, value in listed)
    return n_bytes > MAX_HEAD_BYTES


def without_upgrade(data: bytes) -> bytes:
    """`data` with the `Upgrade` header of its first head renamed.

    HTTP/1.1 lets a server ignore the header (RFC 9110, section 7.8). llhttp does not: it takes
    the body for another protocol, and what follows for the next request.
    """
    end = data.find(END)
    head = data if end < 0 else data[:end]
    return _UPGRADE.sub(b"\r\nx-ignored-upgrade", head) + data[len(head) :]


def _invalid(message: str) -> Fault:
    return Fault("invalid_http", message)
