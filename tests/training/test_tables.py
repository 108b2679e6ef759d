"""Tables that people bring: read as they are meant, or refused by name; never a traceback."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from contracts.errors import InvalidData
from contracts.schema import Schema, boolean, category, integer, number
from tests import tiny
from training.dataset import load_table, plain_rows, read_csv, read_parquet, split
from training.notes import collected_notes
from training.recipe import Gate, Recipe

N_ROWS = 60


def table_of(schema: Schema, table: Any, **changes: Any) -> Recipe:
    """A recipe with this table; the target is in `y`."""
    fields: dict[str, Any] = {
        "schema": schema,
        "target": "y",
        "load": lambda: table,
        "classes": ("no", "yes"),
    }
    return tiny.binary("shop", **(fields | changes))


def with_target(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns | {"y": ["no", "yes"] * (N_ROWS // 2)})


def refusal(recipe: Recipe) -> str:
    with pytest.raises(InvalidData) as caught:
        load_table(recipe)
    assert caught.value.remedy
    return str(caught.value)


def csv_file(folder: Path, text: str | bytes, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


COUNTRY = Schema(features=(category("country", ["NA", "DE", "None"], nullable=True),))


def test_text_is_read_as_text_and_only_the_empty_field_is_missing(tmp_path: Path) -> None:
    values = ["NA", "DE", "", "None", "nan"]
    path = csv_file(tmp_path, "country,zip\n" + "".join(f"{v},01234\n" for v in values))
    for schema in (COUNTRY, None):
        table = read_csv(path, schema)

        assert table.country.tolist()[:2] == ["NA", "DE"]
        assert table.country.isna().tolist() == [False, False, True, False, False]
        assert table.country.tolist()[3:] == ["None", "nan"]
        assert table.zip.tolist() == ["01234"] * 5
    assert read_csv(path, missing=("", "NA")).country.isna().sum() == 2


def test_the_row_that_is_trained_is_the_row_that_is_served(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "country,y\n" + "NA,no\nDE,yes\n" * 30)
    recipe = table_of(COUNTRY, path)
    with collected_notes() as notes:
        table = load_table(recipe)

    assert plain_rows(table, COUNTRY)[0] == {"country": "NA"}
    assert COUNTRY.violations({"country": "NA"}) == []
    assert notes == ["country: no row has the category 'None'"]


def test_a_column_twice_is_named() -> None:
    schema = Schema(features=(number("a"),))
    twice = pd.concat([with_target(a=1.0), with_target(b=2.0)], axis=1)
    assert 'expected each column name once, got "y" as column 2 and 4' in refusal(
        table_of(schema, twice)
    )
    same = with_target(a=1.0).join(pd.DataFrame({"x": range(N_ROWS)})).rename(columns={"x": "a"})
    assert '"a" as column 1 and 3' in refusal(table_of(schema, same))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.Series([datetime(2026, 1, 1, tzinfo=UTC)] * N_ROWS), "numbers, got datetimes"),
        (pd.Series([datetime(2026, 1, 1)] * N_ROWS), "numbers, got datetimes"),  # noqa: DTZ001 - a column without a zone
        (pd.Series(pd.to_timedelta([1] * N_ROWS, unit="s")), "numbers, got durations"),
        (pd.Series([True] * N_ROWS), "numbers, got booleans"),
        (pd.Series([1j] * N_ROWS), "numbers, got complex numbers"),
        (pd.Series(["0.33"] * N_ROWS), 'rows[0].a: expected a number, got "0.33"'),
        (
            pd.Series([1.0] * 7 + ["0,48"] * 53, dtype=object),
            'rows[7].a: expected a number, got "0,48"',
        ),
        (pd.Series([1.0] * 3 + [math.inf] * 57), "rows[3].a: expected a number, got infinity"),
        (pd.Series([10**400] * N_ROWS, dtype=object), "rows[0].a: expected a number, got 1000"),
        (pd.Series([[1]] * N_ROWS), "rows[0].a: expected a number, got [1]"),
    ],
)
def test_a_number_column_of_something_else_is_refused_by_name(
    column: pd.Series, words: str
) -> None:
    assert words in refusal(table_of(Schema(features=(number("a"),)), with_target(a=column)))


def test_a_decimal_comma_is_suggested_and_read(tmp_path: Path) -> None:
    schema = Schema(features=(number("a"),))
    path = csv_file(tmp_path, "a;y\n" + "0,48;no\n1.250,5;yes\n" * 30)
    with pytest.raises(InvalidData) as caught:
        read_csv(path, schema)

    assert f"{path}:2: column 'a': expected a number, got \"0,48\"" in caught.value.what
    assert caught.value.remedy == "a decimal comma? read_csv(path, decimal=',')"
    read = read_csv(path, schema, decimal=",", thousands=".")
    assert read.a.tolist()[:2] == [0.48, 1250.5]
    with pytest.raises(InvalidData, match="expected a number, got"):
        read_csv(csv_file(tmp_path, "a;y\n0.48;no\n"), schema, decimal=",")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["true", "false", ""], [1.0, 0.0, None]),
        (["TRUE", "0", "False"], [1.0, 0.0, 0.0]),
        ([True, None, False], [1.0, None, 0.0]),
        ([1, 0, 1], [1.0, 0.0, 1.0]),
        ([1.0, np.nan, 0.0], [1.0, None, 0.0]),
    ],
)
def test_booleans_have_documented_spellings(values: list[Any], wanted: list[Any]) -> None:
    schema = Schema(features=(boolean("a", nullable=True),))
    column = pd.Series(values * 20).replace("", None)
    got = load_table(table_of(schema, with_target(a=column))).a

    assert [None if math.isnan(v) else v for v in got.tolist()[:3]] == wanted


@pytest.mark.parametrize("value", ["yes", "tRUE", 2, 0.5, "", "1.0", b"true", 10**400])
def test_another_spelling_of_a_boolean_is_refused_with_its_row(value: Any) -> None:
    schema = Schema(features=(boolean("a"),))
    column = pd.Series([True] * 9 + [value] * 51, dtype=object)
    text = refusal(table_of(schema, with_target(a=column)))

    assert "rows[9].a: expected true or false, got " in text
    assert "(and 50 more rows)" in text
    assert "true, True, TRUE, 1" in text


@pytest.mark.parametrize(
    ("classes", "target", "spelled"),
    [
        ((0, 1), [0, 1], ("0", "1")),
        ((False, True), [False, True], ("false", "true")),
        ((0, 1), [0.0, 1.0], ("0", "1")),
        (("0", "1"), np.array([0, 1], dtype=np.int8), ("0", "1")),
        (("False", "True"), [False, True], ("False", "True")),
        (("ja", "nein"), pd.Categorical(["ja", "nein"]), ("ja", "nein")),
    ],
)
def test_classes_that_are_no_text_are_spelled_as_in_json(
    classes: Any, target: Any, spelled: tuple[str, str]
) -> None:
    schema = Schema(features=(number("a"),))
    table = pd.DataFrame({"a": np.arange(N_ROWS) * 1.0})
    table["y"] = pd.concat([pd.Series(target)] * 30, ignore_index=True)
    recipe = table_of(schema, table, classes=classes)
    recipe.check()

    assert recipe.classes == spelled
    assert set(split(recipe, load_table(recipe), 0).train_target) == set(spelled)


def test_a_regression_of_dates_or_infinities_is_refused() -> None:
    schema = Schema(features=(number("a"),))
    dates = pd.DataFrame({"a": 1.0, "y": pd.date_range("2026-01-01", periods=N_ROWS)})
    changes = {"task": "regression", "classes": (), "gates": (Gate("rmse", maximum=1),)}
    assert "column 'y': expected numbers, got datetimes" in refusal(
        table_of(schema, dates, **changes)
    )
    far = pd.DataFrame({"a": 1.0, "y": [1.0] * 59 + [math.inf]})
    assert "rows[59].y: expected a finite number, got infinity" in refusal(
        table_of(schema, far, **changes)
    )


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table, pd.DataFrame])
def test_tables_of_other_libraries_are_accepted(library: Any) -> None:
    schema = Schema(features=(number("a", nullable=True), category("c", ["x", "y"])))
    given = library({"a": [1.5, None] * 30, "c": ["x", "y"] * 30, "y": ["no", "yes"] * 30})
    table = load_table(table_of(schema, given))

    assert plain_rows(table, schema)[:2] == [{"a": 1.5, "c": "x"}, {"a": None, "c": "y"}]


def test_a_lazy_frame_is_refused_with_the_remedy() -> None:
    lazy = pl.LazyFrame({"a": [1.0]})
    assert "return its .collect()" in refusal(table_of(Schema(features=(number("a"),)), lazy))


def test_names_are_compared_in_one_form_of_unicode() -> None:
    composed, apart = "größe", "gro\u0308ße"
    recipe = table_of(Schema(features=(number(composed),)), with_target(**{apart: 1.0}))

    assert load_table(recipe)[composed].tolist() == [1.0] * N_ROWS
    assert Schema(features=(number(apart),)).names == (composed,)


def test_column_names_of_parquet_are_text_in_one_form_of_unicode(tmp_path: Path) -> None:
    path = tmp_path / "names.parquet"
    schema = Schema(features=(number("größe"), number("7"), number("self")))
    columns = pa.table({"gro\u0308ße": [1.0] * N_ROWS, "7": [3.0] * N_ROWS, "self": [2.0] * N_ROWS})
    pa.parquet.write_table(columns.append_column("y", [["no", "yes"] * (N_ROWS // 2)]), path)

    assert load_table(table_of(schema, path))["7"].tolist() == [3.0] * N_ROWS
    pa.parquet.write_table(pa.table([[1.0], [2.0]], names=["ö", "o\u0308"]), path)
    with pytest.raises(InvalidData, match=r"names\.parquet: expected each column name once"):
        read_parquet(path)


def test_integers_that_float32_merges_are_noted_with_the_step() -> None:
    schema = Schema(features=(integer("cents"),))
    with collected_notes() as notes:
        load_table(table_of(schema, with_target(cents=1_700_000_000 + np.arange(N_ROWS))))

    assert len(notes) == 1
    assert "in steps of 128" in notes[0]
    with collected_notes() as notes:
        load_table(table_of(schema, with_target(cents=np.arange(N_ROWS))))
    assert notes == []


def test_integers_of_thirty_digits_and_uint64_are_noted(tmp_path: Path) -> None:
    big = 10**30
    path = csv_file(tmp_path, "a,y\n" + "".join(f"{big + i},no\n{i},yes\n" for i in range(30)))
    schema = Schema(features=(integer("a"),))
    with collected_notes() as notes:
        table = load_table(table_of(schema, path))
        load_table(table_of(schema, with_target(a=np.arange(N_ROWS, dtype=np.uint64) + 2**63)))

    assert "integers beyond 64 bits are read as floats" in " ".join(notes)
    assert sum("close values merge" in note for note in notes) == 2
    assert table.a.max() == pytest.approx(1e30)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ("a,b\n1,x\n".encode("utf-8-sig"), "read as UTF-8, as its byte order mark says"),
        ("a,b\n1,x\n".encode("utf-16"), "read as UTF-16"),
        (b"a;b\n1;x\n", "separator ';'"),
        (b"a\tb\n1\tx\n", "separator 'TAB'"),
        (b"a,b\r1,x\r", ""),
        (b'a,b\n1,"x"\n', ""),
    ],
)
def test_what_was_detected_is_said(data: bytes, note: str, tmp_path: Path) -> None:
    with collected_notes() as notes:
        table = read_csv(csv_file(tmp_path, data))

    assert table.to_dict("list") == {"a": [1], "b": ["x"]}
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)


def test_another_encoding_is_named_with_what_it_would_read(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "city\nKöln\n".encode("latin-1"))
    with pytest.raises(InvalidData, match=f"{path}:2: expected CSV in UTF-8") as caught:
        read_csv(path)

    assert 'reads "city\\nKöln' in caught.value.remedy
    assert read_csv(path, encoding="cp1252").city.tolist() == ["Köln"]


def test_quoted_lines_and_long_cells_are_read_or_refused(tmp_path: Path) -> None:
    quoted = csv_file(tmp_path, 'a,b\n"two\nlines",x\n7,y\n')
    assert read_csv(quoted).a.tolist() == ["two\nlines", "7"]
    with pytest.raises(InvalidData, match="field larger than field limit"):
        read_csv(csv_file(tmp_path, "a\n" + "x" * 200_000 + "\n"))
    assert read_csv(csv_file(tmp_path, "a,b\n")).shape == (0, 2)


def test_a_bad_value_after_quoted_lines_is_found_by_its_line(tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'a,b\n1,"two\nlines"\nx,y\n')
    with pytest.raises(InvalidData, match=f"{path}:4: column 'a': expected a number"):
        read_csv(path, Schema(features=(number("a"),)))


def test_parquet_is_read_and_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    with_target(a=1.0).to_parquet(path)
    assert len(load_table(table_of(Schema(features=(number("a"),)), path))) == N_ROWS
    with pytest.raises(InvalidData, match="expected a Parquet file, got nothing"):
        read_parquet(tmp_path / "none.parquet")
    path.write_bytes(b"no parquet")
    assert "expected Parquet, got ArrowInvalid" in refusal(
        table_of(Schema(features=(number("a"),)), path)
    )
    assert "expected a file named .csv" in refusal(
        table_of(Schema(features=(number("a"),)), tmp_path / "shop.xlsx")
    )


def test_an_exception_of_the_loader_names_recipe_function_and_line() -> None:
    def load() -> pd.DataFrame:
        return pd.DataFrame({"a": [1 / 0]})

    text = refusal(tiny.binary("shop", load=load))

    assert "recipe 'shop': load: expected a DataFrame, got ZeroDivisionError" in text
    assert "test_tables.py, line " in text
    assert "in load" in text


def test_a_fit_that_does_not_converge_is_noted() -> None:
    from sklearn.linear_model import LogisticRegression

    from training.fitting import fit

    rng = np.random.default_rng(0)
    table = with_target(a=rng.normal(1.6e7, 1e6, N_ROWS), b=rng.normal(size=N_ROWS))
    recipe = table_of(
        Schema(features=(number("a"), number("b"))),
        table,
        estimator=lambda: LogisticRegression(max_iter=1),
    )

    assert any(note.startswith("ConvergenceWarning: lbfgs failed") for note in fit(recipe).notes)
