"""What a shadow scorer would have answered: one JSON line per prediction that it scored again."""

from contracts.documents import Document


class ShadowRecord(Document, frozen=True, kw_only=True):
    """A prediction of the traffic log, and another version's prediction on the same features.

    `role` is that of the other version: `shadow`, or `production` if the answers of a canary
    are compared with production's. `difference` is its score minus the logged one. `agrees`
    means the same class, or for a regression a value within a quarter of the spread (see
    `contracts.canary.MAX_CHANGE`). `error` says why there is no second prediction.
    """

    prediction_id: str
    time: str
    model: str
    version: int
    variant: str
    prediction: str | float
    score: float
    role: str
    other_version: int
    other_prediction: str | float | None = None
    other_score: float | None = None
    difference: float | None = None
    agrees: bool = False
    error: str = ""
