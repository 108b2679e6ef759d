"""Timestamps in a recipe: any datetimes of a table, parts as numbers, certified in each form."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from contracts.errors import InvalidData
from contracts.retraining import RetrainingRequest
from contracts.schema import Schema, category, number, timestamp
from training.dataset import frame_of, load_table, plain_rows
from training.fitting import fit
from training.pipeline import scores_of
from training.probes import adversarial_rows
from training.recipe import Gate, Recipe
from training.retraining.partition import partition
from training.rows import features_of
from training.tables.column_fault import ColumnFault
from training.tables.files import read_csv
from training.tables.typed import typed_values

AT = timestamp("at", parts=("hour",), time_zone="Europe/Berlin", nullable=True)
NOON = 1769857200.0
"""2026-01-31 12:00 in Berlin."""
PARTS = ("hour", "weekday", "month", "day_of_year", "days_since")
SCHEMA = Schema(
    features=(
        timestamp(
            "pickup",
            parts=PARTS,
            since="2024-01-01",
            time_zone="America/New_York",
            nullable=True,
        ),
        number("distance", 0),
        category("zone", ["a", "b"]),
    )
)


def trips(n: int = 1500) -> pd.DataFrame:
    """Trips whose fare depends on the hour and the weekday of their clock."""
    rng = np.random.default_rng(0)
    pickup = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 70_000_000, n), unit="s")
    hour, weekday = pickup.hour.to_numpy(), pickup.weekday.to_numpy()
    distance = rng.exponential(5.0, n)
    return pd.DataFrame(
        {
            "pickup": pickup.where(rng.random(n) > 0.05, pd.NaT),
            "distance": distance,
            "zone": rng.choice(["a", "b"], n),
            "fare": 3 + 2 * distance + 5.0 * ((hour >= 7) & (hour < 10)) + weekday,
        }
    )


def recipe_with(estimator: Any, **changes: Any) -> Recipe:
    """A recipe of the trips."""
    found = Recipe(
        schema=SCHEMA,
        target="fare",
        task="regression",
        load=trips,
        estimator=estimator,
        gates=(Gate("r2", minimum=0.5),),
        name="trips",
    )
    return replace(found, **changes)


def _natural() -> Any:
    codes = make_column_transformer(
        (OrdinalEncoder(), make_column_selector(dtype_exclude="number")), remainder="passthrough"
    )
    return make_pipeline(codes, HistGradientBoostingRegressor(max_iter=10))


@pytest.mark.parametrize(
    ("estimator", "runtime"),
    [
        (lambda: HistGradientBoostingRegressor(max_iter=30), "onnx"),
        (lambda: RandomForestRegressor(5), "onnx"),
        (_natural, "sklearn"),
    ],
    ids=["boosting", "forest", "pipeline"],
)
def test_a_model_of_parts_is_certified_on_every_value_of_them(estimator: Any, runtime: str) -> None:
    """Its scores are those of the parts; the importance names them; the golden rows have texts."""
    recipe = recipe_with(estimator, runtime=runtime)
    recipe.check()

    found = fit(recipe)

    assert found.form.runtime == runtime
    assert found.certificate.rows["timestamps"] > 1000
    assert found.metrics["r2"].value > 0.8
    assert found.importance.share["pickup_hour"] > 0.005
    rows = plain_rows(found.data.split.holdout, SCHEMA)
    assert {row["pickup"] for row in rows} > {None}
    again = scores_of(found.pipeline, frame_of(rows, SCHEMA), recipe)
    assert np.array_equal(again, found.scores)


def test_probes_have_every_value_of_each_part_and_no_other_row() -> None:
    """All 24 hours, 7 weekdays, 12 months, 366 days; parts always follow from their timestamp."""
    recipe = recipe_with(lambda: HistGradientBoostingRegressor(max_iter=5))
    base = features_of(load_table(recipe), SCHEMA)
    pipeline = fit(recipe).pipeline

    probes = adversarial_rows(pipeline, recipe, base, np.random.default_rng(0))

    found = probes["timestamps"]
    assert set(found["pickup_hour"].dropna()) == set(range(24))
    assert set(found["pickup_weekday"].dropna()) == set(range(7))
    assert set(found["pickup_month"].dropna()) == set(range(1, 13))
    assert set(found["pickup_day_of_year"].dropna()) == set(range(1, 367))
    for rows in probes.values():
        plain = plain_rows(rows, SCHEMA)
        assert all(not SCHEMA.violations(row) for row in plain)
        assert frame_of(plain, SCHEMA).equals(rows.reset_index(drop=True))


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(["2026-01-31 12:00", None])),
        pd.Series(pd.to_datetime(["2026-01-31 12:00", None])).astype("datetime64[ns]"),
        pd.Series(pd.to_datetime(["2026-01-31 11:00Z", None])).dt.tz_convert("Asia/Tokyo"),
        pd.Series(["2026-01-31 12:00", None]),
        pd.Series(["2026-01-31T11:00:00Z", None], dtype="str"),
        pd.Series([datetime(2026, 1, 31, 11, tzinfo=UTC), pd.NaT], dtype=object),
        pd.Series([pd.Timestamp("2026-01-31 12:00"), None], dtype=object),
        pd.Series(pd.PeriodIndex(["2026-01-31 12:00", None], freq="min")),
    ],
    ids=["naive", "nanoseconds", "aware", "text", "rfc3339", "datetime", "object", "periods"],
)
def test_any_column_of_times_is_read(values: pd.Series) -> None:
    """Without a zone by the feature's clock."""
    found = typed_values(values, AT)

    assert isinstance(found, pd.Series)
    assert found.iloc[0] == NOON
    assert np.isnan(found.iloc[1])


