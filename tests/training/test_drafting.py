"""`slipway new`: a file of data becomes a recipe that trains as it is, and every doubt is said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from threadpoolctl import threadpool_limits

import training.recipes
from contracts.errors import InvalidData
from contracts.feature import FLOAT32_MAX
from slipway.app import run_command_line
from training import recipe as recipes
from training.drafting.draft import Draft, draft_of
from training.drafting.file import write_recipe
from training.drafting.values import bounds
from training.dry_run import try_recipe
from training.notes import collected_notes
from training.recipe import load_recipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of recipes of its own; trees are grown by one thread, which suits small tables."""
    folder = tmp_path / "training" / "recipes"
    folder.mkdir(parents=True)
    monkeypatch.setattr(recipes, "RECIPES_FOLDER", folder)
    monkeypatch.setattr(training.recipes, "__path__", [str(folder)])
    with threadpool_limits(1):
        yield folder


def drafted(path: Path, target: str, **options: Any) -> Draft:
    with collected_notes():
        return draft_of(
            path,
            target,
            options.get("task"),
            options.get("time", ""),
            options.get("group", ""),
        )


def shop(n_rows: int = 300) -> pd.DataFrame:
    """A table with something of everything."""
    rng = np.random.default_rng(0)
    amount = rng.lognormal(3, 1, n_rows).round(2)
    member = rng.random(n_rows) < 0.3
    table = pd.DataFrame(
        {
            "row id": range(n_rows),
            "customer_id": rng.integers(1000, 1060, n_rows),
            "Größe (cm)": rng.normal(170, 10, n_rows).round(1),
            "hour": rng.integers(0, 24, n_rows),
            "amount": amount,
            "member": member,
            "zip": [f"{i:05d}" for i in rng.integers(0, 30, n_rows)],
            "city": rng.choice(["Köln", "Bonn", "NA"], n_rows),
            "comment": [" ".join(rng.choice(["so", "wie", "gut"], 30)) for _ in range(n_rows)],
            "country": "DE",
            "empty": None,
        }
    )
    table["returned"] = np.where(amount * member + rng.normal(0, 9, n_rows) > 9, "yes", "no")
    return table.assign(refund=lambda t: np.where(t.returned == "yes", amount, 0.0))


