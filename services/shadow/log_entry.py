"""What the process beside the service must know of a line of traffic."""

import msgspec


class Line(msgspec.Struct, frozen=True, gc=False):
    """A traffic record without what nobody here looks at; see `contracts.traffic`."""

    prediction_id: str
    time: str
    version: int
    features: msgspec.Raw
    prediction: str | float
    score: float
    variant: str = "production"
    latency_ms: float = 0.0
    request_id: str = ""
    unit: str = ""
    assigned: str = ""


_decode = msgspec.json.Decoder(Line).decode


def line_of(text: bytes) -> Line | None:
    """The line in a text; None for one that was torn, or is no traffic."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
