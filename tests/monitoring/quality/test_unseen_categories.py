"""A category that a small reference missed by chance is no fault; one that is new is."""

import numpy as np
import pytest

from benchmarks.monitoring import scenarios
from monitoring.drift.histograms import WindowHistograms
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.settings import MonitoringSettings

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
