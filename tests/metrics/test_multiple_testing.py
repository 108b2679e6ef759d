"""The p-values of several tests, corrected for their number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.multiple_testing import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)

    for raw, one in zip(p_values, corrected, strict=True):
        assert raw - 1e-12 <= one <= min(raw * len(p_values), 1) + 1e-12
    assert min(corrected) == pytest.approx(min(min(p_values) * len(p_values), 1))
