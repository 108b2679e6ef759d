"""A model of trees is made as small as its metric allows, or training says why it cannot be."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from contracts.card import ModelCard
from contracts.errors import InvalidRecipe
from tests import tiny
from tests.conftest import Workplace
from training.compression_rule import Compression
from training.fitting import fit
from training.pipeline import estimators_within
from training.recipe import Recipe
from training.run import train_recipe


def forest() -> Any:
    return make_pipeline(RandomForestClassifier(20))


def recipe_with(compression: Compression, estimator: Any = forest) -> Recipe:
    return replace(tiny.binary("tiny", estimator), compression=compression)


def leaves(pipeline: Any) -> list[int]:
    return [e.tree_.n_leaves for e in estimators_within(pipeline) if hasattr(e, "tree_")]


def test_the_smallest_model_that_loses_little_is_served(workplace: Workplace) -> None:
    recipe = recipe_with(Compression(max_leaf_nodes=(32, 4, 16), max_loss=0.05))
    trained = train_recipe(recipe, workplace.store)
    artifacts = next(workplace.root.glob(f"mlruns/*/{trained.run_id}/artifacts"))
    report = json.loads((artifacts / "compression.json").read_text())

    sizes = [each["size_bytes"] for each in report["candidates"]]
    assert [each["max_leaf_nodes"] for each in report["candidates"]] == [4, 16, 32]
    assert sizes == sorted(sizes)
    assert report["full"]["size_bytes"] > sizes[-1]
    n_train = ModelCard.read((artifacts / "card" / "card.json").read_bytes()).data.n_train
    assert report["n_rows"] == math.ceil(n_train / 4)
    allowed = [
        each
        for each in report["candidates"]
        if report["full"]["value"] - each["value"] <= report["max_loss"]
    ]
    assert report["chosen"] == min(allowed, key=lambda each: each["size_bytes"])
    assert any(note.startswith("compression: at most") for note in trained.notes)


def test_every_tree_has_at_most_the_leaves_that_were_chosen() -> None:
    fitted = fit(recipe_with(Compression(max_leaf_nodes=(8,), max_loss=1.0)))

    assert fitted.compression is not None
    assert fitted.compression.chosen.max_leaf_nodes == 8
    assert len(leaves(fitted.pipeline)) == 20
    assert max(leaves(fitted.pipeline)) <= 8
    assert max(leaves(fit(tiny.binary("tiny", forest)).pipeline)) > 8


@pytest.mark.parametrize(
    ("compression", "estimator", "expected"),
    [
        (
            Compression(max_leaf_nodes=(2,), max_loss=0.0),
            lambda: RandomForestClassifier(1, max_features=1, random_state=3),
            r"at most 0 worse than .* got .* with 2",
        ),
        (Compression(), LogisticRegression, "an estimator of trees with the parameter"),
    ],
    ids=["too small", "no trees"],
)
def test_what_cannot_be_made_smaller_is_refused(
    compression: Compression, estimator: Any, expected: str
) -> None:
    with pytest.raises(InvalidRecipe, match=expected):
        fit(recipe_with(compression, estimator))


@pytest.mark.parametrize(
    "compression",
    [Compression(max_leaf_nodes=()), Compression(max_leaf_nodes=(1,)), Compression(max_loss=-1)],
    ids=["no leaves", "one leaf", "a gain"],
)
def test_a_rule_without_sense_is_refused(compression: Compression) -> None:
    with pytest.raises(InvalidRecipe, match="compression: expected"):
        recipe_with(compression).check()
