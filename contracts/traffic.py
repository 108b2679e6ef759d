"""The traffic record: one JSON line for each prediction that was answered."""

from contracts.documents import Document
from contracts.schema import Value


class TrafficRecord(Document, frozen=True, kw_only=True):
    """What was asked and what was answered.

    `time` is UTC, RFC 3339 with microseconds and `Z`. `features` are the values as
    validated (clipped where the policy clips, null where missing). `prediction` is the
    class or, for a regression of one output, its value; `score` is the number that is
    watched for drift (see `contracts.reference.Reference`); `scores` holds one number per
    class or output by name. `latency_ms` is from the last byte of the request to the
    record. `request_id` is what the client or the edge called the request.
    """

    prediction_id: str
    time: str
    model: str
    version: int
    variant: str = "production"
    features: dict[str, Value]
    prediction: str | float
    score: float
    scores: dict[str, float]
    flags: tuple[str, ...] = ()
    latency_ms: float = 0.0
    request_id: str = ""
