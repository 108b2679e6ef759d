"""What each feature contributed to a prediction: Shapley values of the model itself.

The game of Lundberg and Lee (2017, NeurIPS, "A unified approach to interpreting model
predictions") with interventions: v(S) is the mean score when the features in S have this
prediction's values and the others those of reference rows. A feature's contribution is what
it adds to v, averaged over all orders in which features can be told; contributions add up to
the score minus the mean score of the reference rows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import InvalidData
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.schema import Feature, Schema, Value
from contracts.traffic import TrafficRecord
from monitoring.baseline import Baseline
from monitoring.explanation.scoring_process import Scorer
from monitoring.reference_sample import ReferenceSample

REFERENCE_ROWS = 100
MOST_SCORES = 450_000
"""Scores in one explanation: some seconds. All subsets of 12 features and 100 rows are fewer."""
_ASKED_ROWS = 4096

Worths = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""v of coalitions: shape `(n, n_features)`, True where a feature is told, gives `(n,)`."""


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
    most: int = MOST_SCORES,
    seed: int = 0,
) -> Explanation:
    """The contributions to a prediction of the version of `baseline`.

    Exact over all subsets of features while that takes at most `most` scores, else from
    random orders with a standard error.

    Raises:
        CorruptModel: the version does not answer.
        InvalidData: it does not answer this row any more, or no reference row.

    """
    schema = baseline.manifest.schema
    given = [record.features.get(name) for name in schema.names]
    place, words = _explained(baseline.manifest, record)
    with Scorer(layout, baseline) as scorer:
        score = _scores(scorer, schema, [[value] for value in given], place)
        sample = _reference(baseline.sample, schema, rows, seed)
        kept = _answered(scorer, schema, sample)
        if not len(score) or not kept[0]:
            raise InvalidData(
                f"prediction {record.prediction_id}: expected a row and reference rows that "
                f"version {baseline.version} answers, got {len(score)} and {len(kept[0])}",
                remedy="train the version again, with a holdout that fits its schema",
            )
        worths = _worths(scorer, schema, given, kept, place)
        n, n_rows = len(given), len(kept[0])
        is_exact = 2**n * n_rows <= most
        if is_exact:
            values, base = exact(worths, n)
            errors, asked = np.zeros(n), 2**n * n_rows
        else:
            pairs = max(most // (2 * (n + 1) * n_rows), 2)
            values, errors, base = sampled(worths, n, pairs, np.random.default_rng(seed))
            asked = 2 * pairs * (n + 1) * n_rows
    found = [
        Contribution(name, value, float(part), float(error))
        for name, value, part, error in zip(schema.names, given, values, errors, strict=True)
    ]
    return Explanation(
        of=words,
        score=float(score[0]),
        base=base,
        method="exact" if is_exact else "sampled",
        reference_rows=n_rows,
        scores=asked,
        contributions=tuple(sorted(found, key=lambda c: -abs(c.contribution))),
    )


# the mathematics


def exact(worths: Worths, n: int) -> tuple[NDArray[np.float64], float]:
    """Shapley's formula (1953) over all subsets: the values, and the worth of the empty one.

    >>> def glove(told):  # a left glove and two right ones: a pair is worth 1
    ...     return (told[:, 0] & (told[:, 1] | told[:, 2])).astype(float)
    >>> exact(glove, 3)[0].round(4).tolist()
    [0.6667, 0.1667, 0.1667]
    """
    numbers = np.arange(2**n)
    told = (numbers[:, None] >> np.arange(n)) & 1 == 1
    worth = worths(told)
    sizes = told.sum(axis=1)
    weights = np.array(
        [1 / (n * math.comb(n - 1, size)) if size < n else 0.0 for size in range(n + 1)]
    )
    values = np.empty(n)
    for feature in range(n):
        without = numbers[~told[:, feature]]
        gain = worth[without | (1 << feature)] - worth[without]
        values[feature] = float(weights[sizes[without]] @ gain)
    return values, float(worth[0])


def sampled(
    worths: Worths, n: int, pairs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The values from random orders, their standard errors, and the worth of nothing told.

    Each order is taken forth and back (antithetic: Mitchell, Cooper, Frank, Holmes 2022, JMLR
    23, "Sampling permutations for Shapley value estimation"); the error is that between pairs.
    Along an order the gains add up exactly, and so do the means.
    """
    found = np.empty((pairs, n))
    for pair in range(pairs):
        order = rng.permutation(n)
        gains = np.zeros((2, n))
        for side, each in enumerate((order, order[::-1])):
            told = np.zeros((n + 1, n), dtype=bool)
            for step, feature in enumerate(each):
                told[step + 1 :, feature] = True
            worth = worths(told)
            gains[side, each] = np.diff(worth)
        found[pair] = gains.mean(axis=0)
    errors = found.std(axis=0, ddof=1) / np.sqrt(pairs)
    return found.mean(axis=0), errors, float(worths(np.zeros((1, n), dtype=bool))[0])


# the model


def _explained(manifest: Manifest, record: TrafficRecord) -> tuple[int, str]:
    """Which of the model's scores is explained, and how it is called."""
    if manifest.task == "regression":
        return 0, manifest.outputs[0]
    if manifest.task == "binary":
        return 1, f"probability of {manifest.classes[1]}"
    word = str(record.prediction)
    return manifest.classes.index(word), f"probability of {word}"


def _worths(
    scorer: Scorer,
    schema: Schema,
    given: Sequence[Value],
    reference: Sequence[Sequence[Value]],
    place: int,
) -> Worths:
    n_rows = len(reference[0])
    at_once = max(_ASKED_ROWS // n_rows, 1)
    own = [[value] * n_rows for value in given]

    def worths(told: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(told), at_once):
            piece = told[start : start + at_once]
            columns = [
                [v for is_told in piece[:, i] for v in (own[i] if is_told else reference[i])]
                for i in range(len(given))
            ]
            scores = _scores(scorer, schema, columns, place)
            if len(scores) != len(piece) * n_rows:
                raise InvalidData(
                    f"expected scores of {len(piece) * n_rows} mixed rows, got {len(scores)}: "
                    "each value is valid, and some of them together are not",
                    remedy="the model gives no finite score there: train it again",
                )
            found.append(scores.reshape(len(piece), n_rows).mean(axis=1))
        return np.concatenate(found)

    return worths


def _scores(
    scorer: Scorer, schema: Schema, columns: Sequence[Sequence[Value]], place: int
) -> NDArray[np.float64]:
    scored = scorer.score(dict(zip(schema.names, columns, strict=True)))
    return np.array([row[place] for row in scored.scores], dtype=np.float64)


def _answered(scorer: Scorer, schema: Schema, columns: Sequence[list[Value]]) -> list[list[Value]]:
    """The reference rows that the version answers: training may have seen what it refuses."""
    if not columns[0]:
        return list(columns)
    scored = scorer.score(dict(zip(schema.names, columns, strict=True)))
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
        else:
            yield str(value) if feature.is_category else float(value)
