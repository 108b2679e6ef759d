"""UUIDs of version 8: ids that are computed, so that the same thing gets the same id again."""

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
