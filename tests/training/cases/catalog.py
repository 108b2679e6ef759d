"""All cases by name."""

from collections.abc import Callable
from typing import Any

from tests.training.cases import classifiers, regressors, steps
from tests.training.cases.table import Case, Kind

_GROUPS: tuple[tuple[Kind, bool, dict[str, Callable[[], Any]]], ...] = (
    ("two", False, classifiers.BINARY),
    ("two", False, steps.STEPS),
    ("two", True, steps.GAPPY),
    ("value", False, regressors.VALUES),
    ("count", False, regressors.COUNTS),
    ("three", False, classifiers.THREE),
    ("pair", False, regressors.PAIRS),
)
CASES: dict[str, Case] = {
    name: Case(kind, estimator, gaps)
    for kind, gaps, group in _GROUPS
    for name, estimator in group.items()
}
"""Every case by name."""
