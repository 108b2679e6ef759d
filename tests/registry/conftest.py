"""Registries with versions in them: trained once, then copied for each test."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.names import Layout
from registry.promote import promote
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from tests.conftest import Workplace, working_in
from training.run import train_recipe

PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow keeps absolute paths of artifacts."""

Plant = Callable[[str], Workplace]


@pytest.fixture(scope="session")
def templates(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` has tiny 1; `three` has tiny 1 to 3; `both` has tiny 1 and other 1."""
    root = tmp_path_factory.mktemp("templates")
    (root / "one").mkdir()
    shutil.copy(fresh_database, root / "one" / "mlflow.db")
    _train(root / "one", ["tiny"])
    for name, more in (("three", ["tiny", "tiny"]), ("both", ["other"])):
        _moved_copy(root / "one", root / name)
        _train(root / name, more)
    return root


def _train(folder: Path, names: list[str]) -> None:
    with working_in(folder) as workplace:
        for name in names:
            train_recipe(tiny.binary(name), workplace.store)


def _moved_copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    with sqlite3.connect(target / "mlflow.db") as database:
        for table, column in PATHS.items():
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608 - our words
                (f"{source}/", f"{target}/"),
            )
    database.close()


@pytest.fixture
def plant(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Makes a copy of a template the current folder, as `workplace` is."""

    def planted(name: str) -> Workplace:
        _moved_copy(templates / name, tmp_path)
        monkeypatch.chdir(tmp_path)
        return Workplace(tmp_path, Store.open(RegistrySettings()), Layout(tmp_path / "var"))

    return planted


@pytest.fixture
def trained(plant: Plant) -> Workplace:
    """Three versions of tiny, none of them in production."""
    return plant("three")


@pytest.fixture
def promoted(plant: Plant) -> Workplace:
    """One version of tiny, in production."""
    workplace = plant("one")
    promote(workplace.store, "tiny", 1, actor="ada", because="first")
    return workplace


@pytest.fixture
def both(plant: Plant) -> Workplace:
    """One version of tiny and one of other, both in production."""
    workplace = plant("both")
    for name in ("tiny", "other"):
        promote(workplace.store, name, 1, actor="ada")
    return workplace


@pytest.fixture(autouse=True)
def empty_bento_store() -> Iterator[None]:
    """Copies of one version share its digest, and so its tag in BentoML's model store."""
    yield
    shutil.rmtree(Path(os.environ["BENTOML_HOME"]) / "models", ignore_errors=True)
    (Path(os.environ["BENTOML_HOME"]) / "models").mkdir()
