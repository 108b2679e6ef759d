"""What a framework's door must get right, and what happens where the framework is missing."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline

import training.recipes
from contracts.errors import CertificateFailed, InvalidRecipe
from contracts.extras import EXTRAS
from contracts.names import MODEL_INPUT, MODEL_OUTPUT
from slipway.app import run_command_line
from tests import tiny
from tests.conftest import Workplace
from tests.frameworks import needs
from training import recipe as recipes
from training.features.native_categories import NativeCategories
from training.fitting import fit
from training.frameworks import catboost, lightgbm, xgboost
from training.frameworks.class_numbers import without_numbers
from training.onnx_session import onnx_scores
from training.recipe import load_recipe
from training.translation.graph import Graph
from training.translation.translator import Translations
from training.translation.tree_nodes import TreeNodes

RECIPE = "from {package} import anything\nfrom tests import tiny\nrecipe = tiny.multiclass()\n"


@pytest.fixture
def without_frameworks(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes, and no framework that could be imported."""
    folder = workplace.root / "recipes"
    folder.mkdir()
    monkeypatch.setattr(recipes, "RECIPES_FOLDER", folder)
    monkeypatch.setattr(training.recipes, "__path__", [str(folder)])
    found = importlib.util.find_spec

    def find_spec(name: str, *where: Any) -> Any:
        return None if name in EXTRAS else found(name, *where)

    monkeypatch.setattr("contracts.extras.find_spec", find_spec)
    for package in EXTRAS:
        monkeypatch.setitem(__import__("sys").modules, package, None)
    return folder


@pytest.mark.parametrize("package", EXTRAS)
def test_a_missing_framework_is_named_with_the_commands_that_install_it(
    without_frameworks: Path, package: str
) -> None:
    (without_frameworks / f"by_{package}.py").write_text(RECIPE.format(package=package))
    with pytest.raises(InvalidRecipe) as caught:
        load_recipe(f"by_{package}")

    assert f"expected {EXTRAS[package].name} to be installed" in caught.value.what
    assert f'make setup EXTRAS="{package}"' in caught.value.remedy
    assert f"pip install .[{package}]" in caught.value.remedy


def test_all_recipes_are_those_whose_framework_is_there(
    without_frameworks: Path, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    (without_frameworks / "by_xgboost.py").write_text(RECIPE.format(package="xgboost"))
    (without_frameworks / "plain_a.py").write_text(
        "from tests import tiny\nrecipe = tiny.multiclass()\n"
    )

    assert run_command_line(["train", "--all"]) == 0
    assert "by_xgboost: skipped; it needs XGBoost" in capsys.readouterr().err
    assert {each.name for each in workplace.store.models.all()} == {"plain_a"}


def test_categories_become_positions_that_are_missing_where_they_were_not_seen() -> None:
    rows = pd.DataFrame({"a": [0.5, 1.5, 2.5], "c": [4.0, 1.0, -1.0]})
    later = pd.DataFrame({"a": [0.0] * 5, "c": [4.0, 1.0, 2.0, -1.0, -2.0]})
    for_trees = NativeCategories(["c"]).fit(rows).transform(later)
    for_catboost = NativeCategories(["c"], dtype="int").fit(rows).transform(later)

    assert for_trees.c.cat.codes.tolist() == [1, 0, -1, -1, -1]
    assert for_catboost.c.tolist() == [1, 0, -2, -1, -2]
    words = NativeCategories(["c"]).fit(rows.assign(c=["x", "y", None]))
    assert words.transform(later.assign(c=["y", "z", None, "x", "y"])).c.cat.codes.tolist() == [
        1,
        -1,
        -1,
        0,
        1,
    ]


def one_step_off(grow: Callable[..., int]) -> Callable[..., int]:
    """A wrong translation: each threshold is one float32 too high."""

    def moved(nodes: Any, feature: int, threshold: float, **how: Any) -> int:
        above = np.nextafter(np.float32(threshold), np.float32(np.inf))
        return grow(nodes, feature, float(above), **how)

    return moved


def xgboost_model() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1)


def lightgbm_model() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=10, num_leaves=7, n_jobs=1, verbose=-1)


