"""Which rows are held out: at random, by time, by group, as the user says; copies together."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidData, InvalidRecipe
from contracts.schema import Schema, category, number
from tests import tiny
from training.dataset import load_table, split
from training.notes import collected_notes
from training.recipe import Gate, Recipe
from training.splitting import held_out

SCHEMA = Schema(features=(number("a"), category("c", ["x", "y"])))
N_ROWS = 400


def orders(n_rows: int = N_ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.normal(size=n_rows),
            "c": rng.choice(["x", "y"], n_rows),
            "ts": pd.date_range("2026-01-01", periods=n_rows, freq="h")
            .to_series()
            .sample(frac=1, random_state=seed)
            .to_numpy(),
            "customer": rng.integers(0, 50, n_rows),
            "y": rng.choice(["no", "yes"], n_rows, p=[0.7, 0.3]),
        }
    )


def recipe_of(table: pd.DataFrame, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"schema": SCHEMA, "target": "y", "load": lambda: table}
    return tiny.binary("shop", **(fields | changes))


def sides(recipe: Recipe, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn and those held out, with every column."""
    table = load_table(recipe)
    train, holdout = held_out(recipe, table, seed)
    assert not set(train) & set(holdout)
    return table.iloc[train], table.iloc[holdout]


@pytest.mark.parametrize("kind", [str, pd.Timestamp, lambda t: pd.Timestamp(t, tz="Europe/Berlin")])
def test_by_time_the_newest_quarter_is_held_out(kind: Any) -> None:
    table = orders().assign(ts=lambda t: t.ts.map(kind))
    train, holdout = sides(recipe_of(table, time="ts"))

    assert len(holdout) == N_ROWS // 4
    assert train.ts.max() < holdout.ts.min()


def test_rows_of_one_time_are_on_one_side() -> None:
    table = orders().assign(ts=np.arange(N_ROWS) // 150)
    train, holdout = sides(recipe_of(table, time="ts"))

    assert set(train.ts) == {0, 1}
    assert set(holdout.ts) == {2}


def test_by_group_no_group_is_on_both_sides() -> None:
    for changes in ({}, {"task": "regression", "classes": (), "target": "a2"}):
        schema = Schema(features=(number("a"),))
        table = orders().assign(a2=lambda t: t.a * 2)
        fields = {"schema": schema, "group": "customer", "gates": (Gate("r2", minimum=0),)}
        train, holdout = sides(recipe_of(table, **(fields | changes)))

        assert not set(train.customer) & set(holdout.customer)
        assert 0.15 < len(holdout) / N_ROWS < 0.35


def test_the_user_says_which_rows_are_held_out() -> None:
    table = orders().assign(test=lambda t: t.index % 3 == 0)
    train, holdout = sides(recipe_of(table, holdout="test"))

    assert holdout.test.all()
    assert not train.test.any()


@settings(max_examples=40)
@given(
    st.integers(0, 5),
    st.integers(30, 200),
    st.sampled_from(["", "time", "group"]),
    st.integers(0, 10**6),
)
def test_copies_of_a_row_are_never_on_both_sides(
    n_copies: int, n_distinct: int, by: str, seed: int
) -> None:
    columns = {"": [], "time": ["ts"], "group": ["customer"]}[by]
    few = orders(n_distinct, seed)[["a", "c", "y", *columns]]
    assume(few.y.nunique() == 2)
    assume(min(few.y.value_counts()) > 8)
    table = pd.concat([few] * (n_copies + 2), ignore_index=True)
    changes = {by: {"time": "ts", "group": "customer"}[by]} if by else {}
    train, holdout = sides(recipe_of(table, **changes), seed)

    assert not set(train.a) & set(holdout.a)
    assert set(train.y) == set(holdout.y) == {"no", "yes"}


def test_copies_of_held_out_rows_are_not_learned_where_the_user_splits() -> None:
    table = pd.concat([orders(), orders()], ignore_index=True)
    table["test"] = table.index >= 700
    with collected_notes() as notes:
        train, holdout = sides(recipe_of(table, holdout="test"))

    assert len(holdout) == 100
    assert len(train) == 600
    assert not set(train.a) & set(holdout.a)
    assert notes == ["100 rows are copies of held-out rows and are not learned"]


def test_a_table_of_few_distinct_rows_is_split_row_by_row_and_says_so() -> None:
    table = pd.DataFrame({"a": 1.0, "c": ["x", "y"] * 50, "y": ["no", "yes", "yes", "no"] * 25})
    with collected_notes() as notes:
        _, holdout = sides(recipe_of(table))

    assert len(holdout) == 25
    assert "98 of 100 rows are copies of others; they are split row by row" in notes[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": "never"}, "expected the columns never"),
        ({"time": "bad"}, "time: rows[7].bad: expected a time, got "),
        ({"time": "gap"}, "time: rows[3].gap: expected a time, got nothing"),
        ({"time": "constant"}, "expected rows of several times in 'constant'"),
        ({"group": "constant"}, "group: expected at least 4 groups in 'constant', got 1"),
        ({"group": "gap"}, "group: rows[3].gap: expected a group, got nothing"),
        ({"holdout": "bad"}, "holdout: rows[0].bad: expected true or false, got"),
        ({"holdout": "gap"}, "holdout: rows[0].gap: expected true or false"),
        ({"holdout": "none"}, "expected rows to be held out, got none"),
        ({"time": "late"}, "y: expected rows of every class to be learned, got none of 'yes'"),
    ],
)
def test_a_column_that_cannot_split_is_named(changes: dict[str, str], words: str) -> None:
    table = orders().assign(
        bad=["2026-01-01"] * 7 + ["soon"] * (N_ROWS - 7),
        gap=[*"abc", None, *"abcd" * 99],
        constant=1,
        none=False,
        late=lambda t: np.where(t.y == "yes", 2, 1),
    )
    recipe = recipe_of(table, **changes)
    with pytest.raises(InvalidData) as caught:
        sides(recipe)

    assert words in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": "ts", "group": "customer"}, "time and group: expected at most one"),
        ({"group": "y"}, "group: expected a column that is no target, got 'y'"),
    ],
)
def test_a_contradiction_about_the_split_is_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        recipe_of(orders(), **changes).check()


@pytest.mark.parametrize("leak", ["number", "text"])
def test_a_feature_that_alone_predicts_the_target_is_named(leak: str) -> None:
    table = orders().assign(
        known=lambda t: np.where(t.y == "yes", 1.0, 0.0) if leak == "number" else "code " + t.y
    )
    feature = number("known") if leak == "number" else category("known", ["code no", "code yes"])
    recipe = recipe_of(table, schema=Schema(features=(number("a"), feature)))
    with collected_notes() as notes:
        split(recipe, load_table(recipe), 0)

    assert len(notes) == 1
    assert notes[0].startswith("known: alone predicts 'y' almost perfectly (score 1.0000 of 1")


def test_a_regressions_leak_is_named_and_good_features_are_not() -> None:
    table = orders(4000).assign(
        y=lambda t: t.a * 3 + 1, near=lambda t: t.a + np.tile([-1, 1], 2000)
    )
    changes: dict[str, Any] = {"task": "regression", "classes": (), "gates": ()}
    recipe = recipe_of(table, schema=Schema(features=(number("a"), number("near"))), **changes)
    with collected_notes() as notes:
        split(recipe, load_table(recipe), 0)

    assert [note.split(":")[0] for note in notes] == ["a"]
