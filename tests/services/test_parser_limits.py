"""No request body costs more than its size, is answered by more, or raises anything but a fault."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.faults import Fault
from services.inference.json_body import MAX_DEPTH
from services.protocols import tensors
from services.protocols.labels import labels_of
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
