"""Evidently's report on a sample, with the verdict's numbers.

Evidently draws; what has drifted and by how much is decided by the verdict over every row, so
that its page cannot disagree with ours.
"""

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd
import polars as pl

from contracts.errors import Unwritable
from contracts.files import write_whole
from contracts.verdict import Finding
from monitoring.reference_sample import ReferenceSample
from monitoring.reporting.evidently_page import evidently_page
from monitoring.reporting.sampling import SAMPLE_SEED
from monitoring.traffic.decode import feature_key

STATTEST = "slipway_verdict"


@dataclass(frozen=True)
class SnapshotTarget:
    """Where a snapshot is stored for `evidently ui`: a workspace, and in it a model's project.

    The ids are derived from the names, so judging a window again replaces its snapshot.
    `end` is the end of the window, by which Evidently sorts snapshots.
    """

    workspace: Path
    model: str
    name: str
    end: datetime


@dataclass(frozen=True)
class EvidentlyReport:
    """Evidently's page, empty if there is none, and a note on it for readers of our report."""

    html: str
    note: str


def evidently_report(
    findings: Sequence[Finding],
    sample: pl.DataFrame,
    reference: ReferenceSample,
    max_rows: int,
    target: SnapshotTarget | None = None,
) -> EvidentlyReport:
    """Evidently's report on the columns of a verdict; a note says why if there is none.

    Args:
        findings: those of the verdict; columns with fewer than two rows cannot be drawn.
        sample: rows of the window.
        reference: the model's held-out rows.
        max_rows: how many of its rows are drawn.
        target: where to store the snapshot, if anywhere.

    Raises:
        Unwritable: the workspace of `target` cannot be written.

    """
    drawable = [finding for finding in findings if finding.n > 1]
    if not drawable:
        return EvidentlyReport("", "There is nothing for Evidently to draw.")
    try:
        html = evidently_html(
            reference_frame(reference, drawable, max_rows),
            window_frame(sample, drawable),
            drawable,
            target,
        )
    except Unwritable:
        raise
    except Exception as err:  # noqa: BLE001 - Evidently raises anything; the verdict must be kept
        return EvidentlyReport("", f"Evidently could not draw this window: {err!r}")
    note = f"Computed over every row; Evidently's pictures show a sample of {len(sample):,} rows."
    return EvidentlyReport(html, note)


def evidently_html(
    reference: pd.DataFrame,
    window: pd.DataFrame,
    findings: Sequence[Finding],
    target: SnapshotTarget | None = None,
) -> str:
    """Evidently's drift report as one HTML page; with a `target`, also stored as a snapshot.

    Both frames hold the columns of `findings`. Each column's score, threshold and outcome
    are those of its finding, which was computed over every row; the pictures show the frames.

    Raises:
        Unwritable: the workspace cannot be written.

    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        # Evidently imports old libraries, some of which warn that they are deprecated.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        method = _verdict_as_stattest(findings)
        definition = DataDefinition(
            numerical_columns=[f.column for f in findings if f.kind == "number"],
            categorical_columns=[f.column for f in findings if f.kind == "category"],
        )
        preset = DataDriftPreset(
            columns=[f.column for f in findings],
            method=method,
            # One drifted column is a drifted window, as in the verdict.
            drift_share=0.5 / len(findings),
            per_column_threshold={f.column: f.effect_threshold for f in findings},
        )
        snapshot = Report([preset]).run(
            Dataset.from_pandas(window, data_definition=definition),
            Dataset.from_pandas(reference, data_definition=definition),
            timestamp=target.end if target else None,
            name=target.name if target else None,
        )
        if target is not None:
            _store(snapshot, target)
        return evidently_page(snapshot)


def _store(snapshot: Any, target: SnapshotTarget) -> None:
    """Write the files that Evidently makes of a snapshot and its project, each as a whole."""
    from evidently.sdk.models import ProjectModel
    from evidently.ui.storage.local.base import LocalState

    project = uuid5(NAMESPACE_URL, f"slipway:{target.model}")
    with tempfile.TemporaryDirectory() as folder:
        state = LocalState(folder)
        state.write_project(ProjectModel(id=project, name=target.model))
        state.write_snapshot(project, uuid5(project, target.name), snapshot.to_snapshot_model())
        for made in sorted(Path(folder).rglob("*.json")):
            write_whole(target.workspace / made.relative_to(folder), made.read_bytes())


def _verdict_as_stattest(findings: Sequence[Finding]) -> str:
    """Register a test that returns the finding of the column it is called for; its name."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    by_column = {finding.column: finding for finding in findings}

    def verdict(_reference: Any, current: Any, _type: Any, _threshold: float) -> tuple[float, bool]:
        finding = by_column[current.name]
        return finding.effect_size, finding.drifted

    test = StatTest(
        name=STATTEST,
        display_name="effect size over every row (Slipway)",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=0.05,
    )
    register_stattest(test, default_impl=verdict)
    return STATTEST


def window_frame(sample: pl.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    """Sampled rows of a window as a table with the columns of `findings`."""
    columns = {}
    for f in findings:
        key = f.column if f.column in {"prediction", "score"} else feature_key(f.column)
        columns[f.column] = pd.Series(sample[key].to_list(), dtype=object)
    return _typed(pd.DataFrame(columns), findings)


def reference_frame(
    reference: ReferenceSample, findings: Sequence[Finding], max_rows: int
) -> pd.DataFrame:
    """Held-out rows of the model as a table with the columns of `findings`."""
    rows = reference.rows
    frame = pd.DataFrame({f.column: rows[f.column].to_list() for f in findings})
    drawn = frame.sample(min(max_rows, len(frame)), random_state=SAMPLE_SEED)
    return _typed(drawn, findings)


def _typed(frame: pd.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    """Numbers as float and categories as text, since both frames must have equal types."""
    return pd.DataFrame({f.column: _column(frame[f.column], f.kind) for f in findings})


def _column(column: pd.Series, kind: str) -> Any:
    if kind == "number":
        return pd.to_numeric(column, errors="coerce").astype(float).to_numpy()
    texts = column.map(_category, na_action="ignore")
    return texts.astype(object).where(texts.notna(), None).to_numpy()


def _category(value: object) -> str:
    """A category as the reference spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
