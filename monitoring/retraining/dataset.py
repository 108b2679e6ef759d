"""The order of a retraining: which labelled traffic is learned, and which is the exam."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from contracts.errors import NotJustified
from contracts.files import write_whole
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingRequest
from contracts.times import parse_utc, utc_text
from monitoring.baseline import Baseline
from monitoring.labels.training_rows import Labelled, labelled_rows
from monitoring.retraining import records as retrainings
from monitoring.retraining.trigger import Cause
from monitoring.settings import MonitoringSettings

ROWS_FILE = "labelled.parquet"
EXAM_SHARE = 0.3
"""Of the labelled rows of late, the newest: the exam of challenger and production."""
CUT_WITHIN = 0.15
"""How much larger or smaller the exam may be, so that it begins with a new moment."""
MOST_EXAM_ROWS = 20_000
"""As many as a version carries."""


@dataclass(frozen=True)
class Case:
    """A wish to retrain: why, against which version, and what speaks against it."""

    cause: Cause
    baseline: Baseline
    episode: str
    before: Sequence[Retraining]
    objections: tuple[str, ...]


def labelled_of(
    layout: Layout, case: Case, settings: MonitoringSettings, now: datetime
) -> Labelled:
    """The labelled traffic of the model, whatever version answered it."""
    baseline = case.baseline
    return labelled_rows(
        layout,
        baseline.manifest,
        baseline.reference,
        now=now,
        most_rows=settings.retrain_rows,
    )


def with_labels(case: Case, labelled: Labelled, settings: MonitoringSettings) -> Case:
    """The case with the moment from which rows are of late, and too few of them objected to."""
    manifest = case.baseline.manifest
    known = manifest.retrained.learned_until if manifest.retrained else manifest.created_at
    since = case.cause.since or known
    recent = len(labelled.since(parse_utc(since)))
    least = settings.retrain_labels
    objections = list(case.objections)
    if recent < least:
        left = ", ".join(f"{n:,} {why}" for why, n in labelled.left_out.items() if n)
        objections.append(
            f"labels: expected at least {least:,} predictions with a label since {since}, got "
            f"{recent:,}" + (f" ({left})" if left else "")
        )
    cause = Cause(case.cause.reason, case.cause.because, case.cause.verdict, since)
    return Case(cause, case.baseline, case.episode, case.before, tuple(objections))


def written_order(
    layout: Layout,
    case: Case,
    labelled: Labelled,
    now: datetime,
    actor: str,
    *,
    force: bool,
) -> RetrainingRequest:
    """Write the rows and the order; the order is written last."""
    cause, baseline = case.cause, case.baseline
    recent = labelled.since(parse_utc(cause.since))
    exam = _exam(recent, case)
    data = io.BytesIO()
    labelled.rows.write_parquet(data)
    exam_start, exam_end = (utc_text(t) for t in (exam["time"][0], exam["time"][-1]))
    order = RetrainingRequest(
        retraining_id=f"{baseline.name}-{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z",
        model=baseline.name,
        reason="forced" if force and case.objections else cause.reason,
        because=cause.because,
        verdict_id=cause.verdict_id,
        objections=case.objections,
        episode=case.episode,
        made_at=utc_text(now),
        made_by=actor,
        production_version=baseline.version,
        production_digest=baseline.digest,
        rows_file=ROWS_FILE,
        rows_sha256=hashlib.sha256(data.getbuffer()).hexdigest(),
        rows=len(labelled.rows),
        recent_rows=len(recent),
        evaluation_rows=len(exam),
        recent_start=cause.since,
        evaluation_start=exam_start,
        evaluation_end=exam_end,
        evaluation_series=retrainings.exam_of(case.before, baseline.digest, exam_start),
        left_out={why: n for why, n in labelled.left_out.items() if n},
    )
    folder = retrainings.folder_of(layout, order)
    write_whole(folder / ROWS_FILE, data.getvalue())
    write_whole(folder / retrainings.ORDER, order.write_pretty())
    return order


def _exam(recent: pl.DataFrame, case: Case) -> pl.DataFrame:
    """The newest of the recent rows.

    The cut lies between two moments where one is near enough, since the rows of a batch were
    asked at one moment; a single batch is cut through.
    """
    if not len(recent):
        told = case.objections or (f"labels: expected some since {case.cause.since}, got none",)
        raise NotJustified(
            "; ".join(told), remedy="send labels: slipway labels FILE, or POST /labels"
        )
    wanted = len(recent) - max(round(EXAM_SHARE * len(recent)), 1)
    moments = recent["time"].to_physical().to_numpy()
    between = np.flatnonzero(np.diff(moments)) + 1
    near = between[np.abs(between - wanted) <= CUT_WITHIN * len(recent)]
    cut = int(near[np.argmin(np.abs(near - wanted))]) if len(near) else wanted
    return recent[max(cut, len(recent) - MOST_EXAM_ROWS) :]
