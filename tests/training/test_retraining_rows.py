"""A retraining never learns its held-out rows, and keeps old rows unless they do harm."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from contracts.errors import InvalidData
from contracts.retraining import RetrainingRequest
from tests import tiny
from tests.monitoring.scenarios import turned
from training.retraining.dataset import retraining_data
from training.retraining.partition import partition
from training.retraining.row_choice import RowChoice

REQUEST = RetrainingRequest.read(
    (Path(__file__).parents[1] / "contracts/golden/order.v1.json").read_bytes(), "golden"
)
RECIPE = tiny.binary()
COLUMNS = [*tiny.SCHEMA.names, "paid"]


def request(rows: int, recent: int, holdout: int) -> RetrainingRequest:
    return structs.replace(REQUEST, rows=rows, recent_rows=recent, evaluation_rows=holdout)


def as_traffic(world: pd.DataFrame, target: str = "paid") -> pd.DataFrame:
    """A world's people as the Parquet file of a request holds them."""
    names = [*tiny.SCHEMA.names, target]
    table = world[names].rename(columns={target: "truth"})
    return table.assign(prediction_id=[f"id-{i}" for i in range(len(table))])


def counted(table: pd.DataFrame) -> Counter[tuple[str, ...]]:
    """Rows by their words, without our hashes; numbers alike whatever their type was."""
    plain = table[COLUMNS].astype({"age": float, "lines": float, "owner": float})
    return Counter(tuple(map(str, row)) for row in plain.itertuples(index=False))


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60))
def test_no_held_out_row_is_learned_though_it_came_twice(
    seed: int, sent_again: int, from_training: int
) -> None:
    """Requests that were sent twice, and rows of the recipe's data that returned as traffic."""
    rng = np.random.default_rng(seed)
    world = tiny.people(400, seed % 1000 + 1)
    again = world.iloc[rng.integers(0, 400, sent_again)]
    known = tiny.people().iloc[rng.permutation(400)[:from_training]]
    traffic = pd.concat([world, again, known]).sample(frac=1, random_state=seed % 1000)
    parts = partition(RECIPE, request(len(traffic), 300, 100), as_traffic(traffic))
    split = retraining_data(replace(RECIPE, old_data_share=1.0), request(0, 0, 0), parts, 0).split
    everything = counted(pd.concat([traffic, tiny.people()]))
    held_out = counted(parts.holdout)
    learned = counted(split.train.assign(paid=split.train_target))

    assert len(parts.holdout) == 100
    assert held_out == counted(traffic.iloc[-100:])
    assert all(learned[row] <= everything[row] - n for row, n in held_out.items())
    # Nothing else is lost: only copies of held-out or validation rows were taken out.
    taken = sum(everything.values()) - len(parts.holdout) - sum(learned.values())
    assert taken <= 100 + len(parts.validation)


@pytest.mark.parametrize(
    ("world", "expected"),
    [(tiny.people, {1.0}), (turned, {0.0, 0.1})],
    ids=["as it was", "turned"],
)
def test_old_rows_stay_unless_they_do_harm(world: Any, expected: set[float]) -> None:
    recipe = replace(RECIPE, load=lambda: tiny.people(3_000, 99))
    asked = request(1_500, 1_500, 450)
    parts = partition(recipe, asked, as_traffic(world(1_500, 4)))
    data = retraining_data(recipe, asked, parts, 0)
    made = data.retrained

    assert made is not None
    assert made.old_share in expected
    assert made.rows_old == round(made.old_share * len(parts.old))
    assert made.rows_recent == len(parts.recent) + len(parts.validation)
    assert data.split.reference_rows is not None
    assert len(data.split.reference_rows) == made.rows_recent + len(parts.holdout)


def test_a_recipe_that_names_a_share_is_obeyed() -> None:
    recipe = replace(RECIPE, old_data_share=0.25)
    asked = request(600, 600, 180)
    parts = partition(recipe, asked, as_traffic(tiny.people(600, 4)))
    made = retraining_data(recipe, asked, parts, 0).retrained

    assert made is not None
    assert made.rows_old == round(0.25 * len(parts.old))


def test_a_regression_is_retrained_on_values() -> None:
    recipe = tiny.regression()
    asked = request(600, 500, 150)
    parts = partition(recipe, asked, as_traffic(tiny.whole_people(600), target="value"))

    assert retraining_data(recipe, asked, parts, 0).split.holdout_target.dtype == float


def test_rows_that_today_refuses_are_left_out_and_new_features_are_missing() -> None:
    traffic = as_traffic(tiny.people(400, 4)).drop(columns="income")
    traffic.loc[399, "age"] = 17.0
    traffic.loc[398, "truth"] = "perhaps"
    parts = partition(RECIPE, request(400, 400, 120), traffic)

    assert len(parts.holdout) == 118
    assert parts.holdout.income.isna().all()


@pytest.mark.parametrize(
    ("recipe", "traffic", "says"),
    [
        (tiny.pair(), as_traffic(tiny.whole_people(), "value"), "expected one target"),
        (RECIPE, as_traffic(tiny.people(60, 4)), "25 for each use and 10 of each class, got"),
        (
            RECIPE,
            as_traffic(tiny.people(300, 4)).assign(truth="yes"),
            "25 for each use and 10 of each class",
        ),
    ],
)
def test_too_few_rows_are_refused(recipe: Any, traffic: pd.DataFrame, says: str) -> None:
    with pytest.raises(InvalidData, match=says):
        partition(recipe, request(len(traffic), len(traffic), len(traffic) // 3), traffic)


def test_windows_of_the_newest_rows_reach_as_far_back_as_traffic() -> None:
    """The world turned in the traffic before: the newest rows are right, the older ones wrong."""
    recipe = replace(RECIPE, load=lambda: tiny.people(3_000, 99))
    traffic = as_traffic(pd.concat([tiny.people(1_000, 7), turned(2_000, 8)], ignore_index=True))
    asked = request(3_000, 1_000, 300)
    parts = partition(recipe, asked, traffic)
    made = retraining_data(recipe, asked, parts, 0).retrained

    # Rows that are copies of others by chance are left out.
    assert 1_990 <= parts.earlier_rows <= 2_000
    assert made is not None
    tried, n = made.candidates, len(parts.recent)
    assert {"a constant", "100% of the older rows", f"the newest {2 * n:,} rows"} <= set(tried)
    # A window of eight times the recent rows would reach into the recipe's table.
    assert f"the newest {4 * n:,} rows" in tried
    assert f"the newest {8 * n:,} rows" not in tried
    assert tried["a constant"] == 0.5
    assert tried[f"the newest {4 * n:,} rows"] > tried["100% of the older rows"] + 0.1
    # All of these rows are from the world as it is, and nearly none of them is missing.
    assert made.newest_rows == made.rows_old + made.rows_recent == 4 * n


def test_a_candidate_learns_the_newest_rows_in_their_order() -> None:
    old, recent = (pd.DataFrame({"x": range(*ends)}) for ends in ((0, 10), (10, 14)))

    assert RowChoice(newest=6).learned(old, recent, 0).x.tolist() == [8, 9, 10, 11, 12, 13]
    assert RowChoice(newest=3).learned(old, recent, 0).x.tolist() == [11, 12, 13]
    assert RowChoice(0.0).learned(old, recent, 0).x.tolist() == [10, 11, 12, 13]
    assert len(RowChoice(0.5).learned(old, recent, 0)) == 9
