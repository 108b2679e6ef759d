"""A category that a small reference missed by chance is no fault; one that is new is."""

import numpy as np
import polars as pl
import pytest

from benchmarks.monitoring import scenarios
from contracts.reference import CategoryReference, Reference
from monitoring.drift.histograms import WindowHistograms
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch

NEW = "trade that nobody knew"


def faults(share_of_new: float, rows: int, seed: int) -> set[tuple[str, str]]:
    """What alarms where a reference of 1,000 rows knows forty categories, and a window one more."""
    rng = np.random.default_rng(seed)
    reference, window = dict(scenarios.table(1_000, rng)), dict(scenarios.table(rows, rng))
    while len(set(reference["trade"])) < len(scenarios.TRADES):
        reference = dict(scenarios.table(1_000, rng))
    trades = window["trade"].astype(object)
    trades[rng.random(rows) < share_of_new] = NEW
    window["trade"] = trades.astype(str)
    sketch, batch = scenarios.reference_of(reference), scenarios.rows_of(window, rng)
    histograms, counts = WindowHistograms(sketch), QualityCounts()
    histograms.add(batch)
    counts.add(batch)
    found = quality_findings(histograms, counts, sketch, MonitoringSettings())
    return {(fault.column, fault.fault) for fault in found if fault.alarming}


@pytest.mark.parametrize("seed", range(5))
def test_one_as_rare_as_many_others_may_have_been_missed(seed: int) -> None:
    # A reference of that size misses some category of this world in one of sixty cases.
    assert not faults(0.006, 50_000, seed)


@pytest.mark.parametrize("seed", range(5))
def test_one_more_frequent_than_those_is_new(seed: int) -> None:
    assert ("trade", "unseen") in faults(0.03, 5_000, seed)


@pytest.mark.parametrize(("others", "alarms"), [(200, False), (230, False), (400, True)])
def test_the_rest_of_a_string_is_a_fault_only_if_it_grows(others: int, alarms: bool) -> None:
    """A fifth of the training rows had values that are too rare to be categories."""
    rare = [f"rare {i}" for i in range(others)]
    known = CategoryReference(
        counts={"frequent": 800, **{f"rare {i}": 1 for i in range(200)}}, missing=0, other=200
    )
    sketch = Reference(n_rows=1000, n_predictions=0, features={"city": known}, predictions={})
    batch = TrafficBatch(
        times=np.arange(1000, dtype=np.int64),
        ids=pl.Series([f"id-{i}" for i in range(1000)]),
        columns={"city": pl.Series(["frequent"] * (1000 - others) + rare)},
        flags={"unseen:city": others},
    )
    histograms, counts = WindowHistograms(sketch), QualityCounts()
    histograms.add(batch)
    counts.add(batch)

    found = list(quality_findings(histograms, counts, sketch, MonitoringSettings()))

    assert [(each.column, each.fault) for each in found] == [("city", "unseen")] * alarms
