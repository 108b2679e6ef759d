"""Labels are read strictly, whoever wrote them."""

import json
import os
from pathlib import Path

import pytest

from contracts.errors import InvalidDocument
from contracts.names import Layout
from monitoring.labels.compaction import compact_labels
from monitoring.labels.store import read_labels
from tests.monitoring.labels.scenario import DAY, LATER, judged, write_labelled_day


def test_labels_that_cannot_be_read_are_an_error_and_not_a_number(tmp_path: Path) -> None:
    layout, _ = write_labelled_day(tmp_path, 500)
    folder = layout.labels("loan")
    for path in folder.glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    compact_labels(layout, "loan", now=LATER)
    part = next(folder.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-5])

    with pytest.raises(InvalidDocument, match="expected the labels that compaction wrote"):
        judged(layout)


@pytest.mark.parametrize(
    ("classes", "sent"),
    [
        (("1234567", "7654321"), [1234567, 7654321.0, "1234567"]),
        (("False", "True"), [False, True, "False"]),
        (("0.0", "1.0"), [0, 1, "0.0"]),
    ],
)
def test_truths_that_something_else_appended_are_read_as_their_class(
    tmp_path: Path, classes: tuple[str, ...], sent: list[object]
) -> None:
    """Numbers alone, and numbers and text in one file, before and after compaction."""
    folder = Layout(tmp_path).labels("loan")
    folder.mkdir(parents=True)
    for name, truths in (("a", sent[:2]), ("b", sent)):
        rows = [
            {"prediction_id": f"{name}{i}", "truth": t, "time": "2026-02-01T00:00:00.000000Z"}
            for i, t in enumerate(truths)
        ]
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    before = read_labels(Layout(tmp_path), "loan", classes)
    compact_labels(Layout(tmp_path), "loan", now=LATER)
    after = read_labels(Layout(tmp_path), "loan", classes)

    assert sorted(before.targets.tolist()) == [0, 0, 0, 1, 1]
    assert before.unusable == 0
    assert after.targets.tolist() == before.targets.tolist()
