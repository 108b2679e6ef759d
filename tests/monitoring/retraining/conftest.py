"""A place where `tiny` is in production and served, copied for each test that retrains it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.promote import promote
from registry.pull import pull
from tests.conftest import Workplace, working_in
from tests.monitoring.retraining.scenario import RECIPE
from training.run import train_recipe


@pytest.fixture(scope="session")
def promoted(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where `tiny` is in production and served; copied for each test."""
    root = tmp_path_factory.mktemp("promoted")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as place:
        train_recipe(RECIPE, place.store)
        promote(place.store, "tiny", actor="ada")
        pull(place.store, place.layout, "tiny")
    return root


@pytest.fixture
def served(promoted: Path, tmp_path: Path) -> Iterator[Workplace]:
    root = tmp_path / "copy"
    shutil.copytree(promoted, root)
    with working_in(root) as place:
        yield place
