"""Neighbours that resemble each other are no more information than they are."""

import numpy as np
import pytest

from metrics.alpha_spending import alpha_at_attempt
from training.evaluation.blocks import row_advantages, row_dependence
from training.evaluation.bootstrap import (
    CHUNK,
    bootstrap_weights,
    paired_improvement,
)
from training.evaluation.predictions import Predictions


def equal_versions(
    n: int, run: int, rng: np.random.Generator
) -> tuple[np.ndarray, Predictions, Predictions]:
    """Two versions of which none is better, on rows that come in runs of alike ones."""
    odds = rng.normal(size=n // run) + 1
    targets = (rng.random(n // run) < 1 / (1 + np.exp(-odds))).astype(int)
    seen = odds + 0.5 * rng.normal(size=n // run)
    versions = []
    for _ in range(2):
        score = 1 / (1 + np.exp(-(seen + 0.6 * rng.normal(size=n // run))))
        scores = np.repeat(np.stack([1 - score, score], axis=1), run, axis=0)
        versions.append(Predictions(scores, 0.5))
    return np.repeat(targets, run), versions[0], versions[1]


@pytest.mark.parametrize("metric", ["accuracy", "brier"])
def test_runs_of_alike_rows_promote_no_equal_version(metric: str) -> None:
    """500 rows in runs of 20: without blocks 9 to 12 of 100 were promoted at the first attempt."""
    promoted = 0
    for i in range(60):
        target, ours, theirs = equal_versions(500, 20, np.random.default_rng([5, i]))
        found = paired_improvement(
            "binary", metric, target, ours, theirs, alpha_at_attempt(1), in_time_order=True
        )
        promoted += found.low > 0

    assert promoted <= 3


def test_independent_rows_are_resampled_one_by_one() -> None:
    blocks = []
    for i in range(40):
        target, ours, theirs = equal_versions(600, 1, np.random.default_rng([7, i]))
        rows = row_advantages("binary", target, ours, theirs, of_decisions=False)
        blocks.append(row_dependence(rows).block)

    assert sum(block > 1 for block in blocks) <= 2


def test_a_block_design_effect_is_that_of_the_mean() -> None:
    """AR(1) with 0.8: the variance of its mean is (1 + 0.8) / (1 - 0.8) = 9 times larger."""
    effects = []
    for i in range(20):
        rng, series = np.random.default_rng([8, i]), np.zeros(4_000)
        for t in range(1, len(series)):
            series[t] = 0.8 * series[t - 1] + rng.normal()
        effects.append(row_dependence(series).design_effect)

    assert np.mean(effects) == pytest.approx(9, rel=0.2)


@pytest.mark.parametrize(("n", "block"), [(100, 7), (100, 100), (23, 5)])
def test_blocks_cover_every_row_alike(n: int, block: int) -> None:
    weights = np.concatenate(list(bootstrap_weights(n, block=block)))

    assert weights.min() >= 0
    assert len(weights) % CHUNK == 0
    assert set(weights.sum(axis=1)) == {max(round(n / block), 1) * block}
    means = weights.mean(axis=0)
    assert means == pytest.approx(np.full(n, means.mean()), rel=0.25)
    if block < n:
        neighbours = np.corrcoef(weights[:, 0], weights[:, -1])[0, 1]
        assert neighbours > 0.3, "the first row follows the last"


def test_constant_and_short_series_have_no_dependence() -> None:
    for series in (np.zeros(500), np.empty(0), np.array([1.0, 2.0])):
        assert row_dependence(series).block == 1
