"""CSV to `/invocations` gets what MLflow's scoring server answers for the same table."""

import json
import unicodedata
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_fields

from contracts.schema import Schema, category, number
from services.faults import Fault
from services.inference.decode import Decoder
from services.protocols.invocations_csv import InvocationsCsv
from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import JSON, ask
from tests.services.test_protocols import MANIFEST, ROWS, TINY

CSV = {"content-type": "text/csv; charset=utf-8"}
PATH = "/models/tiny/invocations"
READ = InvocationsCsv(TINY).read


@pytest.mark.parametrize("index", [True, False])
def test_a_frame_as_pandas_writes_it_gets_the_predictions_of_its_json(
    service: Service, *, index: bool
) -> None:
    frame = pd.DataFrame(ROWS)
    body = json.dumps({"dataframe_records": ROWS}).encode()
    _, expected, _ = ask(service, PATH, body)
    status, answer, _ = ask(service, PATH, frame.to_csv(index=index).encode(), headers=CSV)

    assert (status, answer) == (200, expected)
    assert len(answer["predictions"]) == 3


def test_the_same_values_are_read_as_by_pandas() -> None:
    """The oracle is `pandas.read_csv`, which MLflow's scoring server calls."""
    text = pd.DataFrame(ROWS * 2).to_csv(index=False)
    frame = pd.read_csv(pd.io.common.StringIO(text))
    rows, _ = READ(text.encode(), 10)
    read = [json.loads(bytes(each)) for each in rows.features]

    for name in tiny.GOOD:
        missing = [row[name] is None for row in read]
        assert missing == frame[name].isna().tolist()
        assert [r[name] for r in read if r[name] is not None] == frame[name].dropna().tolist()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_and_categories_may_have_any_form_of_unicode(form: Literal["NFC", "NFD"]) -> None:
    schema = Schema(features=(number("größe", 0, 10), category("straße", ["süd", "nord"])))
    model = replace(TINY, manifest=replace_fields(MANIFEST, schema=schema), decoder=Decoder(schema))
    text = unicodedata.normalize(form, "größe,straße\n1.5,süd\n")
    rows, _ = InvocationsCsv(model).read(text.encode(), 10)

    assert np.array(rows.numbers).tolist() == [[1.5, 0.0]]


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("", "invalid_request", "body"),
        ("age\n", "invalid_request", "rows"),
        ("age,age\n1,2\n", "invalid_request", "columns.age"),
        ("age,work\n1\n", "invalid_request", "rows[0]"),
        ('age,work\n1,"yes\n', "invalid_csv", "body: expected CSV"),
        ("age\n" + "9" * 100_000 + "\n", "invalid_request", "rows[0].age"),
        ("age\n" + "9" * 200_000 + "\n", "invalid_csv", "field limit"),
        ("age\n1_0\n", "invalid_request", "rows[0].age"),
        ("age\ninf\n", "invalid_request", "rows[0].age"),
        ("age\nforty\n", "invalid_request", "rows[0].age"),
        ("age\n" + "40\n" * 11, "body_too_large", "at most 10"),
        ("alter\n40\n", "invalid_request", "rows[0].alter"),
    ],
)
def test_a_bad_table_gets_the_reason(text: str, code: str, where: str) -> None:
    with pytest.raises(Fault) as caught:
        READ(text.encode(), 10)

    assert caught.value.code == code
    assert where in f"{caught.value} {[v.path for v in caught.value.violations]}"


@given(st.binary(max_size=300) | st.text("age,work\n\"'40.\r;", max_size=300).map(str.encode))
def test_any_bytes_raise_nothing_but_a_fault(body: bytes) -> None:
    with suppress(Fault):
        READ(body, 10)


def test_only_invocations_read_csv(service: Service) -> None:
    status, answer, _ = ask(service, "/models/tiny/predict", b"age\n1\n", headers=CSV)
    assert status == 415
    assert "content-type: expected application/json in UTF-8, got" in answer["error"]["message"]
    _, answer, _ = ask(service, PATH, b"age\n1\n", headers={"content-type": "text/plain"})
    assert "expected application/json or text/csv in UTF-8" in answer["error"]["message"]


def test_values_of_every_type_come_through_the_text_unchanged(service: Service) -> None:
    rows: list[dict[str, Any]] = [
        tiny.GOOD | {"age": float(age), "income": None if age % 3 else 1000.5 * age}
        for age in np.linspace(18, 100, 20).round(2)
    ]
    text = pd.DataFrame(rows).to_csv(index=False)
    _, by_csv, _ = ask(service, PATH, text.encode(), headers=CSV)
    _, by_json, _ = ask(service, PATH, json.dumps({"inputs": rows}).encode(), headers=JSON)

    assert by_csv == by_json