@pytest.mark.parametrize(
    ("values", "row", "remedy"),
    [
        (pd.Series([1769857200, 2]), None, "unit='s'"),
        (pd.Series(["2026-01-31", "31.01.2026"]), 1, "format="),
        (pd.Series([date(2026, 1, 31), date(9999, 12, 31)]), 1, "format="),
        (pd.Series([True, False]), None, "unit='s'"),
    ],
    ids=["numbers", "text", "too late", "booleans"],
)
def test_what_is_no_time_is_refused_by_row(values: pd.Series, row: int | None, remedy: str) -> None:
    """With what to do in the loader."""
    found = typed_values(values, AT)

    assert isinstance(found, ColumnFault)
    assert found.row == row
    assert remedy in found.remedy


def test_a_csv_file_has_the_times_of_the_clock(tmp_path: Any) -> None:
    """As datetimes for the loader; texts of another form stay for it to parse."""
    path = tmp_path / "trips.csv"
    path.write_text("at,other\n2026-01-31 12:00,1\n,2\n")
    table = read_csv(path, Schema(features=(AT,)))

    assert table["at"].iloc[0] == datetime.fromtimestamp(NOON, UTC)
    assert table["at"].dt.hour.iloc[0] == 12
    path.write_text("at,other\n31.01.2026 12:00,1\n")
    assert read_csv(path, Schema(features=(AT,)))["at"].tolist() == ["31.01.2026 12:00"]


def test_the_recipe_of_the_docs_trains() -> None:
    """Hours of a clock that changes twice a year, split by time."""
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    found: dict[str, Any] = {}
    (block,) = [each for each in page.split("```python")[1:] if "recipe = Recipe(" in each]
    exec(block.partition("```")[0], found)  # noqa: S102 - our own page
    recipe = replace(found["recipe"], name="rides")
    recipe.check()

    fitted = fit(recipe)

    assert fitted.form.runtime == "onnx"
    assert fitted.importance.share["hour_hour"] > 0.2
    assert fitted.metrics["r2"].value > 0.8


def test_a_table_can_be_split_by_a_timestamp_that_is_a_feature() -> None:
    """The newest quarter is held out; a missing time is named."""
    newest = trips().dropna(subset="pickup")
    found = fit(
        recipe_with(
            lambda: HistGradientBoostingRegressor(max_iter=5), time="pickup", load=lambda: newest
        )
    )

    rows = found.data.split
    assert rows.train["pickup"].max() < rows.holdout["pickup"].min()
    with pytest.raises(InvalidData, match=r"time: rows\[\d+\]\.pickup: expected a time"):
        fit(recipe_with(HistGradientBoostingRegressor, time="pickup"))


def test_traffic_is_learned_with_the_times_that_were_sent() -> None:
    """Texts of the log become the seconds that the recipe's own rows have."""
    golden = Path(__file__).parents[1] / "contracts" / "golden" / "order.v1.json"
    order = RetrainingRequest.read(golden.read_bytes(), "golden")
    request = msgspec.structs.replace(order, rows=400, recent_rows=300, evaluation_rows=100)
    recipe = recipe_with(HistGradientBoostingRegressor)
    sent = pd.DataFrame(plain_rows(load_table(recipe), SCHEMA)).iloc[:400]
    sent.loc[0, "pickup"] = "2100-01-01T00:00:00Z"
    labelled = sent.assign(truth=trips()["fare"], prediction_id=[f"id-{i}" for i in range(400)])

    parts = partition(recipe, request, labelled)

    expected = load_table(recipe)["pickup"].iloc[300:400].reset_index(drop=True)
    assert parts.holdout["pickup"].equals(expected)
    assert features_of(parts.old, SCHEMA)["pickup_hour"].notna().sum() > 1000
    # Copies of held-out and validation rows are recognised, whether text or seconds.
    assert parts.earlier_rows == 99
    assert len(parts.old) == len(trips()) + 99 - len(parts.holdout) - len(parts.validation)
