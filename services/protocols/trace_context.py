"""W3C Trace Context, level 1: the trace that a request belongs to, and this service's part in it.

Taken in from `traceparent`, a header of HTTP or the metadata of a gRPC call; the trace id is logged
with each prediction. The response hands out `traceparent` with the same trace id and a span id of
this service. A request without a valid `traceparent` belongs to no trace, and none is begun for it.
"""

import os
import re
from collections.abc import Mapping

TRACEPARENT = b"traceparent"
_VALUE = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace_id>[0-9a-f]{32})"
    rb"-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(?P<more>-[!-~]*)?"
)
TRACE_VERSION = b"00"
SAMPLED = 1
"""The only flag of this version."""


def trace_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The id of a request's trace, 32 hexadecimal digits; empty if it has none.

    >>> trace_id_of({b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    '0af7651916cd43dd8448eb211c80319c'
    >>> trace_id_of({b"traceparent": b"00-00000000000000000000000000000000-b7ad6b7169203331-01"})
    ''
    """
    found = _match(headers)
    return found["trace_id"].decode() if found else ""


def trace_headers(headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """What a response adds if its request, with these headers, belongs to a trace."""
    found = _match(headers)
    if found is None:
        return ()
    flags = int(found["flags"], 16) & SAMPLED
    span_id = os.urandom(8).hex().encode()
    return ((TRACEPARENT, b"%b-%b-%b-%02x" % (TRACE_VERSION, found["trace_id"], span_id, flags)),)


def _match(headers: Mapping[bytes, bytes]) -> re.Match[bytes] | None:
    """The parts of a valid `traceparent`; only a later version may have more of them."""
    value = headers.get(TRACEPARENT)
    found = None if value is None else _VALUE.fullmatch(value)
    if found is not None and found["more"] is not None and found["version"] == TRACE_VERSION:
        return None
    return found
