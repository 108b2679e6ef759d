"""The rows on which a model is certified: held-out rows, and rows that are hard for exports.

Every row is one that the schema allows: an integer is never probed with 0.3, and a category only
with its categories, missing, and unseen where its policy accepts that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from contracts.schema import FLOAT32_MAX, Feature
from training.frameworks.catalog import framework_of
from training.pipeline import estimators_within, scores_of, thresholds_of
from training.recipe import Recipe
from training.rows import features_of
from training.timestamp_probes import timestamp_probes

MAX_HOLDOUT_ROWS = 5_000
MAX_ADVERSARIAL_ROWS = 3_000
"""Rows per kind of adversarial row."""
UNSEEN_CATEGORY = "never seen"
JUMPS = 200
"""Pairs of rows at jumps of the scores."""
MAX_HALVINGS = 30
"""Enough for any two values of one sign: float32 has 24 bits, and most of 8 are equal."""
INEXACT = 0.1 + 0.2
"""A number that float32 rounds."""


def certified_rows(
    pipeline: Pipeline, recipe: Recipe, holdout: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Held-out rows and adversarial ones, by kind; kinds without rows are left out.

    Adversarial rows are held-out rows with one value replaced by one on which exported models
    have been seen to differ: a tree's threshold, an end of the range, a missing value, a
    category; and the values between which the scores jump. A pipeline that is served itself has
    no jumps that could differ.
    """
    base = holdout.iloc[:MAX_HOLDOUT_ROWS]
    groups = {"holdout": base} | adversarial_rows(pipeline, recipe, base, rng)
    is_exported = recipe.runtime != "sklearn"
    if is_exported and any(map(_has_steps, estimators_within(pipeline.named_steps["model"]))):
        groups["jumps"] = rows_at_jumps(pipeline, recipe, base, rng)
    return {name: group for name, group in groups.items() if len(group)}


