"""The decision on a promotion by command: what was looked at, and what it came to."""

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
    """One thing that was looked at, with what was expected and what came.

    `path` says where: a metric, `schema.age.minimum`, `slice.region=north`. `sentence` says
    it in words. What is not `judged` is told and decides nothing.
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
        """Whether this alone holds the version back."""
        return self.judged and not self.passed


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Both versions on the same rows.

    `digest` names the exam: sha256 over every answer of the recipe's data. `rows` were held
    out by both versions. `attempt` counts the comparisons against this exam, from 1, and
    `alpha` is what the correction leaves for this one. `challenger` and `production` are the
    metric on the rows; `difference` is the improvement, above zero where the challenger is
    better, whichever way the metric points. `low` is its lower bound at confidence
    `1 - alpha`, `high` its upper bound at 95 %, each one-sided. `margin` is the smallest
    improvement that counts; `detectable` the one that this exam shows in 80 of 100 cases at
    this attempt. All in the metric's unit.
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
    """Whether a version became Production, and what that stands on; `decision/<id>.json`.

    `digest` and `production_digest` are those of the manifests. `production_version` is None
    where nothing was in production. `because` is what the person said, empty if nothing.
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
