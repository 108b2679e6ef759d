"""How small a forest can be made before it loses half a point of accuracy.

    python -m benchmarks.forest_size [--csv adult.csv --target salary-class]

A forest of 100 unlimited trees is compared with forests of fewer trees and leaves, on the recipe
`loan` and on a table of your own. The size is that of the graph after gzip. A candidate is
acceptable if it is at least five times smaller and loses at most half a point of accuracy on
held-out rows; if none is, the last line says which bound was missed.
"""

import argparse
import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from training.recipe import load_recipe

MIN_RATIO = 5.0
MAX_LOST_POINTS = 0.5
MAX_ROWS = 10_000
CANDIDATES: tuple[dict[str, Any], ...] = (
    {"n_estimators": 50},
    {"n_estimators": 100, "max_leaf_nodes": 512},
    {"n_estimators": 100, "max_leaf_nodes": 128},
    {"n_estimators": 50, "max_leaf_nodes": 128},
    {"n_estimators": 25, "max_leaf_nodes": 64},
)


@dataclass(frozen=True)
class Forest:
    """A fitted forest: its parameters, accuracy on held-out rows, and bytes after gzip."""

    parameters: dict[str, Any]
    accuracy: float
    gzip_bytes: int


def tables(csv: Path | None, target: str) -> Iterator[tuple[str, pd.DataFrame, pd.Series]]:
    """Name, numeric features and target of each table."""
    recipe = load_recipe("loan")
    loans = recipe.load()
    yield "loan", _numeric(loans[list(recipe.schema.names)]), loans[recipe.targets[0]].astype(str)
    if csv is not None:
        rows = pd.read_csv(csv, sep=None, engine="python")
        yield csv.stem, _numeric(rows.drop(columns=target)), rows[target].astype(str)


def _numeric(rows: pd.DataFrame) -> pd.DataFrame:
    """Text as codes, as the encoder of a recipe has it; a missing number as -1."""
    coded = {
        name: column
        if pd.api.types.is_numeric_dtype(column)
        else column.astype("category").cat.codes
        for name, column in rows.items()
    }
    return pd.DataFrame(coded).astype("float32").fillna(-1.0)


def fitted(parameters: dict[str, Any], parts: list[Any]) -> Forest:
    """A forest with these parameters."""
    train, test, train_target, test_target = parts
    forest = RandomForestClassifier(random_state=0, **parameters).fit(
        train.to_numpy(), train_target
    )
    graph = to_onnx(
        forest,
        initial_types=[("features", FloatTensorType([None, train.shape[1]]))],
        options={id(forest): {"zipmap": False}},
    )
    size = len(gzip.compress(graph.SerializeToString(), 6))
    return Forest(parameters, forest.score(test.to_numpy(), test_target), size)


def main() -> None:
    """Print a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--target", default="salary-class")
    options = parser.parse_args()
    for name, rows, target in tables(options.csv, options.target):
        parts = train_test_split(rows[:MAX_ROWS], target[:MAX_ROWS], random_state=0)
        full = fitted({"n_estimators": 100}, parts)
        sys.stdout.write(f"{name}: 100 unlimited trees {full.gzip_bytes / 1000:.0f} KB gzip\n")
        found = False
        for parameters in CANDIDATES:
            each = fitted(parameters, parts)
            ratio = full.gzip_bytes / each.gzip_bytes
            lost = 100 * (full.accuracy - each.accuracy)
            accepted = ratio >= MIN_RATIO and lost <= MAX_LOST_POINTS
            found |= accepted
            sys.stdout.write(
                f"  {parameters}: {each.gzip_bytes / 1000:.0f} KB, {ratio:.1f} times smaller, "
                f"{lost:+.2f} points lost{', accepted' if accepted else ''}\n"
            )
        if not found:
            sys.stdout.write(f"  none is {MIN_RATIO:g} times smaller within {MAX_LOST_POINTS}\n")


if __name__ == "__main__":
    main()
