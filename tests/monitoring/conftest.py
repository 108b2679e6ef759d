"""A registry with three unlike versions of one model, trained once for whoever asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from contracts.schema import Schema, number
from registry.promote import promote
from registry.pull import pull
from tests import tiny
from tests.conftest import Workplace, working_in
from training.run import train_recipe

NARROW = Schema(
    features=tuple(
        number("age", 18, 60, unit="years") if f.name == "age" else f
        for f in tiny.SCHEMA.features
        if f.name != "lines"
    )
)
"""Version 3: nobody above 60, and no lines."""


def shrunk() -> Any:
    return make_pipeline(tiny.linear()[0], LogisticRegression(C=0.002, max_iter=500))


def narrow() -> Any:
    pipeline = tiny.linear()
    name, transformer, _ = pipeline[0].transformers[0]
    numbers = [n for n in tiny.NUMBERS if n != "lines"]
    pipeline[0].transformers[0] = (name, transformer, numbers)
    return pipeline


@pytest.fixture(scope="session")
def place(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Three unlike versions of tiny; the first is served."""
    root = tmp_path_factory.mktemp("replayed")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as found:
        young = tiny.people().query("age <= 60").drop(columns="lines")
        train_recipe(tiny.binary(segment_features=("region", "work")), found.store)
        promote(found.store, "tiny", actor="ada")
        pull(found.store, found.layout, "tiny")
        train_recipe(tiny.binary(estimator=shrunk), found.store)
        train_recipe(tiny.binary(estimator=narrow, schema=NARROW, load=lambda: young), found.store)
        yield found
