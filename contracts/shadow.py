"""What a version that looks on would have answered: one JSON line for each scored again."""

from contracts.documents import Document


class ShadowRecord(Document, frozen=True, kw_only=True):
    """An answer of the traffic log, and beside it that of another version on the same features.

    `role` is that of the version that looked on: `shadow`, or `production` where a canary's
    answers are compared with production's. `difference` is its score less the one answered.
    `agrees`: the class is the same, or for a regression the number, but for a quarter of the
    spread (see `contracts.canary.LARGEST_CHANGE`). `error` says why there is no second answer.
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
