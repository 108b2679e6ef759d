"""Small changes that are grave are seen at 5,000 rows, and heavy tails alarm for nothing seldom."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.monitoring import scenarios
from benchmarks.monitoring.alarms import SETTINGS, histograms_of
from contracts.verdict import Finding
from monitoring.drift.details import exceedance_p_value
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds, accepted_limits
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from tests.monitoring.verdict_history import verdict

Columns = dict[str, np.ndarray[Any, Any]]
Change = Callable[[Columns, np.random.Generator], None]
KINDS, SHARES = np.array(["a", "b", "c", "rare"]), np.array([0.5, 0.3, 0.195, 0.005])


def table(n: int, rng: np.random.Generator) -> Columns:
    return {
        "normal": rng.normal(size=n),
        "amount": rng.lognormal(3, 0.7, n),
        "zeros": np.where(rng.random(n) < 0.95, 0, rng.exponential(5, n)),
        "kind": rng.choice(KINDS, n, p=SHARES),
    }


def where(column: str, share: float, change: Callable[[Any], Any]) -> Change:
    def changed(columns: Columns, rng: np.random.Generator) -> None:
        hit = rng.random(len(columns[column])) < share
        columns[column] = np.where(hit, change(columns[column]), columns[column])

    return changed


def fewer_zeros(columns: Columns, rng: np.random.Generator) -> None:
    n = len(columns["zeros"])
    columns["zeros"] = np.where(rng.random(n) < 0.92, 0, rng.exponential(5, n))


def more_of_the_rare(columns: Columns, rng: np.random.Generator) -> None:
    columns["kind"] = rng.choice(KINDS, len(columns["kind"]), p=[0.495, 0.295, 0.19, 0.02])


def wider(factor: float) -> Change:
    def changed(columns: Columns, _rng: np.random.Generator) -> None:
        columns["normal"] = factor * columns["normal"]

    return changed


def test_an_accepted_detail_is_usual_from_the_next_window_on() -> None:
    rng = np.random.default_rng(5)
    sketch = scenarios.reference_of(table(5_000, rng))

    def drifted(thresholds: DriftThresholds) -> list[Finding]:
        window = table(5_000, rng)
        more_of_the_rare(window, rng)
        found = findings_of(histograms_of(sketch, scenarios.rows_of(window, rng)), thresholds)
        return [finding for finding in found if finding.drifted]

    (finding,) = drifted(DriftThresholds(SETTINGS))
    past = verdict(0, finding)
    accepted = accepted_limits([past], frozenset({past.verdict_id}))

    assert finding.effect == "category_odds"
    assert not drifted(DriftThresholds(SETTINGS, accepted=accepted))


def alarms(change: Change, rows: int, reference_rows: int, seed: int) -> set[tuple[str, str]]:
    rng = np.random.default_rng([seed, rows])
    sketch = scenarios.reference_of(table(reference_rows, rng))
    window = table(rows, rng)
    change(window, rng)
    batch, counts = scenarios.rows_of(window, rng), QualityCounts()
    histograms = histograms_of(sketch, batch)
    counts.add(batch)
    drifted = findings_of(histograms, DriftThresholds(SETTINGS))
    faults = quality_findings(histograms, counts, sketch, SETTINGS)
    return {(f.column, f.effect) for f in drifted if f.drifted} | {
        (q.column, q.fault) for q in faults
    }


@pytest.mark.parametrize(
    ("change", "column", "named"),
    [
        (fewer_zeros, "zeros", {"category_odds"}),
        (more_of_the_rare, "kind", {"category_odds"}),
        (where("kind", 0.005, lambda _: "new"), "kind", {"unseen"}),
        (where("amount", 0.005, lambda x: -x), "amount", {"below_minimum"}),
        (where("amount", 0.005, lambda x: 1000 * x), "amount", {"unit", "above_maximum"}),
        (where("normal", 0.05, lambda x: x + 3), "normal", {"tail_odds", "above_maximum"}),
        (wider(1.2), "normal", set()),
        (wider(np.sqrt(1.2)), "normal", {"spread"}),
    ],
    ids=["zeros", "rare", "new", "negative", "unit", "segment", "sd x1.2", "variance x1.2"],
)
def test_a_small_grave_change_is_seen(change: Change, column: str, named: set[str]) -> None:
    """Each was invisible at any number of rows: nothing below 5 % of the rows was drift."""
    found = [alarms(change, 5_000, 5_000, seed) for seed in range(8)]
    hits = [{effect for c, effect in each if c == column} for each in found]

    assert sum(bool(hit) for hit in hits) >= 7
    assert not named or any(named & hit for hit in hits)


@pytest.mark.parametrize(("rows", "reference_rows"), [(300, 1_000), (5_000, 5_000)])
def test_without_a_change_nothing_is_reported(rows: int, reference_rows: int) -> None:
    found = [alarms(where("kind", 0, str), rows, reference_rows, seed) for seed in range(100, 140)]

    assert sum(map(bool, found)) <= 2


@pytest.mark.parametrize("draw", ["lognormal", "cauchy"])
def test_heavy_tails_are_not_out_of_range_by_chance(draw: str) -> None:
    """300 rows against 1,000: 9 to 14 of 100 windows of ten such columns were faulty."""
    faulty = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def columns(n: int, rng: np.random.Generator = rng) -> Columns:
            values = (
                rng.lognormal(0, 2, (n, 10))
                if draw == "lognormal"
                else rng.standard_cauchy((n, 10))
            )
            return {f"x{i}": values[:, i] for i in range(10)}

        sketch = scenarios.reference_of(columns(1_000))
        histograms = histograms_of(sketch, scenarios.rows_of(columns(300), rng))
        faulty += bool(list(quality_findings(histograms, QualityCounts(), sketch, SETTINGS)))

    assert faulty <= 2


def test_the_exact_count_is_the_chance_of_the_largest_being_new() -> None:
    """Simulated: how often the 3 largest of 30 new and 50 old rows are new ones."""
    rng = np.random.default_rng(0)
    ranks = np.argsort(rng.random((40_000, 80)), axis=1)[:, -3:]
    share = float((ranks < 30).all(axis=1).mean())

    assert exceedance_p_value(3, 30, 50) == pytest.approx(share, abs=0.004)
    assert exceedance_p_value(0, 10, 10) == 1.0
    assert exceedance_p_value(11, 10, 10) == 0.0
