"""The decision on a promotion: every check, and the outcome."""

from typing import Literal

import msgspec

from contracts.documents import Document

PromotionOutcome = Literal["promoted", "refused", "forced"]
Subject = Literal[
    "parity",
    "gate",
    "contract",
    "production",
    "exam",
    "metric",
    "slice",
    "replay",
    "calibration",
    "latency",
    "size",
    "canary",
]


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check, with what was expected and what was found.

    `path` says where: a metric, `schema.age.minimum`, `slice.region=north`. `sentence` says it
    in words. A check that is not `judged` is reported and does not influence the outcome.
    """

    subject: Subject
    path: str
    expected: str
    got: str
    passed: bool
    sentence: str
    judged: bool = True

    @property
    def refuses(self) -> bool:
        """Whether this check alone refuses the promotion."""
        return self.judged and not self.passed


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of challenger and production on the same held-out rows.

    `digest` identifies the evaluation: sha256 over every target in the recipe's data. `rows`
    were held out by both versions. `attempt` counts the comparisons in this evaluation, from 1,
    and `alpha` is the significance level that the correction leaves for this one. `challenger`
    and `production` are the metric on these rows. `difference` is the improvement: above zero
    if the challenger is better, also for metrics where lower is better. `low` is its lower
    bound at confidence `1 - alpha`, `high` its upper bound at 95 %, each one-sided. `margin` is
    the smallest improvement that counts, `detectable` the one that this evaluation detects in
    80 of 100 cases at this attempt. All are in the metric's unit.
    """

    digest: str
    rows: int
    attempt: int
    alpha: float
    metric: str
    challenger: float
    production: float
    difference: float
    low: float
    high: float
    margin: float
    detectable: float
    resamples: int


class Decision(Document, frozen=True, kw_only=True):
    """Whether a version was promoted to production, and on what grounds; `decision/<id>.json`.

    `digest` and `production_digest` are the sha256 of the manifests. `production_version` is
    None if no version was in production. `because` is the reason that a person gave, or empty.
    """

    decision_id: str
    model: str
    version: int
    run_id: str
    digest: str
    production_version: int | None
    production_digest: str = ""
    made_at: str
    by: str
    because: str = ""
    outcome: PromotionOutcome
    sentence: str
    checks: tuple[Check, ...]
    evaluation: Evaluation | None = msgspec.field(default=None, name="exam")
