"""A version's predictions for its held-out rows, as if they had been traffic with labels."""

from collections.abc import Sequence

import numpy as np

from contracts.decision_rule import POSITIVE
from contracts.manifest import Manifest
from monitoring.labels.join import LabelledPredictions
from monitoring.labels.segment_index import segment_index
from monitoring.reference_sample import ReferenceSample
from monitoring.traffic.decode import class_index_or_value


def held_out_predictions(
    sample: ReferenceSample, manifest: Manifest, features: Sequence[str] = ()
) -> LabelledPredictions | None:
    """The held-out rows of a version; None for versions of old, whose rows have no label.

    `features` are the segment features that are kept. Of a model with more than two classes the
    score of the true class is not known.

    Raises:
        InvalidDocument: the held-out rows cannot be read.

    """
    rows = sample.rows
    if not {"score", "label"} <= set(rows.columns):
        return None
    targets = class_index_or_value(rows["label"], manifest.classes)
    scores = rows["score"].to_numpy().astype(np.float64)
    true_class_scores = np.full(len(rows), np.nan)
    if manifest.task == "binary":
        true_class_scores = np.where(targets == POSITIVE, scores, 1 - scores)
    return LabelledPredictions(
        targets=targets,
        predictions=class_index_or_value(rows["prediction"], manifest.classes),
        scores=scores,
        true_class_scores=true_class_scores,
        group_index=np.zeros(len(rows), dtype=np.int16),
        groups=[(0, "")],
        segment_index={name: segment_index(rows[name], manifest, name) for name in features},
    )
