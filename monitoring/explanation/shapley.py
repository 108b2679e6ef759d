"""What each feature contributed to a prediction: Shapley values of the model itself.

The game of Lundberg and Lee (2017, NeurIPS, "A unified approach to interpreting model
predictions") with interventions: v(S) is the mean score when the features in S have this
prediction's values and the others those of reference rows. A feature's contribution is what
it adds to v, averaged over all orders in which features can be revealed; contributions add up
to the score minus the mean score of the reference rows.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.schema import Feature, Schema, Value
from contracts.timestamps import timestamp_text
from contracts.traffic import TrafficRecord
from monitoring.baseline import Baseline
from monitoring.explanation.scoring_process import ScoringProcess
from monitoring.reference_sample import ReferenceSample

REFERENCE_ROWS = 100
MAX_SCORES = 450_000
"""Scores in one explanation: some seconds. All subsets of 12 features and 100 rows are fewer."""
MAX_BATCH_ROWS = 4096


class ValueFunction(Protocol):
    """The value v of coalitions of features."""

    def __call__(self, coalitions: NDArray[np.bool_], /) -> NDArray[np.float64]:
        """Values of shape `(n,)` for coalitions of shape `(n, n_features)`.

        True marks a feature that has this prediction's value.
        """


@dataclass(frozen=True)
class Contribution:
    """A feature's part of a score; `error` is its standard error, 0 where it is exact."""

    feature: str
    value: Value
    contribution: float
    error: float = 0.0


@dataclass(frozen=True)
class Explanation:
    """The contributions to a prediction, the largest first; they add up to `score - base`.

    `of` says which number is explained: the probability of a class, or a value. `base` is the
    mean score of the reference rows, of which there are `reference_rows`.
    """

    of: str
    score: float
    base: float
    method: Literal["exact", "sampled"]
    reference_rows: int
    scores: int
    contributions: tuple[Contribution, ...]


def explain(
    layout: Layout,
    baseline: Baseline,
    record: TrafficRecord,
    *,
    rows: int = REFERENCE_ROWS,
    max_scores: int = MAX_SCORES,
    seed: int = 0,
) -> Explanation:
    """The contributions to a prediction of the version of `baseline`.

    Exact over all subsets of features if that takes at most `max_scores` scores, else from
    random orders, with a standard error.

    Raises:
        CorruptModel: the version does not answer.
        InvalidData: it no longer answers this row, or answers no reference row.

    """
    schema = baseline.manifest.schema
    given = [record.features.get(name) for name in schema.names]
    class_index, of = _explained_score(baseline.manifest, record)
    with ScoringProcess(layout, baseline) as process:
        score = _scores(process, schema, [[value] for value in given], class_index)
        sample = _reference(baseline.sample, schema, rows, seed)
        kept = _answered(process, schema, sample)
        if not len(score) or not kept[0]:
            raise InvalidData(
                f"prediction {record.prediction_id}: expected a row and reference rows that "
                f"version {baseline.version} answers, got {len(score)} and {len(kept[0])}",
                remedy="train the version again, with a holdout that fits its schema",
            )
        value_function = _value_function(process, schema, given, kept, class_index)
        n_rows = len(kept[0])
        found = _shapley_values(value_function, len(given), n_rows, max_scores, seed)
    columns = zip(schema.names, given, found.values, found.errors, strict=True)
    contributions = [
        Contribution(name, value, float(part), float(error)) for name, value, part, error in columns
    ]
    return Explanation(
        of=of,
        score=float(score[0]),
        base=found.base,
        method=found.method,
        reference_rows=n_rows,
        scores=found.n_scores,
        contributions=tuple(sorted(contributions, key=lambda c: -abs(c.contribution))),
    )


# the mathematics


@dataclass(frozen=True)
class _ShapleyValues:
    """Values and their standard errors, both of shape `(n_features,)`."""

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    base: float
    method: Literal["exact", "sampled"]
    n_scores: int


