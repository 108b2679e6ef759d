"""Retraining: what monitoring asks training to do, and what came of it."""

from typing import Literal

import msgspec

from contracts.documents import Document

Reason = Literal["performance", "drift", "schedule", "person", "forced"]
State = Literal["started", "trained", "promoted", "refused", "failed", "abandoned", "waiting"]


class RetrainingRequest(Document, frozen=True, kw_only=True):
    """What to train, why, and on which labelled traffic; `order.json`.

    `because` is the reason in words and `verdict_id` the verdict that gave it, if one did.
    `objections` are the checks that a `forced` request overrode. `rows_file` is a Parquet file
    next to the request with `prediction_id`, `time`, `version`, `truth` and the features of each
    labelled prediction whose label was due, oldest first; `rows_sha256` is its digest.

    The last `recent_rows` of them, from `recent_start` on, show the present. The last
    `evaluation_rows`, from `evaluation_start` on, are never used for training: challenger and
    production are compared on them. `evaluation_series` names the series of overlapping
    evaluations against one production version, whose comparisons count as attempts at the same
    evaluation. `episode` is the start of the alarm that this request responds to. `left_out`
    counts the labels that were not used, by reason. `sought` is the improvement of `metric` that
    the evaluation must be able to see before it counts as an attempt; zero asks for nothing.
    With `examined_version`, which came of the same retraining and was promoted, its choice of
    rows is fitted on all of them, those of the evaluation included; `refit.json`.
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
    evaluation_rows: int = msgspec.field(name="exam_rows")
    recent_start: str
    evaluation_start: str = msgspec.field(name="exam_start")
    evaluation_end: str = msgspec.field(name="exam_end")
    evaluation_series: str = msgspec.field(name="exam")
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    metric: str = ""
    sought: float = 0.0
    examined_version: int = 0


class Retraining(Document, frozen=True, kw_only=True):
    """What came of a request; `retraining.json` next to it, replaced whole at each step.

    `version` and `run_id` are the challenger's. `sentence` says in words where it stands.
    `refit_version` is the version of its kind that was fitted on all rows after it was promoted,
    and `refit` says in words what came of that.
    `owner` is `<host>:<pid>` of the process that runs it; `abandoned` means that this process
    died before the end, and `waiting` that the evaluation turned out too small to see what it had
    to, so that nothing was decided.
    """

    request: RetrainingRequest = msgspec.field(name="order")
    state: State
    owner: str
    sentence: str
    changed_at: str
    version: int | None = None
    run_id: str = ""
    decision_id: str = ""
    refit_version: int | None = None
    refit: str = ""


class RetrainingWait(Document, frozen=True, kw_only=True):
    """A retraining that waits for labelled rows; `waiting.json` until the next one begins.

    The evaluation needs `rows_needed` rows from `rows_since` on, and there are `rows` of them.
    `because` is the reason for the retraining and `episode` the start of the alarm it answers.
    """

    model: str
    production_version: int
    because: str
    verdict_id: str = ""
    episode: str = ""
    rows_since: str
    rows: int
    rows_needed: int
    sentence: str
    made_at: str
