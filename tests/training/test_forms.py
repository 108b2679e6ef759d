"""The form in which a model is served: the fastest that passes, and why the others did not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, RidgeClassifier
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from contracts.errors import CertificateFailed, InvalidRecipe
from contracts.manifest import Manifest, ScoreKind
from contracts.reference import Reference
from contracts.schema import Schema, category, integer, number
from monitoring.performance.estimated import ScoreHistogram, estimate_of
from monitoring.reference_sample import ReferenceSample
from services.inference.light_graph import reason_not_light
from tests import tiny
from tests.training.cases.catalog import CASES
from tests.training.cases.table import SCHEMA, table
from training.dataset import load_table, split
from training.divergence import first_divergence
from training.evaluation.checks import calibration_check
from training.evaluation.paired_predictions import PairedEvaluation
from training.evaluation.predictions import Predictions
from training.fitting import fit
from training.forms import certified_model
from training.metrics import holdout_metrics
from training.pipeline import fitted_pipeline
from training.probes import UNSEEN_CATEGORY, certified_rows
from training.recipe import Gate, Recipe


def recipe_with(schema: Schema, rows: pd.DataFrame, estimator: Any, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "task": "regression",
        "target": "y",
        "classes": (),
        "threshold": 0.5,
        "gates": (Gate("rmse", maximum=1e9),),
    }
    return tiny.binary("forms", estimator, schema=schema, load=lambda: rows, **(fields | changes))


def test_a_linear_model_is_served_in_float32_and_a_forest_behind_a_scaler_in_float64() -> None:
    forms = {}
    for name in ("logistic", "forest"):
        recipe = CASES[name].recipe(name)
        rows = split(recipe, load_table(recipe), 0)
        pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, 0)
        found = certified_model(pipeline, recipe, rows, 0, np.float32)
        forms[name] = found.certificate
        assert reason_not_light(found.model) == ""

    assert forms["logistic"].form == "float32"
    assert forms["logistic"].other_forms == {}
    assert forms["forest"].form == "float64"
    assert "rows beyond it" in forms["forest"].other_forms["float32"]


def test_integers_that_float32_merges_are_distinguished() -> None:
    """The oracle is the data: the target is 1 for every second integer."""
    start = 2**24
    rows = pd.DataFrame({"cents": start + np.arange(200), "y": np.arange(200) % 2 * 1.0})
    schema = Schema(features=(integer("cents"),))
    grown = lambda: HistGradientBoostingRegressor(  # noqa: E731 - a recipe's own idiom
        max_iter=2, learning_rate=1.0, min_samples_leaf=1, max_leaf_nodes=200
    )
    fitted = fit(recipe_with(schema, rows, grown))
    scores = fitted.pipeline.predict(fitted.data.split.train)

    assert fitted.certificate.form == "float64"
    assert "float32 merges" in fitted.certificate.other_forms["float32"]
    assert np.abs(scores - fitted.data.split.train_target).max() < 0.01


def test_probes_are_rows_that_the_schema_allows() -> None:
    schema = Schema(
        features=(
            number("a", -6, 6, policy="clip"),
            number("b", 0, 200, nullable=True),
            integer("i", 0, 23),
            category("c", ["blue", "green", "red", "yellow"], policy="flag"),
        )
    )
    recipe = CASES["hist_boosting"].recipe("probes")
    recipe = Recipe(**(vars(recipe) | {"schema": schema}))
    rows = split(recipe, load_table(recipe), 0)
    pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, 0)
    probes = certified_rows(pipeline, recipe, rows.holdout, np.random.default_rng(0))

    assert set(probes) == {"holdout", "thresholds", "edges", "missing", "categories", "jumps"}
    for kind, group in probes.items():
        assert (group.i == np.round(group.i)).all(), kind
        assert group.i.between(0, 23).all(), kind
        assert group.a.between(-6, 6).all(), kind
        assert (group.b.between(0, 200) | group.b.isna()).all(), kind
    assert set(probes["categories"].c) == {*schema.feature("c").categories, UNSEEN_CATEGORY}
    assert probes["missing"].b.isna().all()


def test_values_beyond_the_data_are_compared_relatively_or_not_at_all() -> None:
    """A Poisson regression is e^(300 a) at the end of a range that no row comes near."""
    rng = np.random.default_rng(0)
    a = rng.normal(0, 0.01, 300)
    rows = pd.DataFrame({"a": a, "y": rng.poisson(np.exp(30 * a)).astype(float)})
    schema = Schema(features=(number("a", -100, 100),))
    certificate = fit(
        recipe_with(schema, rows, lambda: PoissonRegressor(alpha=0.0001, max_iter=1000))
    ).certificate

    assert certificate.passed
    assert certificate.meaningless_rows > 0


def test_a_tolerance_of_the_recipe_decides() -> None:
    strict = tiny.binary("strict", tolerance=1e-12, runtime="onnx")
    with pytest.raises(CertificateFailed, match="within 1e-12"):
        fit(strict)
    with pytest.raises(InvalidRecipe, match=r"tolerance: expected more than 0, up to 0.01, got 2"):
        tiny.binary("lax", tolerance=2).check()


def test_an_encoder_that_refuses_what_the_schema_allows_is_named() -> None:
    recipe = CASES["one_hot_hours"].recipe("hours")
    few = Schema(features=(*SCHEMA.features[:2], integer("i", 0, 99), SCHEMA.features[3]))
    recipe = Recipe(**(vars(recipe) | {"schema": few}))
    with pytest.raises(CertificateFailed, match=r"in the step OneHotEncoder") as caught:
        fit(recipe)

    assert "OneHotEncoder(handle_unknown='ignore')" in caught.value.remedy


# Classifiers without probabilities


@pytest.mark.parametrize(
    ("estimator", "kind", "metrics"),
    [
        (CASES["linear_svc"].estimator, "margin", {"roc_auc", "accuracy", "f1"}),
        (CASES["voting_hard"].estimator, "decision", {"accuracy", "f1"}),
    ],
    ids=["LinearSVC", "hard vote"],
)
def test_a_classifier_without_probabilities_has_the_metrics_that_it_can_have(
    estimator: Any, kind: str, metrics: set[str]
) -> None:
    recipe = replace(CASES["voting_hard"], estimator=estimator).recipe("svc")
    fitted = fit(recipe)

    assert fitted.score_kind == kind
    assert set(fitted.metrics) == metrics
    assert fitted.recipe.threshold == (0.0 if kind == "margin" else 0.5)
    decided = fitted.recipe.decision_rule.class_indices(fitted.scores)
    predicted = fitted.pipeline.predict(fitted.data.split.holdout)
    assert (np.array(recipe.classes)[decided] == predicted).all()


def test_a_gate_on_probabilities_that_there_are_not_is_refused_by_name() -> None:
    recipe = tiny.binary(
        "ridge",
        lambda: make_pipeline(tiny.linear()[0], RidgeClassifier()),
        gates=(Gate("log_loss", maximum=1.0),),
    )
    with pytest.raises(InvalidRecipe, match=r"model with margins \(roc_auc, .*got log_loss"):
        fit(recipe)


def test_a_threshold_that_the_estimator_has_is_the_threshold_of_the_version() -> None:
    def estimator() -> Any:
        return FixedThresholdClassifier(tiny.linear(), threshold=0.3)

    def of_the_other_class() -> Any:
        return FixedThresholdClassifier(tiny.linear(), threshold=0.3, pos_label="no")

    def tuned() -> Any:
        scorer = make_scorer(fbeta_score, beta=2, pos_label="no")
        return TunedThresholdClassifierCV(tiny.linear(), scoring=scorer, cv=3, thresholds=20)

    learned = fit(tiny.binary("fixed", estimator, threshold=0.5))
    swapped = fit(tiny.binary("swapped", estimator, threshold=0.5, classes=("yes", "no")))
    chosen = fit(tiny.binary("chosen", estimator, threshold=0.6))
    other = fit(tiny.binary("other", of_the_other_class, threshold=0.5))
    other_tuned = fit(tiny.binary("tuned", tuned, threshold=0.5))

    assert learned.recipe.threshold == 0.3
    assert swapped.recipe.threshold == pytest.approx(0.7)
    assert chosen.recipe.threshold == 0.6
    assert other.recipe.threshold == pytest.approx(0.7)
    for fitted in (learned, swapped, other, other_tuned):
        decided = fitted.recipe.decision_rule.class_indices(fitted.scores)
        predicted = fitted.pipeline.predict(fitted.data.split.holdout)
        assert (np.array(fitted.recipe.classes)[decided] == predicted).all()


def test_a_threshold_of_margins_does_not_decide_on_probabilities() -> None:
    recipe = tiny.binary(
        "margins",
        lambda: FixedThresholdClassifier(
            tiny.linear(), threshold=0.8, response_method="decision_function"
        ),
        threshold=0.5,
    )
    with pytest.raises(InvalidRecipe, match="got one of decision_function in FixedThreshold"):
        fit(recipe)


def test_a_selection_without_columns_does_not_hide_the_step_that_differs() -> None:
    rows = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [0.0, 1.0, 2.0]})
    step = ColumnTransformer(
        [
            ("none", StandardScaler(), []),
            ("same", MinMaxScaler(), ["a"]),
            ("log", FunctionTransformer(np.sinc), ["b"]),
        ]
    ).fit(rows)

    assert first_divergence(step, rows).endswith("differs is log > FunctionTransformer")


# Errors of an estimator


class Failing(ClassifierMixin, BaseEstimator):
    """A transformer of a user, in a file of the user."""


def test_an_estimator_of_ones_own_is_refused_before_the_fit() -> None:
    recipe = tiny.binary(
        "own",
        lambda: make_pipeline(StandardScaler(), Failing()),
        load=lambda: pytest.fail("loaded"),
    )
    with pytest.raises(InvalidRecipe, match=r"expected steps of scikit-learn, got .*\.Failing"):
        fit(recipe)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (lambda: 1 / 0, r"recipe 'bad': estimator: .*ZeroDivisionError.*line \d+"),
        (
            lambda: LogisticRegression,
            "expected an unfitted estimator of scikit-learn",
        ),
        (
            lambda: LogisticRegression(C=-1),
            r"fit: .*InvalidParameterError.* in the step LogisticReg",
        ),
        (
            lambda: make_pipeline(StandardScaler(), LogisticRegression()),
            r"fit: .*NaN.* in the step LogisticRegression",
        ),
        (
            lambda: HistGradientBoostingRegressor(loss="gamma"),
            r"fit: .*ValueError.* in the step Hist",
        ),
    ],
    ids=["factory", "a class", "parameter", "missing values", "wrong kind"],
)
def test_whatever_an_estimator_raises_names_recipe_step_and_line(
    estimator: Any, reason: str
) -> None:
    with pytest.raises(InvalidRecipe, match=reason):
        fit(tiny.binary("bad", estimator))


def test_metrics_of_margins_have_intervals() -> None:
    target, margins = np.array([0, 1] * 40), np.linspace(-1, 1, 80)
    scores = np.column_stack([-margins, margins])
    found = holdout_metrics("binary", target, scores, "margin", threshold=0.0, seed=0)

    assert set(found) == {"roc_auc", "accuracy", "f1"}
    assert found["roc_auc"].low < found["roc_auc"].value < found["roc_auc"].high


@pytest.mark.parametrize("kind", ["margin", "decision"])
def test_no_page_takes_a_margin_for_a_probability(kind: ScoreKind) -> None:
    """The estimate without labels, the explanation, and the gate's check of calibration."""
    golden = Path(__file__).parents[1] / "contracts" / "golden" / "manifest.v1.json"
    manifest = msgspec.structs.replace(Manifest.read(golden.read_bytes()), score_kind=kind)
    reference = Reference.read((golden.parent / "reference.v1.json").read_bytes())
    sample = ReferenceSample(golden.parent, reference)
    estimate = estimate_of(manifest, sample, ScoreHistogram(), [])
    case = CASES["linear_svc"].recipe("svc")
    scores = np.column_stack([-np.arange(100.0), np.arange(100.0)])
    same = Predictions(scores, 0.0, kind)
    target = np.arange(100) % 2
    pair = PairedEvaluation("0" * 64, case, table(100), target, same, same)
    check = calibration_check(pair)

    assert manifest.scores_name == f"{kind}s"
    assert estimate.missing == f"the model gives {kind}s, no probabilities to estimate from"
    assert not check.judged
    assert f"got {kind} scores" in check.sentence