@pytest.mark.parametrize(
    ("estimator", "split"),
    [
        pytest.param(xgboost_model, "split_below", marks=needs("xgboost"), id="xgboost"),
        pytest.param(lightgbm_model, "split", marks=needs("lightgbm"), id="lightgbm"),
    ],
)
def test_the_certificate_sees_a_threshold_that_is_one_float_off(
    monkeypatch: pytest.MonkeyPatch, estimator: Callable[[], Any], split: str
) -> None:
    recipe = tiny.binary("off", estimator, runtime="onnx")
    assert fit(recipe).certificate.rows["thresholds"] > 0
    monkeypatch.setattr(TreeNodes, split, one_step_off(getattr(TreeNodes, split)))
    with pytest.raises(CertificateFailed, match="worst row"):
        fit(recipe)


@needs("xgboost")
def test_class_names_reach_xgboost_as_numbers_in_any_order_of_the_recipe() -> None:
    """Class names go in and come out, though XGBoost itself learns numbers only."""
    usual = fit(tiny.binary("usual", xgboost_model))
    swapped = fit(tiny.binary("swapped", xgboost_model, classes=("yes", "no")))

    assert list(usual.pipeline.classes_) == ["no", "yes"]
    np.testing.assert_array_equal(usual.scores, swapped.scores[:, ::-1])


@needs("xgboost")
@pytest.mark.parametrize("classes", [("no", "yes"), ("yes", "no")])
def test_a_threshold_around_xgboost_is_that_of_the_class_that_it_names(
    classes: tuple[str, str],
) -> None:
    def tuned() -> Any:
        # Within, "no" is 0 and "yes" is 1.
        return FixedThresholdClassifier(xgboost_model(), threshold=0.3, pos_label=1)

    fitted = fit(tiny.binary("tuned", tuned, classes=classes, threshold=0.5))
    inner = without_numbers(fitted.pipeline.named_steps["model"])
    rows = fitted.pipeline.named_steps["encode"].transform(fitted.data.split.holdout)
    decided = fitted.recipe.decision_rule.class_indices(fitted.scores)

    assert [classes[i] for i in decided] == [("no", "yes")[i] for i in inner.predict(rows)]


@pytest.mark.parametrize(
    ("door", "name"),
    [
        pytest.param(xgboost, "XGBClassifier", marks=needs("xgboost")),
        pytest.param(lightgbm, "LGBMClassifier", marks=needs("lightgbm")),
        pytest.param(catboost, "CatBoostClassifier", marks=needs("catboost")),
    ],
)
def test_a_door_names_what_it_accepts(door: Any, name: str) -> None:
    found: Translations = door.FRAMEWORK.translations()

    assert name in {kind.__name__ for kind in found.probabilities}


def test_a_set_without_members_is_a_graph_that_runs() -> None:
    """No value is in it; ONNX Runtime refuses a set of infinity."""
    graph, nodes = Graph(MODEL_INPUT), TreeNodes()
    first = nodes.member_of(0, [])
    nodes.true[first], nodes.false[first] = nodes.leaf(0, 1.0), nodes.leaf(0, 2.0)
    nodes.roots.append(first)
    model = graph.model(nodes.value(graph.input, 1), MODEL_OUTPUT, 1, 1)

    assert onnx_scores(model, np.array([[0.0], [-1.0], [np.nan]])).tolist() == [[2.0]] * 3


@needs("catboost")
def test_catboost_leaves_no_files_and_prints_nothing(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    from catboost import CatBoostClassifier

    def quiet() -> Any:
        return CatBoostClassifier(iterations=3)

    before = set(workplace.root.iterdir())
    fit(tiny.binary("quiet", quiet, runtime="onnx"))
    assert set(workplace.root.iterdir()) == before
    assert capfd.readouterr().out == ""


@needs("lightgbm")
def test_an_objective_of_ones_own_names_step_and_reason() -> None:
    from lightgbm import LGBMRegressor

    def squared(truth: Any, predicted: Any) -> Any:
        return predicted - truth, np.ones_like(truth)

    def own() -> Any:
        return make_pipeline(LGBMRegressor(n_estimators=3, objective=squared, verbose=-1))

    regression = tiny.regression("own")
    recipe = recipes.Recipe(**(vars(regression) | {"estimator": own}))
    with pytest.raises(InvalidRecipe, match=r"LightGBM with an objective of its own|no lambda"):
        fit(recipe)
