"""The JSON Schema of a model accepts what the model accepts, by a validator that is not ours."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.json_schema import Dialect, feature_schema, row_schema
from contracts.schema import Feature, Policy, Schema, boolean, category, integer, number

policies: st.SearchStrategy[Policy] = st.sampled_from(["reject", "flag"])
ends = st.integers(-5, 5)


@st.composite
def features(draw: st.DrawFn, name: str) -> Feature:
    nullable, policy = draw(st.booleans()), draw(policies)
    low, high = sorted((draw(ends), draw(ends)))
    kinds = [
        number(name, low, high, nullable=nullable, policy=policy),
        integer(name, low, high, nullable=nullable, policy=policy),
        number(name, nullable=nullable),
        boolean(name, nullable=nullable),
        category(name, ("a", "b"), nullable=nullable, policy=policy),
    ]
    return draw(st.sampled_from(kinds))


schemas = st.tuples(features("x"), features("y")).map(lambda both: Schema(features=both))
values = (
    st.none()
    | st.booleans()
    | ends
    | st.floats(-6, 6)
    | st.sampled_from([2.0, 1e39, -1e39, 3.4e38, "a", "c", [], {}])
)
rows = st.fixed_dictionaries({}, optional={"x": values, "y": values, "z": values})


@given(schemas, rows)
def test_a_row_is_valid_exactly_if_it_has_no_violation(schema: Schema, row: dict[str, Any]) -> None:
    validator = jsonschema_rs.Draft202012Validator(row_schema(schema))

    assert validator.is_valid(row) == (not schema.violations(json.loads(json.dumps(row))))


def test_every_feature_says_what_it_expects() -> None:
    age = integer("age", 18, 99, unit="years", description="Age", nullable=True)
    region = category("region", ("north", "south"), nullable=True)

    assert feature_schema(age, "openapi-3.0") == {
        "type": "integer",
        "description": "Age (an integer 18..99 [years] or null)",
        "minimum": 18,
        "maximum": 99,
        "nullable": True,
    }
    assert feature_schema(region)["enum"] == ["north", "south", None]
    assert feature_schema(boolean("new")) == {
        "type": "boolean",
        "description": "(true or false)",
    }


@pytest.mark.parametrize(
    ("dialect", "shown"),
    [("2020-12", {"examples": [{"x": 1.0}]}), ("openapi-3.0", {"example": {"x": 1.0}})],
)
def test_an_example_is_shown_as_the_dialect_does(dialect: Dialect, shown: dict[str, Any]) -> None:
    row = row_schema(Schema(features=(number("x"),)), {"x": 1.0}, dialect)

    assert shown.items() <= row.items()
    assert row["required"] == ["x"]
