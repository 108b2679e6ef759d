"""Values become columns of the type of a reference."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contracts.reference import CategoryReference, ColumnReference
from monitoring.traffic.decode import series_of
from training.reference import number_reference

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(st.one_of(st.none(), st.booleans(), st.text(max_size=2), numbers, st.integers())))
def test_a_value_is_of_the_columns_type_or_mistyped_or_missing(values: list[object]) -> None:
    kinds: list[tuple[ColumnReference, tuple[type, ...]]] = [
        (number_reference(np.array([1.0, 2.0])), (int, float)),
        (CategoryReference(counts={"a": 1}, missing=0), (str,)),
        (CategoryReference(counts={"true": 1}, missing=0), (bool,)),
        (CategoryReference(counts={}, missing=9), (bool, str)),
    ]
    for column, types in kinds:
        series, wrong = series_of(column, values)
        right = sum(type(v) in types for v in values)

        assert len(series) == len(values)
        assert len(series) - series.null_count() == right
        assert wrong == len(values) - right - values.count(None)
