"""Files are scored by a fitted pipeline with own code, in processes that it may take down."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from registry.promote import promote
from registry.pull import pull_all
from tests import tiny
from tests.conftest import working_in
from tests.own_code import DIES, FAILS, HANGS, LEAKS, SLOW, TRAPS, own_code
from tests.services.batch.scoring import predictions, rejected, score
from training.dataset import split
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.run import train_recipe

pytestmark = pytest.mark.slow
NAME = "trapped"


def with_own_code() -> Any:
    from training.features.trap import trap  # type: ignore[import-not-found]  # see own_code

    return make_pipeline(FunctionTransformer(trap), tiny.linear())


def untrapped() -> Any:
    table = tiny.people(900)
    return table[~table.age.isin([FAILS, DIES, HANGS, LEAKS, SLOW])].reset_index(drop=True)


@pytest.fixture(scope="module")
def trapped(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """A `var/` with the model, and its fitted pipeline."""
    root = tmp_path_factory.mktemp("trapped")
    shutil.copy(models.parent / "mlflow.db", root / "mlflow.db")
    recipe: Recipe = tiny.binary(NAME, with_own_code, load=untrapped)
    with own_code(root / "code", trap=TRAPS):
        with working_in(root) as workplace:
            trained = train_recipe(recipe, workplace.store)
            promote(workplace.store, NAME, actor="ada")
            pull_all(workplace.store, workplace.layout)
            assert trained.runtime == "sklearn"
        rows = split(recipe, untrapped(), 0)
        pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, 0)
        yield root / "var", lambda table: scores_of(pipeline, table, recipe)


def test_rows_that_end_the_process_are_rejected_and_harm_no_other(
    trapped: tuple[Path, Any], tmp_path: Path
) -> None:
    var, scores = trapped
    people = untrapped().head(400).drop(columns=["paid", "value"])
    people.assign(
        age=people.age.mask(people.index == 7, FAILS).mask(people.index == 300, DIES)
    ).to_parquet(tmp_path / "people.parquet")
    score(var, NAME, tmp_path / "people.parquet", tmp_path / "out")

    good = people.drop(index=[7, 300]).reset_index(drop=True)
    got = predictions(tmp_path / "out")
    np.testing.assert_allclose(
        np.column_stack([got["probabilities.no"], got["probabilities.yes"]]),
        scores(good),
        rtol=1e-14,
    )
    assert [row["row"] for row in rejected(tmp_path / "out")] == [7, 300]
    assert "expected another age" in rejected(tmp_path / "out")[0]["got"]
    assert "replaced" in rejected(tmp_path / "out")[1]["got"]
