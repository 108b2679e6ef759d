"""The door to Evidently: its report over a sample, with our numbers in place of its own."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.verdict import Finding

if TYPE_CHECKING:
    import pandas as pd

STATTEST = "slipway_verdict"


def evidently_html(
    reference: "pd.DataFrame", window: "pd.DataFrame", findings: Sequence[Finding]
) -> str:
    """Evidently's drift report as one HTML page.

    Both frames hold the columns of `findings`. Each column's score, threshold and outcome
    are those of its finding, which was computed over every row; the pictures show the frames.
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
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            snapshot.save_html(str(path))
            return path.read_text(encoding="utf-8")


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