def write_bundled(name: str, path: Path) -> None:
    bundled = getattr(datasets, f"load_{name}")(as_frame=True).frame
    bundled.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("name", "metric"),
    [("iris", "accuracy"), ("wine", "accuracy"), ("breast_cancer", "roc_auc"), ("diabetes", "r2")],
)
def test_a_draft_of_a_bundled_table_trains_unedited_and_beats_a_constant(
    name: str, metric: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.csv"
    write_bundled(name, path)
    write_recipe(f"new_{name}", drafted(path, "target"))
    recipe = load_recipe(f"new_{name}")
    tried = try_recipe(recipe)

    assert recipe.gates[0].metric == metric
    assert tried.certificate.passed
    assert tried.metrics[metric].value > tried.baseline[metric]


@needs_shared
@pytest.mark.parametrize(
    ("file", "target", "metric"),
    [("adult.csv", "salary-class", "roc_auc"), ("bike_sharing_hour.csv", "cnt", "r2")],
)
def test_a_draft_of_real_data_trains_unedited_and_beats_a_constant(
    file: str, target: str, metric: str
) -> None:
    draft = drafted(SHARED / file, target)
    write_recipe("new_real", draft, replace=True)
    name = f"new_{metric}"
    (recipes.RECIPES_FOLDER / "new_real.py").rename(recipes.RECIPES_FOLDER / f"{name}.py")
    tried = try_recipe(load_recipe(name))

    assert tried.certificate.passed
    assert tried.metrics[metric].value > tried.baseline[metric] + 0.2
    if target == "cnt":
        left_out = {column.name for column in draft.columns if column.left_out}
        assert {"casual", "registered", "instant"} <= left_out
        assert draft.time == "dteday"
        assert load_recipe(name).schema.feature("dteday").parts == ("weekday", "month")


def test_columns_become_what_they_hold_and_every_doubt_is_said(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    shop().to_csv(path, index=False)
    draft = drafted(path, "returned")
    features = {c.name: c.feature for c in draft.columns if c.feature}
    left_out = {c.name: c.left_out for c in draft.columns if c.left_out}

    assert list(features) == ["Größe (cm)", "hour", "amount", "member", "zip", "city"]
    assert (features["hour"].minimum, features["hour"].maximum) == (0, 23)
    assert features["member"].type == "bool"
    assert features["zip"].categories[0].startswith("0")
    assert features["city"].categories == ("Bonn", "Köln", "NA")
    assert left_out["row id"] == "it looks like an identifier or a row number"
    assert left_out["customer_id"] == "the rows are split by it"
    assert left_out["comment"] == "it is free text"
    assert left_out["country"] == "it is constant"
    assert left_out["empty"] == "it has no values"
    assert left_out["refund"].startswith("likely leak: it alone predicts returned")
    assert (draft.group, draft.time) == ("customer_id", "")
    assert draft.target.classes == ("no", "yes")
    doubts = " ".join(draft.all_doubts)
    assert "zip: digits with leading zeros stay text" in doubts
    assert "will the model see new ones?" in doubts


def test_a_target_of_customers_and_columns_of_lists_are_no_groups(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    rng = np.random.default_rng(0)
    table = shop(600).rename(columns={"customer_id": "visits"})
    customers = [f"c{i}" for i in rng.integers(0, 60, 600)]
    table.assign(customer_id=customers, user_id=[[1]] * 600).set_index(
        np.arange(600) + 7
    ).to_parquet(path)
    draft = drafted(path, "customer_id", task="multiclass")
    left_out = {c.name: c.left_out for c in draft.columns if c.left_out}

    assert (draft.group, draft.time) == ("", "")
    assert draft.source.table.index[0] == 0
    assert left_out["user_id"] == "its values are lists or objects"
    with pytest.raises(InvalidData, match="--group: expected one of the columns"):
        drafted(path, "customer_id", task="multiclass", group="customer_id")


def test_how_the_file_is_written_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    table = shop().drop(columns=["customer_id", "comment", "refund"])
    table.loc[::7, "amount"] = np.nan
    table = table.assign(amount=lambda t: t.amount * 1000).assign(
        amount=lambda t: [
            "?" if np.isnan(v) else f"{v:,.2f}".translate(str.maketrans(",.", ".,"))
            for v in t.amount
        ]
    )
    table.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252")
    draft = drafted(path, "returned")
    write_recipe("new_german", draft)
    amount = load_recipe("new_german").load().amount

    assert draft.source.arguments == {
        "separator": ";",
        "encoding": "cp1252",
        "decimal": ",",
        "thousands": ".",
        "missing": ("", "?"),
    }
    assert amount.isna().sum() == 43
    assert amount.max() > 10_000
    assert "the file's decimal mark seems to be ','" in draft.all_doubts


def test_dates_split_the_rows_by_time(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    days = pd.date_range("2024-01-01", periods=300).strftime("%d.%m.%Y")
    shop().assign(date=days).to_parquet(path)
    draft = drafted(path, "returned")
    write_recipe("new_dated", draft)
    recipe = load_recipe("new_dated")

    assert (draft.time, draft.dates) == ("date", {"date": "%d.%m.%Y"})
    assert recipe.time == "date"
    assert recipe.load().date.dtype.kind == "M"
    assert recipe.schema.feature("date").parts == ("weekday",)
    assert "date: the newest quarter of the rows is held out" in " ".join(draft.all_doubts)


def test_times_are_drafted_with_the_parts_that_fit_them(tmp_path: Path) -> None:
    """And the draft trains: times of several forms, a date of birth, one that is not usable."""
    path = tmp_path / "shop.csv"
    hours = pd.date_range("2024-01-01", periods=300, freq="7h")
    shop().assign(
        paid=hours.strftime("%Y-%m-%d %H:%M"),
        sent=hours.strftime("%Y-%m-%dT%H:%M:%SZ"),
        birthday=pd.date_range("1950-05-01", periods=300, freq="50D").strftime("%d.%m.%Y"),
        valid_to="9999-12-31",
    ).to_csv(path, index=False)
    draft = drafted(path, "returned")
    write_recipe("new_times", draft)
    recipe = load_recipe("new_times")

    parts = {f.name: f.parts for f in recipe.schema.features if f.is_timestamp}
    hour = ("hour", "weekday")
    assert parts == {"paid": hour, "sent": hour, "birthday": ("days_since",)}
    assert (
        'timestamp("birthday", parts=("days_since",), time_zone="UTC", since="1950-01-01"'
        in (recipes.RECIPES_FOLDER / "new_times.py").read_text()
    )
    assert "paid: set time_zone to the clock" in " ".join(draft.all_doubts)
    assert "valid_to: left out: it has dates outside 1900 to 2099" in draft.all_doubts
    assert try_recipe(recipe).certificate.rows["timestamps"] > 1000


def test_a_target_is_taken_as_its_values_say(tmp_path: Path) -> None:
    table = shop()
    table["stars"] = np.random.default_rng(1).integers(1, 6, len(table))
    table["rare"] = ["a", *["b", "c", "d"] * 99, "b", "c"]
    path = tmp_path / "shop.csv"
    table.to_csv(path, index=False)

    assert drafted(path, "amount").target.task == "regression"
    assert drafted(path, "member").target.classes == ("false", "true")
    stars = drafted(path, "stars").target
    assert (stars.task, stars.classes) == ("multiclass", ("1", "2", "3", "4", "5"))
    assert "use --task regression" in stars.doubts[0]
    assert drafted(path, "stars", task="regression").target.task == "regression"
    rare = drafted(path, "rare").target
    assert rare.classes == ("b", "c", "d")
    assert "1 classes have fewer than 4 rows and are left out: 'a'" in rare.doubts
    for target, words in {
        "nothing": "--target: expected one of the columns",
        "row id": "",
        "country": "expected 2 to 100 classes",
        "comment": "expected 2 to 100 classes",
    }.items():
        if words:
            with pytest.raises(InvalidData, match=words):
                drafted(path, target)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, 1], (0, 1)),
        ([1.5, 9.5], (0.7, 10.3)),
        ([-5.0, 5.5], (-7, 7)),
        ([100, 5000], (0, 5500)),
        ([1e-9, 3e-9], (8e-10, 3.2e-9)),
        ([-3e38, 3e38], (-FLOAT32_MAX, FLOAT32_MAX)),
    ],
)
def test_ranges_are_round_with_a_margin(values: list[float], wanted: tuple[float, float]) -> None:
    assert bounds(pd.Series(values)) == pytest.approx(wanted)


def test_the_command_writes_the_recipe_and_a_dry_run_registers_nothing(
    tmp_path: Path, workplace: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shop.csv"
    shop().to_csv(path, index=False)
    new = ["new", "new_shop", str(path), "--target", "returned"]

    assert run_command_line(new) == 0
    captured = capsys.readouterr()
    assert "doubt: zip: digits with leading zeros stay text" in captured.err
    assert "next: slipway train new_shop --dry-run" in captured.out
    assert run_command_line(new) == 1
    assert "--force to replace it" in capsys.readouterr().err
    assert run_command_line([*new, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["group"] == "customer_id"

    assert run_command_line(["train", "new_shop", "--dry-run", "--json"]) == 0
    (tried,) = json.loads(capsys.readouterr().out)
    assert tried["metrics"]["roc_auc"]["value"] > tried["baseline"]["roc_auc"] == 0.5
    assert tried["certificate"]["passed"]
    assert workplace.store.models.all() == []
    assert workplace.store.runs.with_status("FAILED") == []
