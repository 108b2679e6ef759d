"""Training anew: the order that monitoring gives to training, and what became of it."""

from typing import Literal

import msgspec

from contracts.documents import Document

Reason = Literal["performance", "drift", "schedule", "person", "forced"]
State = Literal["started", "trained", "promoted", "refused", "failed", "abandoned"]


class RetrainingRequest(Document, frozen=True, kw_only=True):
    """What is to be trained, why, and on which labelled traffic; `order.json`.

    `because` is the reason in words and `verdict_id` the verdict that gave it, if one did;
    a `forced` order went past `objections`. `rows_file` is a Parquet file beside the order
    with `prediction_id`, `time`, `version`, `truth` and the features of each labelled
    prediction whose label was due, oldest first; `rows_sha256` is its digest.

    The last `recent_rows` of them, from `recent_start` on, show the world as it is now; the
    last `exam_rows`, from `exam_start` on, are never learned from: challenger and production
    are compared on them. `exam` names the
    series of overlapping exams against one production version, whose comparisons count as
    attempts at the same exam. `episode` is the start of the alarm that is answered.
    `left_out` counts labels that were not taken, by why.
    """

    retraining_id: str
    model: str
    reason: Reason
    because: str
    verdict_id: str = ""
    objections: tuple[str, ...] = ()
    episode: str = ""
    made_at: str
    made_by: str
    production_version: int
    production_digest: str
    rows_file: str
    rows_sha256: str
    rows: int
    recent_rows: int
    exam_rows: int
    recent_start: str
    exam_start: str
    exam_end: str
    exam: str
    left_out: dict[str, int] = msgspec.field(default_factory=dict)


class Retraining(Document, frozen=True, kw_only=True):
    """What became of an order; `retraining.json` beside it, replaced whole at each step.

    `version` and `run_id` are the challenger's. `sentence` says in words where it stands.
    `owner` is `<host>:<pid>` of who started it; `abandoned` means that it died meanwhile.
    """

    order: RetrainingRequest
    state: State
    owner: str
    sentence: str
    changed_at: str
    version: int | None = None
    run_id: str = ""
    decision_id: str = ""
