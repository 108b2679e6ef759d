"""The request for a retraining: which labelled traffic to learn, and which to evaluate on."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from contracts.errors import NotJustified
from contracts.files import write_whole
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest, RetrainingWait
from contracts.times import parse_utc, utc_text
from monitoring.labels.training_rows import TrainingRows, read_training_rows
from monitoring.retraining.evaluation_plan import (
    MAX_EVALUATION_ROWS,
    EvaluationNeeds,
    Micros,
    ReportedFall,
    evaluation_needs,
    evaluation_start,
    reported_fall,
)
from monitoring.retraining.proposal import RetrainingProposal
from monitoring.retraining.records import REQUEST_FILE, retraining_folder
from monitoring.settings import MonitoringSettings

ROWS_FILE = "labelled.parquet"


@dataclass(frozen=True)
class PlannedEvaluation:
    """The recent rows, and the first of them on which both versions are compared.

    `wait` says what is missing, if there are too few; `fall` is what the evaluation must see.
    `most` is the largest number of rows it can have. An evaluation of that size decides whatever
    it sees, because no later one would see more.
    """

    recent: pl.DataFrame
    start: int
    fall: ReportedFall | None = None
    wait: RetrainingWait | None = None
    most: int = MAX_EVALUATION_ROWS

    def sought_in(self, metric: str) -> float:
        """The improvement of a metric that the evaluation must see before it decides.

        0 if the fall is in another metric, or if no evaluation can have more rows.
        """
        if len(self.recent) - self.start >= self.most:
            return 0.0
        return self.fall.sought if self.fall and self.fall.metric == metric else 0.0


def read_labelled(
    layout: Layout, proposal: RetrainingProposal, settings: MonitoringSettings, now: datetime
) -> TrainingRows:
    """The labelled traffic of the model, whichever version answered it."""
    baseline = proposal.baseline
    return read_training_rows(
        layout,
        baseline.manifest,
        baseline.reference,
        now=now,
        max_rows=settings.retrain_rows,
    )


def with_start(proposal: RetrainingProposal) -> RetrainingProposal:
    """The proposal with the time from which rows are recent: since when production learned none."""
    manifest, trigger = proposal.baseline.manifest, proposal.trigger
    learned = manifest.retrained.learned_until if manifest.retrained else manifest.created_at
    return replace(proposal, trigger=replace(trigger, since=trigger.since or learned))


def plan_evaluation(
    proposal: RetrainingProposal,
    labelled: TrainingRows,
    settings: MonitoringSettings,
    now: datetime,
) -> PlannedEvaluation:
    """Which rows are recent, which of them are the evaluation, and whether there are enough."""
    since = proposal.trigger.since
    recent = labelled.since(parse_utc(since))
    n_recent = len(recent)
    if n_recent < settings.retrain_labels:
        left_out = ", ".join(f"{n:,} {why}" for why, n in labelled.left_out.items() if n)
        sentence = (
            f"labels: expected at least {settings.retrain_labels:,} predictions with a label "
            f"since {since}, got {n_recent:,}" + (f" ({left_out})" if left_out else "")
        )
        wait = _wait(proposal, since, (n_recent, settings.retrain_labels), sentence, now)
        start = evaluation_start(_times(recent), EvaluationNeeds()) if n_recent else 0
        return PlannedEvaluation(recent, start, wait=wait)
    fall, needs = _needs(proposal, settings)
    # Of the rows that a retraining reads, half at most are kept from learning.
    most = min(MAX_EVALUATION_ROWS, settings.retrain_rows // 2)
    needs = replace(needs, rows=min(needs.rows, most))
    start = evaluation_start(_times(recent), needs)
    rows = n_recent - start
    if rows >= needs.rows and rows:
        return PlannedEvaluation(recent, start, fall, most=most)
    begin = max(since, utc_text(datetime.fromtimestamp(needs.not_before / 1e6, UTC)))
    needed = max(needs.rows, 1)
    sentence = (
        f"exam: expected at least {needed:,} labelled predictions since {begin} that no exam has "
        f"held{_seen_in(fall)}, got {rows:,}"
    )
    wait = _wait(proposal, begin, (rows, needed), sentence, now)
    start = evaluation_start(_times(recent), EvaluationNeeds())
    return PlannedEvaluation(recent, start, wait=wait)


def _needs(
    proposal: RetrainingProposal, settings: MonitoringSettings
) -> tuple[ReportedFall | None, EvaluationNeeds]:
    """What the evaluation must hold; nothing in particular where no verdict calls for it."""
    trigger, baseline = proposal.trigger, proposal.baseline
    if trigger.verdict is None or trigger.reason not in {"performance", "drift"}:
        return None, EvaluationNeeds()
    fall = None
    if trigger.reason == "performance":
        fall = reported_fall(trigger.verdict, baseline.gate_metric, trigger.since)
    needs = evaluation_needs(
        fall, proposal.before, baseline.digest, proposal.alarm_start, settings.retrain_attempts
    )
    return fall, needs


def _seen_in(fall: ReportedFall | None) -> str:
    if fall is None:
        return ""
    return f", to see half of the fall of {fall.size:.2g} in {fall.metric}"


def _wait(
    proposal: RetrainingProposal, since: str, rows: tuple[int, int], sentence: str, now: datetime
) -> RetrainingWait:
    trigger, baseline = proposal.trigger, proposal.baseline
    return RetrainingWait(
        model=baseline.name,
        production_version=baseline.version,
        because=trigger.because,
        verdict_id=trigger.verdict_id,
        episode=proposal.alarm_start,
        rows_since=since,
        rows=rows[0],
        rows_needed=rows[1],
        sentence=sentence,
        made_at=utc_text(now),
    )


def write_request(
    layout: Layout,
    proposal: RetrainingProposal,
    labelled: TrainingRows,
    plan: PlannedEvaluation,
    now: datetime,
    actor: str,
    *,
    force: bool,
) -> tuple[RetrainingRequest, Path]:
    """Write the labelled rows and then the request that names them; gives it and its path.

    Raises:
        NotJustified: there is no recent labelled row.
        Unwritable: the folder of retrainings cannot be written.

    """
    trigger, baseline = proposal.trigger, proposal.baseline
    evaluated = plan.recent[plan.start :]
    if not len(evaluated):
        raise _no_label(proposal)
    data = io.BytesIO()
    labelled.rows.write_parquet(data)
    start, end = (utc_text(t) for t in (evaluated["time"][0], evaluated["time"][-1]))
    request = RetrainingRequest(
        retraining_id=f"{baseline.name}-{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z",
        model=baseline.name,
        reason="forced" if force and proposal.objections else trigger.reason,
        because=trigger.because,
        verdict_id=trigger.verdict_id,
        objections=proposal.objections,
        episode=proposal.alarm_start,
        made_at=utc_text(now),
        made_by=actor,
        production_version=baseline.version,
        production_digest=baseline.digest,
        rows_file=ROWS_FILE,
        rows_sha256=hashlib.sha256(data.getbuffer()).hexdigest(),
        rows=len(labelled.rows),
        recent_rows=len(plan.recent),
        evaluation_rows=len(evaluated),
        recent_start=trigger.since,
        evaluation_start=start,
        evaluation_end=end,
        evaluation_series=evaluation_series(proposal.before, baseline.digest, start),
        left_out={why: n for why, n in labelled.left_out.items() if n},
        metric=plan.fall.metric if plan.fall else "",
        sought=plan.sought_in(baseline.gate_metric),
    )
    folder = retraining_folder(layout, request)
    write_whole(folder / ROWS_FILE, data.getvalue())
    write_whole(folder / REQUEST_FILE, request.write_pretty())
    return request, folder / REQUEST_FILE


def _no_label(proposal: RetrainingProposal) -> NotJustified:
    nothing = f"labels: expected some since {proposal.trigger.since}, got none"
    return NotJustified(
        "; ".join(proposal.objections or (nothing,)),
        remedy="send labels: slipway labels FILE, or POST /labels",
    )


def evaluation_series(before: Sequence[Retraining], production_digest: str, start: str) -> str:
    """The name of an evaluation's series: the last one's if it shares rows with one of it.

    `start` is the time of the first row of the evaluation.
    """
    same = [r.request for r in before if r.request.production_digest == production_digest]
    if same and start <= max(request.evaluation_end for request in same):
        return same[-1].evaluation_series
    return f"{production_digest[:12]}-{start}"


def _times(rows: pl.DataFrame) -> Micros:
    times: Micros = rows["time"].dt.epoch("us").to_numpy()
    return times
