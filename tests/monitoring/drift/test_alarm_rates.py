"""How often the rule alarms without and with drift, on few simulated windows."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.monitoring.alarms import decision_on
from benchmarks.monitoring.hard_windows import UNDRIFTED, Rows, alarms_on, n_false_alarms
from contracts.reference import NumberReference, Reference
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from training.reference import number_reference

SETTINGS = MonitoringSettings()


def reference_of(data: np.ndarray[Any, Any]) -> Reference:
    features: dict[str, NumberReference] = {
        f"x{i}": number_reference(data[:, i]) for i in range(data.shape[1])
    }
    return Reference(n_rows=len(data), n_predictions=0, features={**features}, predictions={})


def fires(reference: Reference, data: np.ndarray[Any, Any]) -> str:
    histograms, counts = WindowHistograms(reference), QualityCounts()
    batch = TrafficBatch(
        times=np.arange(len(data)),
        ids=pl.Series(range(len(data))),
        columns={f"x{i}": pl.Series(data[:, i]) for i in range(data.shape[1])},
    )
    histograms.add(batch)
    counts.add(batch)
    findings = findings_of(histograms, DriftThresholds(SETTINGS))
    quality = list(quality_findings(histograms, counts, reference, SETTINGS))
    return decision_on(histograms.rows, findings, quality)


@pytest.mark.parametrize("n", [500, 5000])
def test_ten_columns_without_drift_alarm_in_two_of_a_hundred_windows_at_most(n: int) -> None:
    rng = np.random.default_rng(1)
    reference = reference_of(rng.normal(size=(20_000, 10)))
    alarms = sum(fires(reference, rng.normal(size=(n, 10))) != "stable" for _ in range(150))

    assert alarms <= 3


@pytest.mark.parametrize(("n", "shift"), [(5000, 0.2), (500, 0.3)])
def test_a_shift_that_matters_is_seen(n: int, shift: float) -> None:
    rng = np.random.default_rng(2)
    reference = reference_of(rng.normal(size=(20_000, 5)))
    seen = 0
    for _ in range(40):
        data = rng.normal(size=(n, 5))
        data[:, 0] += shift
        seen += fires(reference, data) == "drift"

    assert seen >= 38


def test_five_percent_missing_are_a_fault_and_not_drift() -> None:
    rng = np.random.default_rng(3)
    reference = reference_of(rng.normal(size=(20_000, 5)))
    seen = 0
    for _ in range(40):
        data = rng.normal(size=(500, 5))
        data[rng.random(500) < 0.05, 0] = np.nan
        seen += fires(reference, data) == "quality"

    assert seen == 40


@pytest.mark.parametrize("name", ["200 users x 25 rows", "400 users, a few heavy"])
def test_rows_of_few_users_are_not_taken_for_independent_ones(name: str) -> None:
    assert n_false_alarms(UNDRIFTED[name], repetitions=25, seed=7) <= 1


def test_a_shift_of_all_users_is_seen() -> None:
    rng = np.random.default_rng(8)
    reference = reference_of(rng.normal(size=(20_000, 3)))
    users = rng.permutation(np.repeat(np.arange(500), 10))
    values = rng.normal(scale=0.8, size=(500, 3))[users] + rng.normal(scale=0.6, size=(5_000, 3))
    rows = Rows({f"x{i}": values[:, i] + 0.5 * (i == 0) for i in range(3)}, users.astype(str))

    assert alarms_on(reference, rows, rng)
