"""Whether a form of an exported model answers like the served one: rows, answers, differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.edge_model import FLAG_NAMES, REFUSED_FLAG
from contracts.manifest import Manifest
from contracts.schema import FLOAT32_MAX, Feature
from training.onnx_session import OnnxSession
from training.rows import plain_rows

FeatureRow = Mapping[str, Any]
COMPARED_ROWS = 1000
REFUSED_CLASS = -1
UNKNOWN_TEXT = "never seen"


@dataclass(frozen=True)
class Answers:
    """Answers to rows: classes `(n_rows,)`, flags `(n_rows, n_features)`, scores.

    A class is its index, 0 for a regression, `REFUSED_CLASS` for a row without a prediction; the
    scores `(n_rows, n_outputs)` of such a row are NaN. Flags are numbers of `FLAG_NAMES`.
    """

    classes: NDArray[np.int64]
    flags: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Disagreement:
    """How answers differ from those of the served model.

    `max_difference` of the scores is in the certificate's unit: of a probability, or relative to
    the larger of a value and the standard deviation of the values.
    """

    class_differences: int
    flag_differences: int
    max_difference: float

    def is_within(self, tolerance: float) -> bool:
        """Whether the answers are those that the certificate allows."""
        differs = self.class_differences or self.flag_differences
        return not differs and self.max_difference <= tolerance


def compared_rows(manifest: Manifest, sample: pd.DataFrame) -> list[dict[str, Any]]:
    """The golden requests, then sample rows of which every second one has an unusual value.

    `sample` are rows of the features, as the reference of a model directory has them.
    """
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [dict(golden.features) for golden in manifest.golden]
    known = plain_rows(sample, manifest.schema) or rows
    features = manifest.schema.features
    while len(rows) < COMPARED_ROWS:
        row = dict(known[int(rng.integers(len(known)))])
        if len(rows) % 2:
            feature = features[int(rng.integers(len(features)))]
            values = _unusual(feature)
            row[feature.name] = values[int(rng.integers(len(values)))]
        rows.append(row)
    return rows


def _unusual(feature: Feature) -> list[Any]:
    """Values of a feature that policies, encoders and thresholds treat in their own way."""
    if feature.is_category:
        return [None, UNKNOWN_TEXT, *feature.categories]
    if feature.type == "bool":
        return [None, True, False]
    ends = [feature.low, feature.high, 0.0, 1.0]
    beyond = [feature.low - 1.0, feature.high + 1.0, FLOAT32_MAX, 10 * FLOAT32_MAX]
    return [None, *ends, *beyond, 0.1 + 0.2, 16777217.0, 1e-12]


def served_answers(model: bytes, manifest: Manifest, rows: Sequence[FeatureRow]) -> Answers:
    """The answers of the served graph, with the schema's own checks: the definition."""
    schema = manifest.schema
    names = list(schema.names)
    flags = np.zeros((len(rows), len(names)), dtype=np.int64)
    applied = []
    for index, row in enumerate(rows):
        for violation in schema.violations(row):
            flags[index, names.index(violation.path)] = REFUSED_FLAG
        if not flags[index].any():
            values, flagged = schema.apply_policies(row)
            applied.append(values)
            for flag in flagged:
                kind, _, name = flag.partition(":")
                flags[index, names.index(name)] = FLAG_NAMES.index(kind)
    valid = ~(flags == REFUSED_FLAG).any(axis=1)
    session = OnnxSession(model)
    n_outputs = len(manifest.classes or manifest.outputs)
    scores = np.full((len(rows), n_outputs), np.nan)
    if applied:
        scores[valid] = session.run(schema.matrix(applied, session.dtype))
    return answers_of_scores(manifest, flags, scores)


def answers_of_scores(
    manifest: Manifest, flags: NDArray[np.int64], scores: NDArray[np.float64]
) -> Answers:
    """The answers with these scores; a row without finite ones has no class."""
    scored: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(scores), axis=1)
    scores = np.where(scored[:, None], scores, np.nan)
    classes = DecisionRule.of(manifest).class_indices(np.nan_to_num(scores))
    return Answers(np.where(scored, classes, REFUSED_CLASS), flags, scores)


def disagreement(manifest: Manifest, expected: Answers, got: Answers) -> Disagreement:
    """How answers differ from those of the served model.

    Where it is itself within the tolerance of a tie, either class is right. Of a refused row, only
    the refused features are compared.
    """
    both: NDArray[np.bool_] = np.logical_and(
        got.classes != REFUSED_CLASS, expected.classes != REFUSED_CLASS
    )
    near_tie = (
        DecisionRule.of(manifest).distance_to_tie(expected.scores) <= manifest.certificate.tolerance
    )
    other_class = (expected.classes != got.classes) & ~(both & near_tie)
    faulty = ((expected.flags == REFUSED_FLAG) != (got.flags == REFUSED_FLAG)).any(axis=1)
    other_flags = (expected.flags != got.flags).any(axis=1)
    differs = np.where((expected.flags == REFUSED_FLAG).any(axis=1), faulty, other_flags)
    difference = np.abs(expected.scores - got.scores)[both] / _unit(manifest, expected.scores[both])
    return Disagreement(
        class_differences=int(other_class.sum()),
        flag_differences=int(differs.sum()),
        max_difference=float(difference.max(initial=0.0)),
    )


def _unit(manifest: Manifest, scores: NDArray[np.float64]) -> Any:
    """What differences are relative to: 1, or the larger of each value and their deviation."""
    if manifest.classes and manifest.score_kind in {"probability", "decision"}:
        return 1.0
    deviation = scores.std(axis=0) if len(scores) else 1.0
    return np.maximum(np.abs(scores), np.maximum(deviation, 1e-12))
