"""A file of labels is imported as a whole or refused with the line that is wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidData
from contracts.names import Layout
from monitoring.labels.ingest import add_labels
from monitoring.labels.store import read_labels
from tests.monitoring.labels.scenario import LATER, manifest

BAD = {
    "prediction_id,truth\nid-1,maybe\n": 'line 2: truth: expected one of no, yes, got "maybe"',
    "prediction_id,truth\n,yes\n": (
        'line 2: prediction_id: expected a prediction id of 1 to 128 characters, got ""'
    ),
    "id,truth\n1,yes\n": (
        "expected the columns prediction_id, truth and optionally time, got id, truth"
    ),
    "prediction_id,truth\nid-1,yes,3\n": (
        "line 2: expected an object with prediction_id, truth and optionally time"
    ),
    "prediction_id,truth,time\nid-1,yes,noon\n": "line 2: time: expected RFC 3339 with a zone",
    "prediction_id,truth\n": "expected at least one label, got none",
    "": "expected the columns prediction_id, truth and optionally time, got none",
}


@pytest.mark.parametrize(("text", "says"), BAD.items())
def test_a_wrong_file_is_refused_whole_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    source = tmp_path / "labels.csv"
    source.write_text(text)
    with pytest.raises(InvalidData, match=says):
        add_labels(Layout(tmp_path), manifest(), source, now=LATER)

    assert not Layout(tmp_path).labels("loan").exists()


@given(st.binary(max_size=120), st.sampled_from(["csv", "jsonl"]))
def test_any_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    source = folder / f"labels.{kind}"
    source.write_bytes(data)
    with pytest.raises(InvalidData, match="expected"):
        add_labels(Layout(folder), manifest(), source, now=LATER)


def test_a_regression_takes_numbers_only(tmp_path: Path) -> None:
    source = tmp_path / "labels.jsonl"
    source.write_text('{"prediction_id": "a", "truth": 3}\n{"prediction_id": "b", "truth": 2.5}\n')
    value = manifest(task="regression", classes=())
    added = add_labels(Layout(tmp_path), value, source, now=LATER)
    read = read_labels(Layout(tmp_path), "loan", ())

    assert added.rows == 2
    assert sorted(read.targets) == [2.5, 3.0]
    source.write_text('{"prediction_id": "a", "truth": true}\n')
    with pytest.raises(InvalidData, match="truth: expected a number, got true"):
        add_labels(Layout(tmp_path), value, source, now=LATER)


def test_labels_that_are_not_due_are_counted_with_the_last_day(tmp_path: Path) -> None:
    """The time is in the ids: 22 February 2022, as in RFC 9562, appendix A.6."""
    prediction = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    source = tmp_path / "labels.csv"
    source.write_text(
        "prediction_id,truth\n017f22e2-79b0-7cc3-98c4-dc0c0c07398f,yes\nno-time-in-it,no\n"
    )
    delayed, at_once = manifest(label_delay_s=90 * 86_400.0), manifest(label_delay_s=0.0)
    early, late = (prediction + timedelta(days=days) for days in (89, 91))

    added = add_labels(Layout(tmp_path), delayed, source, now=early)
    assert (added.not_due, added.all_due_at) == (1, "2022-05-23T19:22:22Z")
    assert add_labels(Layout(tmp_path), delayed, source, now=late).not_due == 0
    assert add_labels(Layout(tmp_path), at_once, source, now=prediction).not_due == 0
