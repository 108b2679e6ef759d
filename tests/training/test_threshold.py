"""The threshold is chosen on validation rows by what mistakes cost; strings learn categories."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from contracts.errors import InvalidData, InvalidRecipe
from contracts.schema import UNSEEN_CODE, Schema, number, string
from tests import tiny
from tests.conftest import Workplace
from training.fitting import fit
from training.rows import plain_rows
from training.run import train_recipe
from training.threshold import threshold_curve
from training.threshold_rule import Cost, FScore

scored = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 1e-9, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0])),
    min_size=2,
)


@given(scored, st.sampled_from([Cost(1, 20), Cost(5, 1), FScore(1.0), FScore(2.0)]))
def test_no_threshold_is_better_than_the_chosen_one(rows: list[Any], rule: Any) -> None:
    """The oracle decides each row at each of 101 thresholds; F by scikit-learn."""
    truth = np.array([int(y) for y, _ in rows])
    scores = np.array([s for _, s in rows])

    def value(threshold: float) -> float:
        decided = (scores >= threshold).astype(int)
        if isinstance(rule, FScore):
            return -float(fbeta_score(truth, decided, beta=rule.beta, zero_division=0.0))
        wrong = rule.fp * (decided > truth).sum() + rule.fn * (decided < truth).sum()
        return float(wrong) / len(truth)

    curve = threshold_curve(rule, truth, scores)
    sign = -1 if isinstance(rule, FScore) else 1

    possible = [1e-10, *np.linspace(0, 1, 101)[1:-1], 1 - 1e-10]
    assert value(curve.chosen) == pytest.approx(min(map(value, possible)))
    assert sign * curve.value == pytest.approx(value(curve.chosen))
    assert sign * curve.value_at_half == pytest.approx(value(0.5))
    assert list(curve.thresholds) == sorted(curve.thresholds)
    assert 0 < curve.chosen < 1


def test_a_dear_false_negative_lowers_the_threshold_and_the_curve_is_kept(
    workplace: Workplace,
) -> None:
    cheap = fit(tiny.binary(threshold=Cost(fp=20, fn=1))).recipe.threshold
    trained = train_recipe(tiny.binary(threshold=Cost(fp=1, fn=20)), workplace.store)
    folder = workplace.root / "got"
    folder.mkdir()
    path = workplace.store.artifacts.download(trained.run_id, "threshold.json", folder)
    curve = json.loads(path.read_text())
    directory = workplace.store.artifacts.download(trained.run_id, "model_directory", folder)
    manifest = json.loads((directory / "manifest.json").read_text())

    assert manifest["threshold"] == curve["chosen"] < 0.3
    assert cheap > 0.6
    assert (curve["by"], curve["rule"]) == ("Cost", {"fp": 1, "fn": 20})
    assert curve["value"] <= min(curve["values"]) <= curve["value_at_half"]
    assert any(note.startswith("threshold 0.") for note in trained.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": Cost(-1, 2)}, "expected costs of 0 or more"),
        ({"threshold": Cost(0, 0)}, "expected a cost above 0"),
        ({"threshold": FScore(0)}, "expected beta above 0"),
        (
            {"threshold": Cost(), "task": "regression", "classes": ()},
            "expected a number for a regression task",
        ),
    ],
)
def test_a_rule_that_means_nothing_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        tiny.binary(**changes).check()


def test_a_class_of_two_rows_is_too_few_to_choose_on() -> None:
    recipe = tiny.binary(
        threshold=FScore(), load=lambda: tiny.people(60).assign(paid=["yes"] * 2 + ["no"] * 58)
    )
    with pytest.raises(InvalidData, match="expected at least 3 learned rows of each class"):
        fit(recipe)


def test_a_string_without_any_value_cannot_be_learned() -> None:
    schema = Schema(
        features=(*tiny.SCHEMA.features, string("note", max_categories=5, nullable=True))
    )
    recipe = tiny.binary(schema=schema, load=lambda: tiny.people().assign(note=None))
    with pytest.raises(InvalidData, match="note: expected at least one value in the learned rows"):
        fit(recipe)


def test_strings_learn_their_frequent_values_and_the_rest_is_one() -> None:
    rng = np.random.default_rng(0)
    cities = rng.choice(["Rome", "Oslo", "Bonn", *[f"v{i}" for i in range(60)]], 400)
    cities[:300] = rng.choice(["Rome", "Oslo", "Bonn"], 300)
    table = pd.DataFrame({"city": cities, "age": rng.normal(size=400)})
    table["paid"] = np.where(table.city == "Rome", "yes", rng.choice(["yes", "no"], 400))
    schema = Schema(features=(number("age"), string("city", 3, nullable=True)))
    recipe = tiny.binary(
        schema=schema,
        load=lambda: table,
        estimator=lambda: make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
                remainder="passthrough",
            ),
            LogisticRegression(),
        ),
    )
    recipe.check()
    fitted = fit(recipe)
    learned = fitted.recipe.schema
    feature = learned.feature("city")
    rows = plain_rows(fitted.data.split.holdout, learned)

    assert feature.categories == ("Bonn", "Oslo", "Rome")
    assert feature.expected == "text or null"
    assert all(learned.violations(row) == [] for row in rows)
    assert learned.matrix([{"age": 1, "city": "elsewhere"}])[0, 1] == UNSEEN_CODE
    assert fitted.certificate.passed
    assert fitted.certificate.rows["categories"] >= 16
