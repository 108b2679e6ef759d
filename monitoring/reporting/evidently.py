"""The door to Evidently: its report over a sample, with our numbers in place of its own."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from contracts.files import write_whole
from contracts.verdict import Finding

if TYPE_CHECKING:
    import pandas as pd

STATTEST = "slipway_verdict"


@dataclass(frozen=True)
class Shelf:
    """Where a snapshot is kept for `evidently ui`: a workspace, and in it a model's project.

    The ids are made of the names, so that judging a window again replaces its snapshot.
    `moment` is the end of the window, by which Evidently puts snapshots in order.
    """

    workspace: Path
    model: str
    name: str
    moment: datetime


def evidently_html(
    reference: "pd.DataFrame",
    window: "pd.DataFrame",
    findings: Sequence[Finding],
    shelf: Shelf | None = None,
) -> str:
    """Evidently's drift report as one HTML page, and as a snapshot on a `shelf`.

    Both frames hold the columns of `findings`. Each column's score, threshold and outcome
    are those of its finding, which was computed over every row; the pictures show the frames.

    Raises:
        Unwritable: the workspace cannot be written.

    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        # Evidently imports a museum, parts of which warn of their own age.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        method = _verdict_as_stattest(findings)
        numbers = [f.column for f in findings if f.kind == "number"]
        words = [f.column for f in findings if f.kind == "category"]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
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
            timestamp=shelf.moment if shelf else None,
            name=shelf.name if shelf else None,
        )
        if shelf is not None:
            _shelve(snapshot, shelf)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            snapshot.save_html(str(path))
            return path.read_text(encoding="utf-8")


def _shelve(snapshot: Any, shelf: Shelf) -> None:
    """Put the files that Evidently makes of a snapshot and its project in place, each whole."""
    from evidently.sdk.models import ProjectModel
    from evidently.ui.storage.local.base import LocalState

    project = uuid5(NAMESPACE_URL, f"slipway:{shelf.model}")
    with tempfile.TemporaryDirectory() as folder:
        state = LocalState(folder)
        state.write_project(ProjectModel(id=project, name=shelf.model))
        state.write_snapshot(project, uuid5(project, shelf.name), snapshot.to_snapshot_model())
        for made in sorted(Path(folder).rglob("*.json")):
            write_whole(shelf.workspace / made.relative_to(folder), made.read_bytes())


def _verdict_as_stattest(findings: Sequence[Finding]) -> str:
    """Register a test whose answer is the finding of the column it is asked of; its name."""
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
