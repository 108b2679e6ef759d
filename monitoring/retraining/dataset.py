"""The request for a retraining: which labelled traffic to learn, and which to evaluate on."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from contracts.errors import NotJustified
from contracts.files import write_whole
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest
from contracts.times import parse_utc, utc_text
from monitoring.labels.training_rows import TrainingRows, read_training_rows
from monitoring.retraining.proposal import RetrainingProposal
from monitoring.retraining.records import REQUEST_FILE, retraining_folder
from monitoring.settings import MonitoringSettings

ROWS_FILE = "labelled.parquet"
EVALUATION_SHARE = 0.3
"""Share of the recent labelled rows, the newest, on which both versions are compared."""
CUT_TOLERANCE = 0.15
"""By which share of the recent rows the cut may move, so that it lies between two times."""
MAX_EVALUATION_ROWS = 20_000
"""The held-out rows that a version carries at most."""


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


def check_labels(
    proposal: RetrainingProposal, labelled: TrainingRows, settings: MonitoringSettings
) -> RetrainingProposal:
    """The proposal with the time from which rows are recent, and an objection if they are few."""
    manifest, trigger = proposal.baseline.manifest, proposal.trigger
    learned = manifest.retrained.learned_until if manifest.retrained else manifest.created_at
    since = trigger.since or learned
    n_recent = len(labelled.since(parse_utc(since)))
    objections = list(proposal.objections)
    if n_recent < settings.retrain_labels:
        left_out = ", ".join(f"{n:,} {why}" for why, n in labelled.left_out.items() if n)
        objections.append(
            f"labels: expected at least {settings.retrain_labels:,} predictions with a label "
            f"since {since}, got {n_recent:,}" + (f" ({left_out})" if left_out else "")
        )
    return replace(proposal, trigger=replace(trigger, since=since), objections=tuple(objections))


def write_request(
    layout: Layout,
    proposal: RetrainingProposal,
    labelled: TrainingRows,
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
    recent = labelled.since(parse_utc(trigger.since))
    evaluated = _evaluation_rows(recent, proposal)
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
        recent_rows=len(recent),
        evaluation_rows=len(evaluated),
        recent_start=trigger.since,
        evaluation_start=start,
        evaluation_end=end,
        evaluation_series=evaluation_series(proposal.before, baseline.digest, start),
        left_out={why: n for why, n in labelled.left_out.items() if n},
    )
    folder = retraining_folder(layout, request)
    write_whole(folder / ROWS_FILE, data.getvalue())
    write_whole(folder / REQUEST_FILE, request.write_pretty())
    return request, folder / REQUEST_FILE


def evaluation_series(before: Sequence[Retraining], production_digest: str, start: str) -> str:
    """The name of an evaluation's series: the last one's if it shares rows with one of it.

    `start` is the time of the first row of the evaluation.
    """
    same = [r.request for r in before if r.request.production_digest == production_digest]
    if same and start <= max(request.evaluation_end for request in same):
        return same[-1].evaluation_series
    return f"{production_digest[:12]}-{start}"


def _evaluation_rows(recent: pl.DataFrame, proposal: RetrainingProposal) -> pl.DataFrame:
    """The newest of the recent rows.

    The rows of a batch have one time, so the cut lies between two times if there is a change
    near enough; a single batch is cut through.
    """
    if not len(recent):
        since = proposal.trigger.since
        objections = proposal.objections or (f"labels: expected some since {since}, got none",)
        raise NotJustified(
            "; ".join(objections), remedy="send labels: slipway labels FILE, or POST /labels"
        )
    wanted = len(recent) - max(round(EVALUATION_SHARE * len(recent)), 1)
    times = recent["time"].to_physical().to_numpy()
    changes = np.flatnonzero(np.diff(times)) + 1
    near = changes[np.abs(changes - wanted) <= CUT_TOLERANCE * len(recent)]
    cut = int(near[np.argmin(np.abs(near - wanted))]) if len(near) else wanted
    return recent[max(cut, len(recent) - MAX_EVALUATION_ROWS) :]
