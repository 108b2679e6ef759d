"""Content codings (RFC 9110, section 8.4): gzip and deflate for requests, gzip for responses."""

import zlib
from collections.abc import Mapping

from services.edge.asgi import Headers
from services.edge.statuses import HttpFault
from services.faults import MAX_SHOWN_CHARS, Fault

GZIP_LEVEL = 1
GZIP = b"gzip"
MAX_GZIP_MEMBERS = 100
"""A gzip body may consist of several members; each has a fixed cost, however short it is."""
PIECE_BYTES = 16 * 1024
_GZIP_BITS = 16 + zlib.MAX_WBITS
_WINDOW_BITS: Mapping[bytes, int] = {
    GZIP: _GZIP_BITS,
    b"x-gzip": _GZIP_BITS,
    b"deflate": zlib.MAX_WBITS,
}
"""By request coding, what zlib calls `wbits`. HTTP's deflate has a zlib header (RFC 9110)."""


def coding_of(headers: Headers) -> bytes:
    """The content coding of a request body, empty if it has none.

    Raises:
        Fault: `unsupported_media_type` for a coding that is not supported.

    """
    coding = headers.get(b"content-encoding", b"").strip().lower()
    if coding in {b"", b"identity"}:
        return b""
    if coding not in _WINDOW_BITS:
        got = coding.decode("latin-1")[:MAX_SHOWN_CHARS]
        raise HttpFault(
            "unsupported_media_type",
            f"content-encoding: expected gzip, deflate or identity, got {got!r}",
            headers=[(b"accept-encoding", b"gzip, deflate")],
        )
    return coding


def unpacked(body: bytes, coding: bytes, max_bytes: int) -> bytes:
    """A compressed body, unpacked piece by piece; never more than `max_bytes` are unpacked.

    Raises:
        Fault: `invalid_coding`, or `body_too_large` if it has more than `max_bytes`.

    """
    unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
    out = bytearray()
    n_members = 1
    for start in range(0, len(body), PIECE_BYTES):
        rest = body[start : start + PIECE_BYTES]
        while rest:
            if unpacker.eof:
                n_members += 1
                if coding == b"deflate":
                    raise _invalid(coding, "bytes behind its end")
                if n_members > MAX_GZIP_MEMBERS:
                    raise _invalid(coding, f"more than {MAX_GZIP_MEMBERS} members")
                unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
            try:
                # One byte above the limit proves that there is more.
                out += unpacker.decompress(rest, max_bytes + 1 - len(out))
            except zlib.error as err:
                raise _invalid(coding, str(err)) from err
            if len(out) > max_bytes:
                message = f"body: expected at most {max_bytes} bytes unpacked, got more"
                raise Fault("body_too_large", message)
            rest = unpacker.unconsumed_tail or unpacker.unused_data
    if not unpacker.eof:
        raise _invalid(coding, "a body that ends early")
    return bytes(out)


def packed(body: bytes) -> bytes:
    """A body in gzip, compressed fast rather than well."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    return packer.compress(body) + packer.flush()


def accepts_gzip(headers: Headers) -> bool:
    """Whether a client asks for responses in gzip (RFC 9110, section 12.5.3).

    >>> [accepts_gzip({b"accept-encoding": value}) for value in (
    ...     b"gzip, deflate, br", b"*;q=0.5", b"gzip;q=0, *", b"identity", b"br;q=1.0, GZIP;q=0.8")]
    [True, True, False, False, True]
    """
    asked = headers.get(b"accept-encoding", b"")
    if not asked:
        return False
    weights: dict[bytes, bool] = {}
    for part in asked.lower().split(b","):
        coding, _, parameters = part.partition(b";")
        weight = parameters.replace(b" ", b"").removeprefix(b"q=")
        weights[coding.strip()] = bool(weight.strip(b"0.")) if weight else True
    return weights.get(GZIP, weights.get(b"x-gzip", weights.get(b"*", False)))


def _invalid(coding: bytes, got: str) -> Fault:
    name = coding.decode()
    return Fault("invalid_coding", f"content-encoding: expected a body in {name}, got {got}")
