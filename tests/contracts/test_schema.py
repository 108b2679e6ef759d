"""The schema says exactly what a request may hold."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidRecipe
from contracts.schema import (
    FLOAT32_MAX,
    MISSING_CODE,
    UNSEEN_CODE,
    Feature,
    Schema,
    boolean,
    category,
    integer,
    number,
)

SCHEMA = Schema(
    features=(
        category("region", ["north", "south"], nullable=True),
        number("alcohol", 0, 100, unit="vol%"),
        integer("age", 18, 120, unit="years", nullable=True),
        boolean("owner"),
        number("income", 0, 1e6, policy="clip"),
        category("purpose", ["car", "home"], policy="flag"),
        number("balance", -10, 10, policy="flag"),
    )
)
GOOD = {
    "region": "north",
    "alcohol": 4.5,
    "age": 44,
    "owner": True,
    "income": 1000,
    "purpose": "car",
    "balance": 0,
}


def problems(**changes: object) -> list[str]:
    return [str(v) for v in SCHEMA.violations(GOOD | changes)]


def test_a_good_row_has_no_violations() -> None:
    assert SCHEMA.violations(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"alcohol": -1.0}, "alcohol: expected a number 0..100 [vol%], got -1.0", id="range"
        ),
        pytest.param(
            {"alcohol": "4"}, 'alcohol: expected a number 0..100 [vol%], got "4"', id="text"
        ),
        pytest.param(
            {"alcohol": True}, "alcohol: expected a number 0..100 [vol%], got true", id="bool"
        ),
        pytest.param(
            {"alcohol": None}, "alcohol: expected a number 0..100 [vol%], got null", id="null"
        ),
        pytest.param(
            {"age": 44.5},
            "age: expected an integer 18..120 [years] or null, got 44.5",
            id="fraction",
        ),
        pytest.param({"owner": 1}, "owner: expected true or false, got 1", id="one for true"),
        pytest.param(
            {"region": "west"},
            "region: expected one of 'north', 'south' or null, got \"west\"",
            id="category",
        ),
        pytest.param(
            {"region": 7}, "region: expected one of 'north', 'south' or null, got 7", id="code"
        ),
        pytest.param({"colour": "red"}, 'colour: expected no such feature, got "red"', id="extra"),
        pytest.param(
            {"income": 1e39}, "income: expected a number 0..1e+06, got 1e39", id="float32"
        ),
        pytest.param(
            {"income": 10**400},
            f"income: expected a number 0..1e+06, got 1{'0' * 58}…",
            id="huge",
        ),
        pytest.param(
            {"income": math.nan}, "income: expected a number 0..1e+06, got null", id="nan"
        ),
    ],
)
def test_a_bad_value_is_named_with_its_path(changes: dict[str, Any], expected: str) -> None:
    assert problems(**changes) == [expected]


def test_all_faults_of_a_row_are_returned_at_once_under_its_path() -> None:
    found = SCHEMA.violations({"alcohol": 101, "x": 1}, "rows[3]")

    assert [v.path for v in found] == [
        "rows[3].alcohol",
        "rows[3].owner",
        "rows[3].income",
        "rows[3].purpose",
        "rows[3].balance",
        "rows[3].x",
    ]


@pytest.mark.parametrize("row", [None, [], "text", 3, True])
def test_what_is_no_object_is_refused(row: object) -> None:
    assert [v.expected for v in SCHEMA.violations(row)] == ["an object of features"]


def test_policies_clip_and_flag_what_is_outside() -> None:
    row, flags = SCHEMA.apply_policies(GOOD | {"income": -5, "purpose": "boat", "balance": 11})

    assert (row["income"], row["purpose"], row["balance"]) == (0.0, "boat", 11)
    assert flags == ("clipped:income", "unseen:purpose", "out_of_range:balance")


def test_the_matrix_has_numbers_first_and_codes_last() -> None:
    names = [feature.name for feature in SCHEMA.columns]
    full = SCHEMA.matrix([GOOD])
    poor = SCHEMA.matrix([{"purpose": "boat"}])

    assert names == ["alcohol", "age", "owner", "income", "balance", "region", "purpose"]
    assert full.dtype == np.float32
    assert full.tolist() == [[4.5, 44, 1, 1000, 0, 0, 0]]
    assert np.isnan(poor[0, :5]).all()
    assert poor[0, 5:].tolist() == [MISSING_CODE, UNSEEN_CODE]
    assert SCHEMA.matrix([]).shape == (0, 7)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        pytest.param((), "at least one feature", id="none"),
        pytest.param((number("a"), number("a")), "each name once", id="twice"),
        pytest.param((number("a\nb"),), "printable characters", id="name"),
        pytest.param((number(""),), "1 to 200 printable characters", id="no name"),
        pytest.param((number("x" * 201),), "1 to 200 printable characters", id="long name"),
        pytest.param((number("ö"), number("o\u0308")), "each name once", id="two forms"),
        pytest.param((category("a", [1, 2]),), "categories that are text", id="numbers"),  # type: ignore[list-item]  # as a recipe may have them
        pytest.param((number("a", 2, 1),), "minimum <= maximum", id="bounds"),
        pytest.param((category("a", []),), "categories", id="no categories"),
        pytest.param((category("a", ["x", "x"]),), "each category once", id="doubled"),
        pytest.param((number("a", policy="clip"),), "expected a range", id="clip"),
    ],
)
def test_a_schema_that_cannot_be_served_is_refused(
    features: tuple[Feature, ...], reason: str
) -> None:
    with pytest.raises(InvalidRecipe, match=reason):
        Schema(features=features).check()


def test_this_schema_passes_its_own_check() -> None:
    SCHEMA.check()


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["north", "car", "boat"]),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)


@given(st.dictionaries(st.sampled_from([*SCHEMA.names, "x"]), values))
def test_any_row_is_either_refused_or_becomes_finite_numbers(row: dict[str, Any]) -> None:
    if SCHEMA.violations(row):
        return
    applied, flags = SCHEMA.apply_policies(row)
    matrix = SCHEMA.matrix([applied])

    assert not np.isinf(matrix).any()
    assert matrix.shape == (1, 7)
    assert np.abs(np.nan_to_num(matrix)).max() <= FLOAT32_MAX
    assert set(applied) == set(SCHEMA.names)
    assert len(flags) <= len(SCHEMA.names)
    assert 0 <= float(applied["income"] or 0) <= 1e6
