"""What a client prefers: the form of a response (RFC 9110), an answer later (RFC 7240)."""

from collections.abc import Sequence

from services.edge.asgi import Headers
from services.faults import MAX_SHOWN_CHARS, Fault

RESPOND_ASYNC = b"respond-async"
MAX_ACCEPT_PARTS = 32
"""Further media ranges of a header are not read."""


def prefers_async(headers: Headers) -> bool:
    """Whether a client asks for a job instead of waiting (RFC 7240, section 4.1).

    >>> [prefers_async({b"prefer": value}) for value in (
    ...     b"respond-async", b"wait=10, Respond-Async; x=1", b"return=minimal", b"")]
    [True, True, False, False]
    """
    preferences = headers.get(b"prefer", b"").lower().split(b",")
    return any(each.partition(b";")[0].strip() == RESPOND_ASYNC for each in preferences)


def accepted_media_type(headers: Headers, offered: Sequence[bytes]) -> bytes:
    """The media type that a client likes best (RFC 9110, section 12.5.1); the first for a tie.

    >>> offered = (b"application/json", b"text/csv")
    >>> [accepted_media_type({b"accept": value}, offered) for value in (
    ...     b"*/*", b"text/csv", b"text/*;q=0.9, application/json;q=0.1",
    ...     b"application/json;q=0, */*")]
    [b'application/json', b'text/csv', b'text/csv', b'text/csv']

    Raises:
        Fault: `not_acceptable`, if it takes none of them.

    """
    asked = headers.get(b"accept", b"") or b"*/*"
    ranges = [_media_range(part) for part in asked.lower().split(b",")[:MAX_ACCEPT_PARTS]]
    weights = [_weight(media_type, ranges) for media_type in offered]
    best = max(weights)
    if best <= 0:
        expected = b" or ".join(offered).decode()
        got = repr(asked.decode("latin-1")[:MAX_SHOWN_CHARS])
        raise Fault("not_acceptable", f"accept: expected {expected}, got {got}")
    return offered[weights.index(best)]


def _media_range(part: bytes) -> tuple[bytes, float]:
    name, *parameters = part.split(b";")
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.strip().partition(b"=")
        if key.strip() == b"q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return name.strip(), weight


def _weight(media_type: bytes, ranges: Sequence[tuple[bytes, float]]) -> float:
    """The weight of the most specific range that has the type."""
    by_range = dict(ranges)
    group = media_type.partition(b"/")[0] + b"/*"
    return next((by_range[r] for r in (media_type, group, b"*/*") if r in by_range), 0.0)
