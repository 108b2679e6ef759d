"""The traffic record: one JSON line for each prediction that was answered."""

from msgspec import UNSET, UnsetType

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

    Where a `TrafficSplit` was in force, and only there: `unit` is the name that `bucket_of`
    gives to whom the request was for; `assigned` the variant that the unit was given, which is
    not `variant` where the challenger failed and production answered in its place; `weight`
    the challenger's share at that moment.
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
    unit: str | UnsetType = UNSET
    assigned: str | UnsetType = UNSET
    weight: float | UnsetType = UNSET
