"""No request body costs more than its size, is answered by more, or raises anything but a fault."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.faults import Fault
from services.inference.json_body import MAX_DEPTH
from services.protocols import table, tensor_decoder, tensors
from services.protocols.batch import batch_rows
from services.protocols.fault_body import fault_body, row_fault
from services.protocols.labels import labels_of
from services.protocols.open_inference import OpenInference
from services.protocols.row import PredictRow
from tests import tiny
from tests.services.test_protocols import MANIFEST, READERS, TINY

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROUTES: dict[str, Callable[[bytes], object]] = {
    **READERS,
    "row": lambda body: PredictRow(TINY).read(body, 10),
    "labels": lambda body: labels_of(body, MANIFEST, 10, NOW),
}
NESTED = [
    "%s",
    '{"dataframe_records":[%s]}',
    '{"dataframe_records":[{"age":%s}]}',
    '{"dataframe_split":{"columns":["age"],"data":[[%s]]}}',
    '{"rows":[{"age":%s}]}',
    '{"columns":{"age":[%s]}}',
    '{"age":%s}',
    '{"age":"\\u0041","x":%s}',
    '{"inputs":[{"name":"age","shape":[1],"datatype":"FP64","data":%s}]}',
    '{"inputs":[{"name":"age","shape":%s,"datatype":"FP64","data":[1]}]}',
    '{"inputs":[],"parameters":%s}',
    '{"truth":%s,"prediction_id":"a"}',
]


def fault_of(route: str, body: bytes) -> Fault:
    """The fault of a request, or of the first row of a batch."""
    try:
        result: Any = ROUTES[route](body)
    except Fault as fault:
        return fault
    refused: Fault = result[0].refused[0]
    return refused


def infer_body(shape: str) -> bytes:
    return b'{"inputs":[{"name":"x","datatype":"FP64","shape":%b,"data":[1]}]}' % shape.encode()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("around", NESTED)
def test_nesting_of_any_depth_is_a_fault(route: str, around: str) -> None:
    for depth in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 300, *range(966, 976), 2000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            body = around.replace("%s", opening * depth + "1" + closing * depth).encode()
            fault = fault_of(route, body)
            if depth > MAX_DEPTH:
                assert fault.code == "invalid_json", (depth, opening)


def test_nesting_up_to_the_limit_is_read() -> None:
    nested = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    body = f'{{"inputs":[],"parameters":{nested}}}'.encode()

    assert fault_of("infer", body).code == "invalid_request"


@pytest.mark.parametrize(
    "shape",
    [
        [int("9" * 4000)] * 2,
        [int("9" * 4000)] * 900,
        [2**31],
        [1] * (tensors.MAX_RANK + 1),
        [1] * 100_000,
        [10**9] * tensors.MAX_RANK,
        [],
        [True],
        [-1],
        [1.0],
        {"a": 1},
        "1" * 100_000,
    ],
)  # fmt: skip
def test_a_shape_is_checked_before_it_is_multiplied(
    shape: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bounded_prod(numbers: list[int]) -> int:
        assert len(numbers) <= tensors.MAX_RANK
        assert max(numbers) <= tensors.MAX_DIMENSION
        product = 1
        for number in numbers:
            product *= number
        return product

    monkeypatch.setattr(tensors, "prod", bounded_prod)
    fault = fault_of("infer", infer_body(json.dumps(shape)))

    assert fault.code == "invalid_request"
    assert len(str(fault)) < 400


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("digits", [300, 400, 4300, 4301, 100_000])
def test_numbers_of_many_digits_are_faults(route: str, digits: int) -> None:
    for around in NESTED:
        for number in ("9" * digits, "-" + "9" * digits, "9" * digits + ".5"):
            fault = fault_of(route, around.replace("%s", number).encode())
            assert fault.code in {"invalid_json", "invalid_request"}
            assert len(str(fault)) < 500


@pytest.mark.parametrize("route", ["row", "batch", "invocations"])
@pytest.mark.parametrize(("number", "sign"), [("1e400", ""), ("-1e400", "-")])
def test_a_number_beyond_float64_is_reported_as_infinity(
    route: str, number: str, sign: str
) -> None:
    row = json.dumps(tiny.GOOD | {"age": 0}).replace('"age": 0', f'"age": {number}')
    around = {"row": "%s", "batch": '{"rows":[%s]}', "invocations": '{"dataframe_records":[%s]}'}
    body = around[route].replace("%s", row).encode()

    assert [v.got for v in fault_of(route, body).violations] == [
        f"{sign}infinity, which is beyond float64"
    ]


def answer_to(route: str, body: bytes) -> bytes:
    """The encoded errors that a client gets."""
    try:
        result: Any = ROUTES[route](body)
    except Fault as fault:
        encoded = OpenInference.fault_body if route == "infer" else fault_body
        return encoded(fault, "request")
    return b",".join(map(row_fault, result[0].refused.values()))


def keys(n: int, value: str = "0") -> str:
    return ",".join(f'"k{index}":{value}' for index in range(n))


LONG = "x" * 100_000
MANY_ERRORS = {
    "empty rows": '{"rows":[' + ",".join(["{}"] * 10) + "]}",
    "unknown keys": "{" + keys(20_000) + "}",
    "doubled keys": "{" + keys(2_000) + "," + keys(2_000) + "}",
    "rows of unknown keys": '{"rows":[{' + keys(5_000) + "},{" + keys(5_000) + "}]}",
    "records of unknown keys": '{"dataframe_records":[{' + keys(5_000) + "}]}",
    "columns that are no lists": '{"columns":{' + keys(5_000) + "}}",
    "uneven columns": '{"inputs":{"a":[],' + keys(5_000, "[1]") + "}}",
    "unknown columns": '{"columns":{' + keys(5_000, "[1]") + "}}",
    "unknown fields": '{"inputs":[],' + keys(5_000) + "}",
    "unknown outputs": '{"inputs":[],"outputs":[' + ",".join(["3"] * 5_000) + "]}",
    "tensors": '{"inputs":['
    + ",".join(
        f'{{"name":"t{index}","datatype":"{LONG[:50]}","shape":[3],"data":[1,2,3]}}'
        for index in range(2_000)
    )
    + "]}",
    "labels": '{"labels":[{' + keys(5_000) + "}]}",
    "a long key": f'{{"{LONG}":1}}',
    "a long key in rows": f'{{"rows":[{{"{LONG}":1}}]}}',
    "a long key twice": f'{{"{LONG}":1,"{LONG}":1}}',
    "a long name": f'{{"dataframe_split":{{"columns":["{LONG}"],"data":[[1]]}}}}',
    "a long name twice": f'{{"dataframe_split":{{"columns":["{LONG}","{LONG}"],"data":[]}}}}',
    "a long datatype": '{"inputs":[{"name":"age","shape":[1],"data":[1],'
    f'"datatype":"{LONG}"}}]}}',
    "a long value": f'{{"age":"{LONG}"}}',
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", MANY_ERRORS.values(), ids=MANY_ERRORS)
def test_an_answer_is_bounded_however_many_errors(route: str, body: str) -> None:
    answer = answer_to(route, body.encode())

    assert len(answer) <= 4 * len(body) + 64_000
    assert answer.count(b'"path"') <= 100
    assert max(map(len, re.findall(rb"\w+", answer))) <= 200


def test_many_bad_rows_of_a_batch_have_short_errors_or_one() -> None:
    rows = [{"age": 1, "padding": "x" * 50}] * 4096
    refused = batch_rows(json.dumps({"rows": rows}).encode(), TINY.decoder, 4096).refused
    listed = sum(len(fault.violations) for fault in refused.values())

    assert len(refused) == 4096
    assert listed <= 100
    assert not refused[4095].violations
    with pytest.raises(Fault) as caught:
        batch_rows(b'{"rows":[' + b",".join([b"{}"] * 4096) + b"]}", TINY.decoder, 4096)
    assert len(fault_body(caught.value, "request")) < 64_000


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("batch", '{"columns":{"age":[%s]}}'),
        ("batch", '{"rows":[%s]}'),
        ("invocations", '{"dataframe_split":{"columns":["age"],"data":[%s]}}'),
        ("invocations", '{"inputs":{"age":[%s]}}'),
        ("infer", '{"inputs":[{"name":"age","datatype":"FP64","shape":[11],"data":[%s]}]}'),
    ],
)
def test_rows_are_counted_before_they_are_made(
    route: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_rows(*args: object) -> None:
        raise AssertionError(f"a table was made of {args}")

    for module in (table, tensor_decoder):
        monkeypatch.setattr(module, "Table", no_rows)
        monkeypatch.setattr(module, "zip", no_rows, raising=False)
    fault = fault_of(route, body.replace("%s", ",".join(["1"] * 11)).encode())

    assert fault.code == "body_too_large"
