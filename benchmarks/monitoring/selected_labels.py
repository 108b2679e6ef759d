"""Performance from selected labels: false alarms, and the power to see a true fall.

    python -m benchmarks.monitoring.selected_labels [--repetitions 200] [--seed 20261101]

5,000 held-out rows and a window of 4,000, of which some have a label. The world is as at
training, or its scores mean less than they did (an AUC lower by about 0.075).
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from benchmarks.monitoring.scenarios import manifest
from contracts.manifest import Manifest, Metric
from metrics.interval import wilson
from monitoring.labels.join import LabelledPredictions
from monitoring.performance.realized import realized_metrics
from monitoring.performance.selection import label_selection
from monitoring.performance.task_metrics import compute_metrics

SEED = 20261101
ALPHA = 0.01
HELD_OUT_ROWS, WINDOW_ROWS = 5_000, 4_000
BASE_RATE = 0.32
FALLEN_SLOPE = 0.65
"""The odds of the truth against the score's, after the fall: the AUC is 0.73, it was 0.81."""

Numbers = NDArray[Any]
Selection = Callable[[Numbers, Numbers, Numbers], Numbers]
"""Which rows have a label, from their scores, their truths and uniform random numbers."""

FEW, MOST = 0.3, 0.6
"""Shares of rows that get a label."""


def _everyone(_score: Numbers, _truth: Numbers, luck: Numbers) -> Numbers:
    return luck >= 0


def _at_random(_score: Numbers, _truth: Numbers, luck: Numbers) -> Numbers:
    return luck < FEW


def _highest(score: Numbers, _truth: Numbers, _luck: Numbers) -> Numbers:
    return score >= np.quantile(score, 1 - FEW)


def _upper_half(score: Numbers, _truth: Numbers, luck: Numbers) -> Numbers:
    return (score >= np.median(score)) & (luck < MOST)


def _uncertain(score: Numbers, _truth: Numbers, _luck: Numbers) -> Numbers:
    return (score > FEW) & (score < 1 - FEW)


def _positives(_score: Numbers, truth: Numbers, luck: Numbers) -> Numbers:
    return luck < np.where(truth == 1, MOST, FEW)


SELECTIONS: Mapping[str, Selection] = {
    "all": _everyone,
    "30 % at random": _at_random,
    "the 30 % with the highest score": _highest,
    "60 % of the upper half": _upper_half,
    "scores from 0.3 to 0.7": _uncertain,
    "positives twice as often": _positives,
}


def world(n: int, slope: float, rng: np.random.Generator) -> LabelledPredictions:
    """Rows whose scores are right at slope 1, and mean less below it."""
    scores = expit(-0.9 + 1.45 * rng.normal(size=n))
    base = logit(BASE_RATE)
    truths = (rng.random(n) < expit(slope * (logit(scores) - base) + base)).astype(np.float64)
    return LabelledPredictions(
        targets=truths,
        predictions=(scores >= 0.5).astype(np.float64),  # noqa: PLR2004 - the threshold
        scores=scores,
        true_class_scores=np.where(truths == 1, scores, 1 - scores),
        group_index=np.zeros(n, dtype=np.int16),
        groups=[(1, "")],
    )


def trained_on(held_out: LabelledPredictions) -> Manifest:
    """A version with these held-out rows."""
    known = compute_metrics(held_out, manifest())
    return manifest(
        **{
            name: Metric(
                value=found.value,
                low=found.low,
                high=found.high,
                greater_is_better=name in {"roc_auc", "accuracy"},
            )
            for name, found in known.items()
        }
    )


def is_called_worse(selected: Selection, slope: float, rng: np.random.Generator) -> bool:
    """Whether the model of one simulated window is called worse."""
    held_out, window = world(HELD_OUT_ROWS, 1.0, rng), world(WINDOW_ROWS, slope, rng)
    version = trained_on(held_out)
    has_label = selected(window.scores, window.targets, rng.random(WINDOW_ROWS))
    labelled, others = window.where(has_label), window.scores[~has_label]
    selection = label_selection(labelled, others, has_label.mean(), held_out, version)
    if selection is not None and not selection.baselines:
        return False
    baselines = selection.baselines if selection else ()
    return any(m.worse for m in realized_metrics(labelled, version, ALPHA, baselines))


def main() -> int:
    """Print each selection's share of windows called worse; 1 if a false one is above 2 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    n, missed = arguments.repetitions, 0
    say = sys.stdout.write
    for slope, title in ((1.0, "as at training"), (FALLEN_SLOPE, "AUC lower by 0.077")):
        for name, selected in SELECTIONS.items():
            hits = sum(
                is_called_worse(selected, slope, np.random.default_rng([arguments.seed, i]))
                for i in range(n)
            )
            low, high = wilson(hits, n)
            missed += slope == 1 and low > 0.02  # noqa: PLR2004 - the bar
            say(f"{title:<20} {name:<34} {hits / n:6.1%}  {low:6.1%} - {high:6.1%}\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