def adversarial_rows(
    pipeline: Pipeline, recipe: Recipe, base: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Rows of `base` with one value replaced, at most `MAX_ADVERSARIAL_ROWS` per kind."""
    features, inputs = recipe.schema.features, recipe.schema.inputs
    found = {inputs[i]: each for i, each in thresholds_of(pipeline).items() if i < len(inputs)}
    thresholds = {
        feature.name: _valid(feature, _around(feature, values))
        for feature, values in found.items()
        if feature in features and feature.type in {"float", "int"}
    }
    by_input = {feature.name: values for feature, values in found.items()}
    times = {
        f.name: timestamp_probes(f, base[f.name], by_input, rng) for f in features if f.is_timestamp
    }
    values_by_kind: dict[str, dict[str, list[Any]]] = {
        "thresholds": thresholds,
        "edges": {
            f.name: _valid(f, _edges(f, base[f.name]))
            for f in features
            if not f.is_category and not f.is_timestamp
        },
        "timestamps": times,
        "missing": {f.name: [np.nan] * 8 for f in features if f.nullable},
        "categories": {f.name: _categories(f) for f in features if f.is_category},
    }
    return {
        kind: features_of(
            _sampled([_with_values(base, n, v, rng) for n, v in by_feature.items()], base, rng),
            recipe.schema,
        )
        for kind, by_feature in values_by_kind.items()
    }


def _has_steps(part: Any) -> bool:
    """Whether a fitted estimator compares numbers with thresholds of its own."""
    names = ("tree_", "_predictors", "bin_edges_", "threshold")
    return any(hasattr(part, name) for name in names) or framework_of(part) is not None


def rows_at_jumps(
    pipeline: Pipeline, recipe: Recipe, base: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Pairs of rows that differ by one float32 step of one number, where the scores jump.

    A number of a random row is moved between two values of the data; the half in which the
    scores change more is halved again, until no float32 lies between. This finds the thresholds
    behind any steps, where a scaler's rounding decides about the side.
    """
    columns = recipe.schema.inputs
    # Parts of a timestamp depend on each other; all their values are probed elsewhere.
    own = set(recipe.schema.names)
    numeric = [i for i, f in enumerate(columns) if f.type in {"float", "int"} and f.name in own]
    # A pipeline that is served itself is not converted, so no step of it can move.
    is_converted = recipe.runtime != "sklearn"
    n_jumps = JUMPS if numeric and is_converted else 0
    chosen = base.iloc[rng.integers(0, len(base), n_jumps)].reset_index(drop=True)
    if not n_jumps:
        return chosen
    places = rng.choice(numeric, JUMPS)
    encode, model = pipeline.named_steps["encode"], pipeline.named_steps["model"]
    matrix = encode.transform(chosen)
    values_of = encode.transform(base).to_numpy(dtype=np.float64)
    drawn = [values_of[rng.integers(0, len(base), JUMPS), places] for _ in range(2)]
    known = np.isfinite(drawn).all(axis=0)
    ends = np.where(known, drawn, 0.0)
    whole = np.array([columns[place].type == "int" for place in places])

    def scored(values: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = matrix.to_numpy(copy=True)
        moved[np.arange(JUMPS), places] = values
        return scores_of(model, pd.DataFrame(moved, columns=matrix.columns), recipe)

    low, high = _nearest_to_jumps(scored, ends.min(axis=0), ends.max(axis=0), whole)
    names = [columns[place].name for place in places]
    pairs = [_replaced(chosen, names, values)[known] for values in (low, high)]
    return pd.concat(pairs, ignore_index=True)


def _nearest_to_jumps(
    scored: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    whole: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the last intervals that can be halved; those of `whole` numbers are integers."""
    at_low, at_high = scored(low), scored(high)
    for _ in range(MAX_HALVINGS):
        middle = ((low + high) / 2).astype(np.float32).astype(np.float64)
        middle = np.where(whole, np.floor(middle), middle)
        is_open = (middle > low) & (middle < high)
        if not is_open.any():
            break
        at_middle = scored(np.where(is_open, middle, low))
        below = np.abs(at_middle - at_low).max(axis=1)
        above = np.abs(at_high - at_middle).max(axis=1)
        take_low = is_open & (below >= above)
        take_high = is_open & ~take_low
        high, at_high = np.where(take_low, middle, high), _rows(take_low, at_middle, at_high)
        low, at_low = np.where(take_high, middle, low), _rows(take_high, at_middle, at_low)
    return low, high


def _rows(
    mask: NDArray[np.bool_], yes: NDArray[np.float64], no: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.where(mask[:, None], yes, no)


def _replaced(rows: pd.DataFrame, names: list[str], values: NDArray[np.float64]) -> pd.DataFrame:
    """The rows with one number of each replaced."""
    changed = rows.copy()
    for name in set(names):
        mask = np.array([each == name for each in names])
        column = changed[name].to_numpy(dtype=np.float64, copy=True)
        column[mask] = values[mask]
        changed[name] = pd.Series(column, index=changed.index).astype(rows[name].dtype)
    return changed


def _around(feature: Feature, thresholds: NDArray[np.float64]) -> list[float]:
    """Each threshold, and one float32 step to each side; of an integer, the nearest integers.

    A threshold that is no float32 is probed as it is, too, with one float64 step above it.
    """
    if feature.type == "int":
        whole = np.floor(thresholds)
        return [*map(float, whole), *map(float, whole + 1.0)]
    exact = thresholds.astype(np.float32)
    with np.errstate(over="ignore"):
        # A threshold may be the end of float32; what lies beyond is no valid row.
        steps = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    inexact = thresholds[exact.astype(np.float64) != thresholds]
    return [
        float(v) for v in np.concatenate([exact, *steps, inexact, np.nextafter(inexact, np.inf)])
    ]


def _edges(feature: Feature, seen: pd.Series) -> list[float]:
    """The ends of the range, or of the values seen if the schema has no end; and 0.1 + 0.2."""
    if feature.type == "bool":
        return [0.0, 1.0]
    low = float(seen.min()) if feature.minimum is None else feature.minimum
    high = float(seen.max()) if feature.maximum is None else feature.maximum
    if feature.type == "int":
        return [float(v) for v in (low, high, low + 1, high - 1) for _ in range(4)]
    ends = [low, high, np.nextafter(np.float32(low), np.inf), np.nextafter(np.float32(high), 0)]
    return [float(v) for v in ends for _ in range(4)] + [INEXACT]


def _valid(feature: Feature, values: list[float]) -> list[float]:
    """The values that a request may bring, as the model gets them."""
    if feature.type == "bool":
        return values
    low, high = feature.low, feature.high
    if feature.policy == "flag":
        low, high = -FLOAT32_MAX, FLOAT32_MAX
    return [v for v in values if low <= v <= high]


def _categories(feature: Feature) -> list[str]:
    """Every category four times, and one that was never seen if the schema allows it."""
    unseen = [] if feature.policy == "reject" else [UNSEEN_CATEGORY]
    return [*feature.categories, *unseen] * 4


def _with_values(
    base: pd.DataFrame, feature: str, values: list[Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Random rows of `base`, one for each value, with that value put in."""
    chosen = base.iloc[rng.integers(0, len(base), len(values))].copy()
    chosen[feature] = pd.Series(values, index=chosen.index, dtype=base[feature].dtype)
    return chosen


def _sampled(
    parts: list[pd.DataFrame], base: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    if not parts:
        return base.iloc[:0]
    rows = pd.concat(parts, ignore_index=True)
    if len(rows) <= MAX_ADVERSARIAL_ROWS:
        return rows
    return rows.iloc[rng.choice(len(rows), MAX_ADVERSARIAL_ROWS, replace=False)]
