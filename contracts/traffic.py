"""The traffic record: one JSON line per prediction that was answered."""

from msgspec import UNSET, UnsetType

from contracts.documents import Document
from contracts.schema import Value


class TrafficRecord(Document, frozen=True, kw_only=True):
    """A request and its prediction.

    `time` is UTC, RFC 3339 with microseconds and `Z`. `features` are the validated values
    (clipped where the policy clips, null where missing). `prediction` is the class, or the
    first value of a regression; `score` is the number that is monitored for drift (see
    `contracts.decision_rule`); `scores` has one number per class or output, by name.
    `latency_ms` is the time from the last byte of the request to this record. `request_id` is
    the id that the client or the edge gave the request.

    `unit` is the pseudonym (see `bucket_of`) of the user or account that the request names, and
    always there under a `TrafficSplit`. Two fields are there only under a split. `assigned` is
    the variant that the unit was assigned to; it differs from `variant` if the challenger failed
    and production answered in its place. `weight` is the challenger's share at that time.
    `trace_id` (W3C Trace Context, 32 hexadecimal
    digits) is there if the request belonged to a trace and the service takes part in traces.
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
    trace_id: str | UnsetType = UNSET
