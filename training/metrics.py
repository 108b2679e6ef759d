"""The metrics of a model on rows it has not learned, by task and name.

Each entry of `METRICS` says how a metric of `metrics/` reads a model's scores. A recipe's gates
name metrics by these names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule, Scores
from contracts.manifest import Metric, ScoreKind, Task
from metrics import bootstrap_metrics, classification, ranking, regression
from metrics.bootstrap_metrics import Resampled, WeightedMetric, Weights
from metrics.value import Values

Target = NDArray[Any]
"""What a model should have predicted: class indices of a classifier, shape `(n_rows,)`; values
of a regression, `(n_rows,)` or `(n_rows, n_outputs)`."""

INTERVAL_RESAMPLES = 200
"""Bootstrap resamples (Efron 1979, percentile interval); the ends move by less than a tenth
of the interval's width from seed to seed at this number."""
MAX_RESAMPLE_ROWS = 5_000
"""Rows per resample; more add seconds to the bootstrap and nothing to the interval's use."""


class MetricFunction(Protocol):
    """A metric of scores."""

    def __call__(self, target: Target, scores: Scores, threshold: float, /) -> float:
        """The metric's value; `scores` have the shape `(n_rows, n_outputs)`."""


class WeightedForm(Protocol):
    """A metric of scores, for rows with weights."""

    def __call__(self, target: Target, scores: Scores, threshold: float, /) -> WeightedMetric:
        """The metric of these rows as a function of their weights."""


class RowValues(Protocol):
    """One number per row, whose mean is a metric."""

    def __call__(self, target: Target, scores: Scores, threshold: float, /) -> Values:
        """The number of each row, shape `(n_rows,)`."""


@dataclass(frozen=True)
class MetricDefinition:
    """How one metric is computed from scores, and which way it points.

    A metric without a `weighted` form is computed resample by resample, which is slow. `needs`
    is the least that the scores of a classifier must be: decisions, margins or probabilities.
    """

    value: MetricFunction
    greater_is_better: bool
    weighted: WeightedForm | None = None
    needs: ScoreKind = "decision"

    @property
    def sign(self) -> float:
        """1.0 where greater is better, else -1.0."""
        return 1.0 if self.greater_is_better else -1.0

    def of_weighted_rows(self, target: Target, scores: Scores, threshold: float) -> WeightedMetric:
        """The metric of these rows as a function of their weights, for many weightings at once."""
        if self.weighted is not None:
            return self.weighted(target, scores, threshold)

        def one_by_one(weights: Weights) -> Resampled:
            counts = weights.astype(np.int64)
            drawn = (np.repeat(np.arange(len(target)), count) for count in counts)
            return np.array([self.value(target[rows], scores[rows], threshold) for rows in drawn])

        return one_by_one


def _mean(
    per_row: RowValues, *, greater_is_better: bool, needs: ScoreKind = "decision"
) -> MetricDefinition:
    """A metric that is the mean of one number per row."""
    return MetricDefinition(
        value=lambda target, scores, at: float(per_row(target, scores, at).mean()),
        weighted=lambda target, scores, at: bootstrap_metrics.weighted_mean(
            per_row(target, scores, at)
        ),
        greater_is_better=greater_is_better,
        needs=needs,
    )


def _decisions(task: Task, scores: Scores, threshold: float) -> NDArray[np.int64]:
    return DecisionRule(task, threshold).class_indices(scores)


_LOG_LOSS = _mean(
    lambda target, scores, _: classification.log_losses(
        classification.true_class_score(target, scores)
    ),
    greater_is_better=False,
    needs="probability",
)


def _accuracy(task: Task) -> MetricDefinition:
    return _mean(
        lambda target, scores, at: classification.hits(target, _decisions(task, scores, at)),
        greater_is_better=True,
    )


