"""A label is valid by one rule, whether it comes in a request or in a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidData
from contracts.labels import Label, label_of, label_violations, parse_truth
from contracts.manifest import Manifest
from contracts.names import Layout
from monitoring.labels.ingest import add_labels
from services.faults import Fault
from services.protocols.labels import labels_of
from tests.contracts.test_documents import GOLDEN

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MANIFEST = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())


@pytest.mark.parametrize(
    ("value", "classes", "truth"),
    [
        ("yes", ("no", "yes"), "yes"),
        ("YES", ("no", "yes"), None),
        (1, ("0", "1"), "1"),
        (1.0, ("0", "1"), "1"),
        ("1", ("0", "1"), "1"),
        (1, ("0.0", "1.0"), "1.0"),
        (1.5, ("0.5", "1.5"), "1.5"),
        (1234567, ("1234567", "7654321"), "1234567"),
        (True, ("false", "true"), "true"),
        (False, ("False", "True"), "False"),
        (True, ("0", "1"), None),
        ("true", ("False", "True"), None),
        (None, ("None", "x"), None),
        (float("nan"), ("nan", "x"), None),
        (10**400, ("0", "1"), None),
        (2.5, (), 2.5),
        (3, (), 3.0),
        ("3.5", (), 3.5),
        ("three", (), None),
        (True, (), None),
        (float("inf"), (), None),
        ("nan", (), None),
        (10**400, (), None),
        ([1], (), None),
    ],
)
def test_a_truth_is_spelt_as_the_manifest_spells_it(
    value: object, classes: tuple[str, ...], truth: str | float | None
) -> None:
    assert parse_truth(value, classes) == truth


def test_a_label_without_a_time_is_of_now_and_another_time_is_kept_in_utc() -> None:
    row: dict[str, object] = {"prediction_id": "a", "truth": "yes"}
    times = {None: "2026-01-31T12:00:00.000000Z", "": "2026-01-31T12:00:00.000000Z"}
    times["2026-01-31T09:30:00+02:00"] = "2026-01-31T07:30:00.000000Z"

    for given_time, kept in times.items():
        assert label_of(row | {"time": given_time}, ("no", "yes"), NOW).time == kept
    assert label_of(row, ("no", "yes"), NOW).time == "2026-01-31T12:00:00.000000Z"


def test_a_label_from_the_future_is_of_now_so_that_a_correction_wins() -> None:
    row: dict[str, object] = {"prediction_id": "a", "truth": "yes"}
    ahead = label_of(row | {"time": "2999-01-01T00:00:00Z"}, ("no", "yes"), NOW)

    assert ahead.time == "2026-01-31T12:00:00.000000Z"


def test_everything_that_is_wrong_is_said_with_its_path() -> None:
    wrong = {"prediction_id": "", "truth": "maybe", "time": "noon", "x": 1}

    assert [str(v) for v in label_violations(wrong, ("no", "yes"), "labels[3].")] == [
        "labels[3].x: expected no such field, got a value",
        'labels[3].prediction_id: expected a prediction id of 1 to 128 characters, got ""',
        'labels[3].truth: expected one of no, yes, got "maybe"',
        'labels[3].time: expected RFC 3339 with a zone, got "noon"',
    ]
    assert [str(v) for v in label_violations({}, ())] == [
        "prediction_id: expected a prediction id of 1 to 128 characters, got nothing",
        "truth: expected a number, got nothing",
    ]
    assert [v.path for v in label_violations(3, (), "labels[3].")] == ["labels[3]"]


truths = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | st.sampled_from(["0", "1", "1.0", "true", "True", "yes", "2.5", "x", ""])
given_labels: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"prediction_id": st.sampled_from(["a", "", "a" * 129]), "truth": truths},
    optional={
        "time": st.sampled_from([None, "", "2026-01-31T12:00:00Z", "noon", 3, []]),
        "x": st.none(),
    },
)
classes_of_models = st.sampled_from([("0", "1"), ("false", "true"), ("no", "yes"), ()])


def from_request(given_label: dict[str, Any], manifest: Manifest) -> Label | None:
    try:
        (label,) = labels_of(json.dumps(given_label).encode(), manifest, 10, NOW)
    except Fault:
        return None
    return label


def from_file(given_label: dict[str, Any], manifest: Manifest, folder: Path) -> Label | None:
    source = folder / "labels.jsonl"
    source.write_text(json.dumps(given_label))
    try:
        added = add_labels(Layout(folder), manifest, source, now=NOW)
    except InvalidData:
        return None
    return msgspec.json.decode(added.path.read_bytes(), type=Label)


@given(given_labels, classes_of_models)
def test_a_request_and_a_file_take_the_same_labels(
    tmp_path_factory: pytest.TempPathFactory,
    given_label: dict[str, Any],
    classes: tuple[str, ...],
) -> None:
    manifest = msgspec.structs.replace(MANIFEST, classes=classes)
    taken = from_request(given_label, manifest)

    assert from_file(given_label, manifest, tmp_path_factory.mktemp("labels")) == taken
