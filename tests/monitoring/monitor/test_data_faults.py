"""Faults of the data come before drift in a verdict, and name their column and segment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import Workplace
from tests.monitoring.monitor.scenario import judge, served_rows, write

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str, str]] = {
    "missing": (lambda r: r | {"income": None}, "income", "vanished"),
    "unseen": (lambda r: r | {"region": "west"}, "region", "unseen"),
    "range": (lambda r: r | {"lines": (r["lines"] or 0) + 4000}, "lines", "out_of_range"),
    "unit": (lambda r: r | {"lines": (r["lines"] or 0) * 1000}, "lines", "unit"),
    "infinite": (lambda r: r | {"income": 1e308}, "income", "out_of_range"),
    "text": (lambda r: r | {"age": "old"}, "age", "type_change"),
    "numbers": (lambda r: r | {"owner": 1.0}, "owner", "type_change"),
    "column": (lambda r: r | {"shoe": 42.0}, "shoe", "new_column"),
    "null": (lambda _: {}, "work", "vanished"),
    "constant": (lambda r: r | {"age": 33.0}, "age", "constant"),
}


@pytest.mark.usefixtures("without_evidently")
@pytest.mark.parametrize(("change", "column", "fault"), BROKEN.values(), ids=BROKEN.keys())
def test_a_fault_of_the_data_comes_before_drift(
    served: Workplace, change: Callable[[dict[str, Any]], dict[str, Any]], column: str, fault: str
) -> None:

    records = served_rows(served, 400, 5)
    write(served, [msgspec.structs.replace(r, features=change(dict(r.features))) for r in records])
    verdict = judge(served)

    assert verdict.decision == "quality"
    assert (column, fault) in {(q.column, q.fault) for q in verdict.quality}
    assert fault in verdict.sentence


def test_records_that_come_twice_are_a_fault(served: Workplace) -> None:
    records = served_rows(served, 300, 5)
    write(served, records)
    write(served, records[:30])
    faults = {(q.column, q.fault): q.share for q in judge(served).quality}

    assert faults["prediction_id", "duplicates"] == pytest.approx(30 / 330)


@pytest.mark.usefixtures("without_evidently")
def test_the_segment_that_stopped_filling_a_field_is_named(served: Workplace) -> None:

    records = served_rows(served, 800, 11)
    lost: dict[Any, dict[str, None]] = {"no": {"income": None}, "yes": {}}
    write(
        served,
        [
            msgspec.structs.replace(r, features=r.features | lost[r.features["work"]])
            for r in records
        ],
    )
    verdict = judge(served)
    fault = next(f for f in verdict.quality if (f.column, f.fault) == ("income", "missing"))

    assert fault.segment == "work = no"
    assert fault.segment_share > 0.8
    assert "of it in work = no" in Path(verdict.report).read_text()
