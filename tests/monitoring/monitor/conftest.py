"""A version of `tiny` that is served, with one segment feature."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.reporting import evidently
from registry.promote import promote
from registry.pull import pull
from tests import tiny
from tests.conftest import Workplace, working_in
from training.run import train_recipe


@pytest.fixture(scope="package")
def trained(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Trained once for all tests here: it takes seconds. What tests write is cleared."""
    root = tmp_path_factory.mktemp("served")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as workplace:
        train_recipe(tiny.binary(segment_features=("work",)), workplace.store)
        promote(workplace.store, "tiny", actor="ada")
        pull(workplace.store, workplace.layout, "tiny")
        yield workplace


@pytest.fixture
def served(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    monkeypatch.chdir(trained.root)
    yield trained
    for name in ("traffic", "verdicts", "reports", "labels", "metrics", "alerts", "seasons"):
        folder = trained.layout.var / name
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.unlink(missing_ok=True)


@pytest.fixture
def without_evidently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidently takes seconds to draw; its page is not what the test is about."""
    monkeypatch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
