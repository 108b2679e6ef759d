"""The fields of a traffic record that the shadow process needs."""

import msgspec


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """A line of the traffic log; `contracts.traffic.TrafficRecord` has all its fields."""

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


_decode = msgspec.json.Decoder(LogEntry).decode


def parse_entry(line: bytes) -> LogEntry | None:
    """The entry on a line; None if the line is torn or holds something else."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
