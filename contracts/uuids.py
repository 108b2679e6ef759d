"""Ids of predictions: UUIDs of version 8, which are computed, and the time in those of version 7.

The same thing gets the same id again if its id is of version 8.
"""

import re
from datetime import UTC, datetime

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

UUID8_BYTES = 16
"""The bytes that `uuid8` takes."""


def uuid8(value: bytes) -> bytes:
    """The UUID of version 8 (RFC 9562, section 5.8) with these 16 bytes, as 36 ASCII characters.

    Version and variant replace six of the 128 bits: the first four of byte 6, the first two of
    byte 8.

    >>> uuid8(bytes(range(16)))
    b'00010203-0405-8607-8809-0a0b0c0d0e0f'
    """
    text = value.hex()
    variant = "89ab"[value[8] >> 4 & 3]
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{variant}{text[17:20]}-{text[20:]}".encode()


def uuid7_time(text: str) -> datetime | None:
    """The time in a UUID of version 7 (RFC 9562, section 5.7), in UTC; None for any other text.

    >>> uuid7_time("017f22e2-79b0-7cc3-98c4-dc0c0c07398f").isoformat()  # RFC 9562, appendix A.6
    '2022-02-22T19:22:22+00:00'
    """
    match = _UUID7.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.fromtimestamp(int(match[1] + match[2], 16) / 1000, UTC)
    except (OverflowError, ValueError):
        return None  # beyond the year 9999
