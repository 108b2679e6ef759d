"""Features that know the answer: one that alone predicts the target almost perfectly."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from metrics.classification import macro_f1
from training.metrics import Target
from training.notes import add_note
from training.recipe import Recipe

LEAK_SCORE = 0.995
"""From this AUC or macro F1 of one feature on held-out rows, it is named."""
LEAK_R2 = 0.99
"""From this R2 it is named: a tree of steps does not reach 1 on smooth targets."""
MAX_LEARNED_ROWS = 2_000
MAX_FEATURES = 300
"""Features that are tried, in the order of the schema."""
MAX_LEAVES = 256
MIN_LEAF_ROWS = 3


def note_leaks(
    recipe: Recipe,
    features: pd.DataFrame,
    target: Target,
    train: NDArray[np.int64],
    holdout: NDArray[np.int64],
) -> None:
    """Note every feature that alone predicts the first target of the held-out rows.

    `features` are as `features_of` returns them, `target` as `encoded_targets` does.
    """
    wanted = target if target.ndim == 1 else target[:, 0]
    learned, held_out = train[:MAX_LEARNED_ROWS], holdout[:MAX_LEARNED_ROWS]
    if len(np.unique(wanted[held_out])) < 2:  # noqa: PLR2004 - nothing to tell apart
        return
    for name in features.columns[:MAX_FEATURES]:
        score = single_feature_score(
            features[name].iloc[learned],
            wanted[learned],
            features[name].iloc[held_out],
            wanted[held_out],
            is_classifier=recipe.is_classifier,
        )
        if score >= (LEAK_SCORE if recipe.is_classifier else LEAK_R2):
            add_note(
                f"{name}: alone predicts {recipe.targets[0]!r} almost perfectly (score "
                f"{score:.4f} of 1 on held-out rows); is it known when a prediction is made, or "
                "does it follow from the target?"
            )


def single_feature_score(
    learned: pd.Series,
    target: Target,
    held_out: pd.Series,
    truth: Target,
    *,
    is_classifier: bool,
) -> float:
    """How well a tree on one feature predicts held-out rows: R2, AUC, or macro F1 (1 is perfect).

    `target` and `truth` are values, or class indices.
    """
    if isinstance(learned.dtype, pd.StringDtype):
        learned, held_out = _target_encoded(learned, target, held_out)
    columns = (
        np.nan_to_num(each.to_numpy(dtype=np.float32), nan=-3e38).reshape(-1, 1)
        for each in (learned, held_out)
    )
    train, test = columns
    kind = DecisionTreeClassifier if is_classifier else DecisionTreeRegressor
    tree = kind(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=MIN_LEAF_ROWS, random_state=0)
    tree.fit(train, target)
    if not is_classifier:
        return float(r2_score(truth, tree.predict(test)))
    if set(np.unique(truth)) == {0, 1} and len(tree.classes_) == 2:  # noqa: PLR2004 - binary
        return float(roc_auc_score(truth, tree.predict_proba(test)[:, 1]))
    return float(macro_f1(truth, tree.predict(test)).value)


def _target_encoded(
    learned: pd.Series, target: Target, held_out: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Categories as the mean target of their learned rows; one that was not learned is NaN."""
    means = pd.Series(target, index=learned.index, dtype=float).groupby(learned).mean()
    return learned.map(means).astype(float), held_out.map(means).astype(float)