def _shapley_values(
    value_function: ValueFunction, n: int, n_rows: int, max_scores: int, seed: int
) -> _ShapleyValues:
    """Exact values if all coalitions of `n` features need no more scores than that, else sampled.

    A coalition needs `n_rows` scores.
    """
    n_scores = 2**n * n_rows
    if n_scores <= max_scores:
        values, base = exact(value_function, n)
        return _ShapleyValues(values, np.zeros(n), base, "exact", n_scores)
    pairs = max(max_scores // (2 * (n + 1) * n_rows), 2)
    values, errors, base = sampled(value_function, n, pairs, np.random.default_rng(seed))
    return _ShapleyValues(values, errors, base, "sampled", 2 * pairs * (n + 1) * n_rows)


def exact(value_function: ValueFunction, n: int) -> tuple[NDArray[np.float64], float]:
    """Shapley's formula (1953) over all coalitions of `n` features.

    Gives the Shapley values, shape `(n,)`, and the value of the empty coalition.

    >>> def glove(coalitions):  # a left glove and two right ones: a pair is worth 1
    ...     left, right, other = coalitions.T
    ...     return (left & (right | other)).astype(float)
    >>> exact(glove, 3)[0].round(4).tolist()
    [0.6667, 0.1667, 0.1667]
    """
    numbers = np.arange(2**n)
    coalitions = (numbers[:, None] >> np.arange(n)) & 1 == 1
    value = value_function(coalitions)
    sizes = coalitions.sum(axis=1)
    weights = np.array(
        [1 / (n * math.comb(n - 1, size)) if size < n else 0.0 for size in range(n + 1)]
    )
    values = np.empty(n)
    for feature in range(n):
        without = numbers[~coalitions[:, feature]]
        gain = value[without | (1 << feature)] - value[without]
        values[feature] = float(weights[sizes[without]] @ gain)
    return values, float(value[0])


def sampled(
    value_function: ValueFunction, n: int, pairs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Shapley values of `n` features estimated from random orders.

    Gives the values and their standard errors, both of shape `(n,)`, and the value of the empty
    coalition. Orders are sampled in antithetic pairs, each also reversed (Mitchell, Cooper,
    Frank, Holmes 2022, JMLR 23, "Sampling permutations for Shapley value estimation"); the
    error is that between pairs. Along an order the gains add up exactly, and so do the means.
    """
    found = np.empty((pairs, n))
    for pair in range(pairs):
        order = rng.permutation(n)
        gains = np.zeros((2, n))
        for side, each in enumerate((order, order[::-1])):
            coalitions = np.zeros((n + 1, n), dtype=bool)
            for step, feature in enumerate(each):
                coalitions[step + 1 :, feature] = True
            gains[side, each] = np.diff(value_function(coalitions))
        found[pair] = gains.mean(axis=0)
    errors = found.std(axis=0, ddof=1) / np.sqrt(pairs)
    return found.mean(axis=0), errors, float(value_function(np.zeros((1, n), dtype=bool))[0])


# the model


def _explained_score(manifest: Manifest, record: TrafficRecord) -> tuple[int, str]:
    """The index of the score that is explained, and its name."""
    if manifest.task == "regression":
        return 0, manifest.outputs[0]
    if manifest.task == "binary":
        return 1, f"{manifest.score_kind} of {manifest.classes[1]}"
    predicted = str(record.prediction)
    return manifest.classes.index(predicted), f"{manifest.score_kind} of {predicted}"


def _value_function(
    process: ScoringProcess,
    schema: Schema,
    given: Sequence[Value],
    reference: Sequence[Sequence[Value]],
    class_index: int,
) -> ValueFunction:
    """The mean score of reference rows in which a coalition's features have the given values.

    `reference` holds a sequence of `n_rows` values per feature.
    """
    n_rows = len(reference[0])
    at_once = max(MAX_BATCH_ROWS // n_rows, 1)
    own = [[value] * n_rows for value in given]

    def value_function(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(coalitions), at_once):
            piece = coalitions[start : start + at_once]
            columns = [
                [v for is_given in piece[:, i] for v in (own[i] if is_given else reference[i])]
                for i in range(len(given))
            ]
            scores = _scores(process, schema, columns, class_index)
            if len(scores) != len(piece) * n_rows:
                raise InvalidData(
                    f"expected scores of {len(piece) * n_rows} mixed rows, got {len(scores)}: "
                    "each value is valid, and some of them together are not",
                    remedy="the model gives no finite score there: train it again",
                )
            found.append(scores.reshape(len(piece), n_rows).mean(axis=1))
        return np.concatenate(found)

    return value_function


def _scores(
    process: ScoringProcess, schema: Schema, columns: Sequence[Sequence[Value]], class_index: int
) -> NDArray[np.float64]:
    scored = process.score(dict(zip(schema.names, columns, strict=True)))
    return np.array([row[class_index] for row in scored.scores], dtype=np.float64)


def _answered(
    process: ScoringProcess, schema: Schema, columns: Sequence[list[Value]]
) -> list[list[Value]]:
    """The reference rows that the version answers: it may refuse some that training saw."""
    if not columns[0]:
        return list(columns)
    scored = process.score(dict(zip(schema.names, columns, strict=True)))
    gone = {row.row for row in scored.refused}
    return [[v for i, v in enumerate(values) if i not in gone] for values in columns]


def _reference(sample: ReferenceSample, schema: Schema, rows: int, seed: int) -> list[list[Value]]:
    """Held-out rows drawn from the model directory, column by column, as a client sends them."""
    drawn = sample.rows.sample(min(rows, len(sample.rows)), seed=seed)
    return [list(_sent(feature, drawn[feature.name])) for feature in schema.features]


def _sent(feature: Feature, column: pl.Series) -> Iterator[Value]:
    for value in column:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            yield None
        elif feature.type == "bool":
            yield value == "true"
        elif feature.type == "int":
            yield int(value)
        elif feature.is_timestamp:
            yield timestamp_text(value)
        else:
            yield str(value) if feature.is_category else float(value)
