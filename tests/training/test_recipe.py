"""A recipe or a table that cannot become a service is refused with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from contracts.errors import InvalidData, InvalidRecipe
from contracts.schema import Schema, number
from tests import tiny
from training import recipe as recipes
from training.available import base_recipes, missing_extras
from training.dataset import frame_of, load_table, plain_rows, read_csv, split
from training.pipeline import encoder, floor32
from training.recipe import Gate, load_recipe, recipe_names
from training.reference import number_reference
from training.simulate import drifted, like_training, simulate_rows

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "age"}, "expected no feature, got 'age'"),
        ({"classes": ("yes",)}, "expected two for a binary task, got 1"),
        ({"task": "multiclass"}, "expected three or more"),
        ({"task": "regression"}, "expected none for a regression"),
        ({"threshold": 1.5}, "expected 0 < threshold < 1, got 1.5"),
        ({"runtime": "torch"}, "runtime: expected one of auto, onnx, sklearn, got 'torch'"),
        ({"gates": ()}, "expected at least one"),
        ({"gates": (Gate("magic", minimum=1),)}, "got magic"),
        ({"gates": (Gate("roc_auc"),)}, "a minimum or a maximum"),
        (
            {"segment_features": ("region", "age")},
            "segment_features: expected categorical features",
        ),
        ({"schema": Schema(features=())}, "at least one feature"),
    ],
)
def test_a_contradiction_in_a_recipe_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRecipe, match=reason):
        tiny.binary(**changes).check()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("recipe = 3", "expected `recipe = Recipe"),
        ("x = 1 / 0", r"ZeroDivisionError.*line 1"),
        ("def f(:", "SyntaxError"),
        ("import no_such_library", "ModuleNotFoundError"),
    ],
)
def test_a_recipe_file_that_does_not_run_is_reported_with_its_line(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.recipes

    name = f"bad{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(recipes, "RECIPES_FOLDER", tmp_path)
    monkeypatch.setattr(training.recipes, "__path__", [str(tmp_path)])
    with pytest.raises(InvalidRecipe, match=reason):
        load_recipe(name)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        load_recipe("lone")

    assert caught.value.remedy == "did you mean 'loan'?"
    assert base_recipes() == ["diabetes", "iris", "loan", "offer"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.drop(columns="age"), "expected the columns age"),
        (lambda t: t.assign(age=-1.0), r"rows\[0\].age: expected a number 18..100"),
        (lambda t: t.assign(work="maybe"), r"rows\[0\].work: expected one of 'yes', 'no'"),
        (lambda t: t.assign(age=np.nan), r"rows\[0\].age: .* got null"),
        (lambda t: t.assign(lines=2.5), r"rows\[0\].lines: expected an integer"),
        (lambda t: t.assign(paid=None), r"rows\[0\].paid: expected a label"),
        (lambda t: t.assign(paid="yes"), "expected the classes no, yes, got yes"),
        (lambda t: t.iloc[:10], "expected at least 50 rows, got 10"),
        (list, "expected a DataFrame, got list"),
        (lambda t: t.no_such_method(), "expected a DataFrame, got AttributeError"),
    ],
)
def test_rows_that_break_the_schema_are_named(change: Any, reason: str) -> None:
    recipe = tiny.binary(load=lambda: change(tiny.people()))
    with pytest.raises(InvalidData, match=reason):
        load_table(recipe)


def test_a_class_with_one_row_is_named() -> None:
    recipe = tiny.binary(load=lambda: tiny.people(60).assign(paid=["yes"] + ["no"] * 59))
    with pytest.raises(InvalidData, match="at least 2 rows of each class, got 1 of 'yes'"):
        split(recipe, load_table(recipe), 0)


def test_more_classes_than_held_out_rows_are_refused() -> None:
    names = tuple(f"class {i}" for i in range(20))
    recipe = tiny.binary(
        task="multiclass", classes=names, load=lambda: tiny.people(60).assign(paid=[*names] * 3)
    )
    with pytest.raises(InvalidData, match=r"held-out rows \(15 of 60\), got 20"):
        split(recipe, load_table(recipe), 0)


def test_earlier_names_of_fields_still_work_and_name_the_new_ones() -> None:
    with pytest.warns(FutureWarning) as caught:
        recipe = tiny.binary(
            slices=("region",), slice_tolerance=0.05, segments=("work",), old_share=0.3
        )

    assert recipe == tiny.binary(
        gate_segment_features=("region",),
        segment_tolerance=0.05,
        segment_features=("work",),
        old_data_share=0.3,
    )
    assert [str(w.message).split("; ")[1] for w in caught] == [
        f"write {new}=..." for new in recipes.RENAMED.values()
    ]
    assert {Path(w.filename).name for w in caught} == {"tiny.py"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a,b\n1,2\n3\n", r"t.csv:3: expected 2 fields as in the header, got 1"),
        (b"a,b\n1,2,3\n", r"t.csv:2: expected 2 fields as in the header, got 3"),
        (b"", "expected CSV in UTF-8 with a header"),
        (b"a\n\xff\xfe\n", "expected CSV in UTF-8"),
    ],
)
def test_a_bad_csv_file_is_reported_with_its_line(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(InvalidData, match=reason):
        read_csv(path)


def test_a_csv_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="expected a CSV file, got nothing"):
        read_csv(tmp_path / "none.csv")


@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_a_clear_refusal(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        try:
            table = read_csv(file.name)
        except InvalidData as refusal:
            table = refusal.what
    assert isinstance(table, pd.DataFrame | str)


rows = st.fixed_dictionaries(
    {
        "region": st.sampled_from(["north", "south", "east", "never seen", None]),
        "age": st.floats(18, 100),
        "income": st.none() | st.floats(0, 1e6),
        "lines": st.integers(0, 50),
        "owner": st.booleans(),
        "work": st.sampled_from(["yes", "no"]),
    }
)


@given(st.lists(rows, min_size=1, max_size=20))
def test_the_pipeline_codes_rows_as_the_schema_says(batch: list[dict[str, Any]]) -> None:
    fitted = encoder(tiny.SCHEMA).fit(frame_of([tiny.GOOD], tiny.SCHEMA))
    coded = fitted.transform(frame_of(batch, tiny.SCHEMA)).to_numpy()

    assert coded.dtype == np.float32
    assert np.array_equal(coded, tiny.SCHEMA.matrix(batch), equal_nan=True)
    assert plain_rows(frame_of(batch, tiny.SCHEMA), tiny.SCHEMA) == batch


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1))
def test_snapping_changes_no_answer_for_float32(values: list[float]) -> None:
    thresholds = np.clip(np.array(values), -3e38, 3e38)
    snapped = floor32(thresholds)
    inputs = thresholds.astype(np.float32)
    for x in (inputs, np.nextafter(inputs, np.float32(np.inf)), np.nextafter(inputs, -np.inf)):
        assert np.array_equal(x <= thresholds, x <= snapped)
    assert np.array_equal(snapped.astype(np.float32).astype(np.float64), snapped)


@given(st.lists(st.floats(allow_infinity=True, allow_nan=True), max_size=300))
def test_a_sketch_counts_every_value_once(values: list[float]) -> None:
    sketch = number_reference(np.clip(np.array(values, dtype=float), -1e100, 1e100))
    counted = sum(sketch.counts) + sketch.missing

    assert counted == len(values)
    assert list(sketch.edges) == sorted(set(sketch.edges))
    assert len(sketch.counts) == len(sketch.edges) + 1 <= 64


@pytest.mark.parametrize("name", [n for n in recipe_names() if not missing_extras(n)])
def test_simulated_rows_may_be_sent(name: str) -> None:
    recipe = load_recipe(name)
    for row in like_training(recipe, 50, 1) + drifted(recipe, 50, 1):
        assert recipe.schema.violations(row) == []


def test_each_simulated_row_has_its_own_outcome() -> None:
    recipe = load_recipe("iris")
    flowers = {(*row[:4],): row[4] for row in load_table(recipe).itertuples(index=False)}
    sample = simulate_rows(recipe, 300, 7, are_drifted=False)

    assert sample.rows == like_training(recipe, 300, 7)
    for row, truth in zip(sample.rows, sample.truths, strict=True):
        assert flowers[*row.values(),] == truth


def test_the_drift_of_the_labels_example_harms_until_it_is_learned() -> None:
    """The reason for its retraining: the old model loses 0.04 of its AUC, a new one finds it."""
    recipe = load_recipe("offer")
    assert recipe.drift is not None
    table = load_table(recipe)
    is_taken = table.outcome == "taken"
    drifted_rows = recipe.drift(table, np.random.default_rng(1))

    def auc(learned: pd.DataFrame, asked: pd.DataFrame) -> float:
        model = recipe.estimator().fit(learned[:6000], is_taken[:6000])
        return float(roc_auc_score(is_taken[6000:], model.predict_proba(asked[6000:])[:, 1]))

    assert auc(table, table) > 0.74
    assert auc(table, drifted_rows) < 0.72
    assert auc(drifted_rows, drifted_rows) > 0.74


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are next to the project, if at all")
def test_the_census_becomes_a_model() -> None:
    from contracts.schema import category
    from training.fitting import fit

    table = read_csv(DATA / "adult.csv", separator=";").iloc[:6000]
    names = [c for c in table.columns if table[c].dtype != "int64" and c != "salary-class"]
    named = table.rename(columns=lambda c: c.replace("-", "_"))
    features = tuple(category(c.replace("-", "_"), sorted(table[c].unique())) for c in names)
    from sklearn.ensemble import HistGradientBoostingClassifier

    recipe = tiny.binary(
        "adult",
        lambda: HistGradientBoostingClassifier(max_iter=40),
        schema=Schema(features=(number("age", 0, 120), *features)),
        target="salary_class",
        classes=tuple(sorted(table["salary-class"].unique())),
        load=lambda: named,
    )
    fitted = fit(recipe)

    assert fitted.certificate.passed
    assert fitted.metrics["roc_auc"].value > 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"margin": -0.1}, "margin: expected 0 or more, got -0.1"),
        (
            {"gate_segment_features": ("age",)},
            "gate_segment_features: expected categorical features, got age",
        ),
        (
            {"gate_segment_features": ("region",)},
            "segment_tolerance: expected more than 0 with gate_segment_features, got 0",
        ),
        ({"latency_factor": 0.5}, "latency_factor: expected 1 or more, got 0.5"),
    ],
)
def test_a_recipe_cannot_ask_the_gate_for_nonsense(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        tiny.binary(**change).check()