METRICS: Mapping[Task, Mapping[str, MetricDefinition]] = {
    "binary": {
        "roc_auc": MetricDefinition(
            value=lambda target, scores, _: ranking.roc_auc(target, scores[:, 1]).value,
            weighted=lambda target, scores, _: bootstrap_metrics.weighted_roc_auc(
                target, scores[:, 1]
            ),
            greater_is_better=True,
            needs="margin",
        ),
        "accuracy": _accuracy("binary"),
        "f1": MetricDefinition(
            value=lambda target, scores, at: (
                classification.f1(target, _decisions("binary", scores, at)).value
            ),
            weighted=lambda target, scores, at: bootstrap_metrics.weighted_f1(
                target, _decisions("binary", scores, at)
            ),
            greater_is_better=True,
        ),
        "brier": _mean(
            lambda target, scores, _: classification.brier_losses(target, scores[:, 1]),
            greater_is_better=False,
            needs="probability",
        ),
        "log_loss": _LOG_LOSS,
    },
    "multiclass": {
        "accuracy": _accuracy("multiclass"),
        "macro_f1": MetricDefinition(
            value=lambda target, scores, at: (
                classification.macro_f1(target, _decisions("multiclass", scores, at)).value
            ),
            weighted=lambda target, scores, at: bootstrap_metrics.weighted_macro_f1(
                target, _decisions("multiclass", scores, at)
            ),
            greater_is_better=True,
        ),
        "log_loss": _LOG_LOSS,
    },
    "regression": {
        "rmse": MetricDefinition(
            value=lambda target, scores, _: regression.rmse(target, scores).value,
            weighted=lambda target, scores, _: bootstrap_metrics.weighted_rmse(target, scores),
            greater_is_better=False,
        ),
        "mae": _mean(
            lambda target, scores, _: regression.absolute_errors(target, scores),
            greater_is_better=False,
        ),
        "r2": MetricDefinition(
            value=lambda target, scores, _: regression.r2(target, scores).value,
            weighted=lambda target, scores, _: bootstrap_metrics.weighted_r2(target, scores),
            greater_is_better=True,
        ),
    },
}
"""The metrics of each task, by name."""


_SAYING: tuple[ScoreKind, ...] = ("decision", "margin", "probability")
"""Kinds of a classifier's scores, each saying more than the previous one."""


def metrics_for(task: Task, kind: ScoreKind) -> dict[str, MetricDefinition]:
    """The metrics of a task that scores of this kind have.

    >>> list(metrics_for("binary", "margin")), list(metrics_for("multiclass", "decision"))
    (['roc_auc', 'accuracy', 'f1'], ['accuracy', 'macro_f1'])
    """
    if kind == "value":
        return dict(METRICS[task])
    said = _SAYING[: _SAYING.index(kind) + 1]
    return {name: each for name, each in METRICS[task].items() if each.needs in said}


def holdout_metrics(
    task: Task, target: Target, scores: Scores, kind: ScoreKind, *, threshold: float, seed: int
) -> dict[str, Metric]:
    """Every metric of the task on held-out rows, each with its 95 % bootstrap interval.

    `scores` have the shape `(n_rows, n_outputs)`, and are of this `kind`.
    """
    rng = np.random.default_rng(seed)
    n_rows = len(target)
    samples = [
        rng.integers(0, n_rows, size=min(n_rows, MAX_RESAMPLE_ROWS))
        for _ in range(INTERVAL_RESAMPLES)
    ]
    # A resample without one of the classes has no AUC and is left out.
    samples = [rows for rows in samples if task != "binary" or len(set(target[rows])) > 1]
    return {
        name: _with_interval(definition, target, scores, threshold, samples)
        for name, definition in metrics_for(task, kind).items()
    }


def _with_interval(
    definition: MetricDefinition,
    target: Target,
    scores: Scores,
    threshold: float,
    samples: list[NDArray[np.int64]],
) -> Metric:
    resampled = [definition.value(target[rows], scores[rows], threshold) for rows in samples]
    # A resample with fewer rows than the whole set has a wider interval.
    shrink = np.sqrt(len(samples[0]) / len(target)) if samples else 1.0
    value = definition.value(target, scores, threshold)
    low, high = np.percentile(resampled, [2.5, 97.5]) if resampled else (value, value)
    return Metric(
        value=value,
        low=float(value + (low - value) * shrink),
        high=float(value + (high - value) * shrink),
        greater_is_better=definition.greater_is_better,
    )
