"""Labels are accepted whole, or refused with their path, and are not lost."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import PlatformError
from contracts.manifest import Manifest
from services.faults import Fault
from services.protocols.labels import labels_of
from slipway.label_client import send_labels
from tests.services.conftest import Service
from tests.services.http_client import ask, metric

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "contracts/golden/manifest.v1.json"
MANIFEST = msgspec.structs.replace(Manifest.read(GOLDEN.read_bytes()), classes=("no", "yes"))
NUMBERS = msgspec.structs.replace(MANIFEST, classes=())


def wrong_paths(document: object, manifest: Manifest = MANIFEST) -> list[str]:
    try:
        labels_of(json.dumps(document).encode(), manifest, 10, NOW)
    except Fault as fault:
        return [v.path for v in fault.violations] or [fault.code]
    return []


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        ({"prediction_id": "a", "truth": "yes"}, []),
        ({"labels": [{"prediction_id": "a", "truth": "no"}] * 10}, []),
        ({"prediction_id": "a", "truth": "yes", "time": "2026-01-31T12:00:00+02:00"}, []),
        ({"prediction_id": "a", "truth": "maybe"}, ["truth"]),
        ({"prediction_id": "a", "truth": 1}, ["truth"]),
        ({"prediction_id": "a"}, ["truth"]),
        ({"prediction_id": "", "truth": "yes"}, ["prediction_id"]),
        ({"prediction_id": 7, "truth": "yes", "x": 1}, ["x", "prediction_id"]),
        ({"prediction_id": "a", "truth": "yes", "time": "yesterday"}, ["time"]),
        ({"prediction_id": "a", "truth": "yes", "time": "2026-01-31T12:00:00"}, ["time"]),
        ({"prediction_id": "a", "truth": "yes", "time": "0001-01-01T00:00:00+10:00"}, ["time"]),
        ({"labels": [{"prediction_id": "a", "truth": "no"}, 3]}, ["labels[1]"]),
        ({"labels": []}, ["labels"]),
        ({"labels": [{"prediction_id": "a", "truth": "no"}] * 11}, ["body_too_large"]),
        ([], ["body"]),
    ],
)
def test_a_label_is_accepted_or_refused_with_its_path(document: object, paths: list[str]) -> None:
    assert wrong_paths(document) == paths


@pytest.mark.parametrize(
    ("truth", "paths"),
    [(1.5, []), (3, []), ("3", []), (True, ["truth"]), ("x", ["truth"]), (10**400, ["truth"])],
)
def test_a_regressions_truth_is_a_number(truth: Any, paths: list[str]) -> None:
    assert wrong_paths({"prediction_id": "a", "truth": truth}, NUMBERS) == paths


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
fields = st.dictionaries(st.sampled_from(["labels", "prediction_id", "truth", "time", "x"]), values)


@given(fields | st.builds(lambda each: {"labels": each}, st.lists(fields | values)))
def test_no_document_raises_anything_but_a_fault(document: object) -> None:
    with suppress(Fault):
        labels_of(json.dumps(document).encode(), MANIFEST, 10, NOW)


@pytest.mark.slow
def test_what_was_accepted_is_in_the_log_before_the_answer(service: Service) -> None:
    body = {"labels": [{"prediction_id": f"p{n}", "truth": "yes"} for n in range(3)]}
    before = metric(service, 'slipway_labels_total{model="tiny"}')
    status, answer, _ = ask(service, "/models/tiny/labels", json.dumps(body).encode())
    lines = [
        json.loads(line)
        for path in service.layout.labels("tiny").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]

    assert (status, answer) == (200, {"accepted": 3})
    assert {(line["prediction_id"], line["truth"]) for line in lines} >= {
        ("p0", "yes"),
        ("p1", "yes"),
        ("p2", "yes"),
    }
    assert metric(service, 'slipway_labels_total{model="tiny"}') == before + 3
    refused, told_of, _ = ask(service, "/models/tiny/labels", b'{"prediction_id": "p"}')
    assert (refused, told_of["error"]["violations"][0]["path"]) == (422, "truth")
    assert ask(service, "/labels", b"{}")[0] == 404


@pytest.mark.slow
def test_the_client_of_simulate_sends_any_number_of_labels(service: Service) -> None:
    labels = [{"prediction_id": f"client-{i}", "truth": "yes"} for i in range(1_100)]

    assert send_labels(service.url, "tiny", labels) == 1_100
    with pytest.raises(PlatformError, match=r"expected .*/labels to answer 200, got 422"):
        send_labels(service.url, "tiny", [{"prediction_id": "a", "truth": "maybe"}])
