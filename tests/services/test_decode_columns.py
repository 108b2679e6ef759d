"""Columns are read as the same values row by row: the same rows, or the same faults."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from msgspec.structs import replace as changed
from numpy.typing import NDArray

from contracts.onnx_session import FLOAT32, FLOAT64
from contracts.schema import Schema, boolean, category, integer, number
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.decode_columns import MIN_COLUMN_ROWS, ColumnDecoder
from services.inference.rows import InputType, Rows, model_input
from services.protocols import tensor_decoder
from services.protocols.binary_tensors import DTYPES, json_values
from services.protocols.tensor_decoder import TensorDecoder
from services.protocols.tensors import DATATYPES, NUMBERS, Tensor
from tests import tiny
from tests.services.test_protocols import TINY

WIDE = Schema(
    features=(
        category("flagged", ["north", "größe"], nullable=True, policy="flag"),
        number("free"),
        number("clipped", -1, 1.5, nullable=True, policy="clip"),
        integer("whole", 0, 50, policy="clip"),
        integer("counted", -3, 2**60, nullable=True, policy="flag"),
        boolean("owner"),
        boolean("maybe", nullable=True),
        category("strict", ["yes", "no"]),
    )
)
N_ROWS = MIN_COLUMN_ROWS + 3


def model_with(schema: Schema, dtype: np.dtype[Any] = FLOAT32) -> Any:
    manifest = changed(TINY.manifest, schema=schema)
    return replace(TINY, manifest=manifest, decoder=Decoder(schema, dtype))


def numbers(datatype: str, n_rows: int = N_ROWS) -> st.SearchStrategy[NDArray[Any]]:
    """Columns of a type, in most of which every value is valid."""
    dtype = np.dtype(DTYPES[datatype])
    anything = npst.from_dtype(dtype)
    common: st.SearchStrategy[Any] = st.sampled_from([0, 1])
    if dtype.kind == "f":
        common = st.sampled_from([0.0, -0.0, 1.0, 0.1, 1.5, -1.0, 40.0, 1e4])
    fair = st.one_of(common, st.integers(0, 60).map(dtype.type))
    elements = st.one_of(fair, st.just(np.nan), anything) if dtype.kind == "f" else fair | anything
    return st.one_of(
        npst.arrays(dtype, n_rows, elements=common),
        npst.arrays(dtype, n_rows, elements=fair),
        npst.arrays(dtype, n_rows, elements=elements),
    )


def strings(n_rows: int = N_ROWS) -> st.SearchStrategy[list[str]]:
    known = st.sampled_from(["north", "größe", "yes", "no"])
    composed = st.sampled_from(["gro\u0308ße", "yes", "north"])
    choices = st.sampled_from(["yes", "no"]), st.sampled_from(["north", "größe", "gro\u0308ße"])
    anything = known | composed | st.text(max_size=3)
    return st.one_of(
        *(st.lists(each, min_size=n_rows, max_size=n_rows) for each in (*choices, anything))
    )


@st.composite
def by_feature(draw: st.DrawFn, schema: Schema, n_rows: int = N_ROWS) -> list[tuple[str, str, Any]]:
    """Name, datatype and values of a tensor per feature; what may be missing may be left out."""
    found = []
    for feature in schema.features:
        if feature.nullable and draw(st.booleans()):
            continue
        datatype = draw(st.sampled_from(sorted(DATATYPES[feature.type])))
        column = draw(strings(n_rows) if datatype == "BYTES" else numbers(datatype, n_rows))
        found.append((feature.name, datatype, column))
    return found


def outcome(decoder: TensorDecoder, tensors: Sequence[Tensor], dtype: InputType) -> Any:
    """Everything that follows from a request: rows as they are logged and scored, or the fault."""
    try:
        rows = decoder.rows(tensors, 100)
    except Fault as fault:
        return fault.code, fault.message, fault.violations
    matrix = model_input([rows], dtype)
    assert isinstance(matrix, np.ndarray)
    return [bytes(text) for text in rows.features], matrix.tobytes(), list(rows.flags)


def meaning(found: Any) -> Any:
    """An outcome in which 0 and 0.0 are the same number, as they are in JSON."""
    texts, *rest = found
    return [json.loads(text) for text in texts] if isinstance(texts, list) else texts, *rest


def check(model: Any, columns: list[tuple[str, str, Any]], shape: list[int]) -> Any:
    decoder, dtype = TensorDecoder(model), model.decoder.dtype
    by_column = [Tensor(n, t, shape, n, column=c) for n, t, c in columns]
    by_row = [Tensor(n, t, shape, n, listed=json_values(t, c)) for n, t, c in columns]
    found = outcome(decoder, by_column, dtype)

    assert found == outcome(decoder, by_row, dtype)
    return found


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@settings(max_examples=25)
@given(data=st.data())
def test_a_tensor_per_feature_is_read_as_its_rows(
    dtype: np.dtype[Any], data: st.DataObject
) -> None:
    check(model_with(WIDE, dtype), data.draw(by_feature(WIDE)), [N_ROWS])


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@settings(max_examples=25)
@given(data=st.data())
def test_a_matrix_is_read_as_its_rows(dtype: np.dtype[Any], data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(sorted(NUMBERS)))
    columns = [data.draw(numbers(datatype)) for _ in WIDE.columns]
    matrix = np.stack(columns, axis=1).reshape(-1)

    check(model_with(WIDE, dtype), [("x", datatype, matrix)], [N_ROWS, len(columns)])


GOOD = {
    "region": ["north", "west"] * N_ROWS,
    "age": np.array([40.0, 18.5] * N_ROWS),
    "income": np.array([2e6, np.nan] * N_ROWS),
    "lines": np.array([3, 99] * N_ROWS),
    "owner": np.array([1, 0] * N_ROWS, dtype=np.uint8),
    "work": ["yes", "no"] * N_ROWS,
}


def direct(schema: Schema, columns: dict[str, Any]) -> Rows | None:
    return ColumnDecoder(schema).rows(columns, len(next(iter(columns.values()))))


def test_clipped_flagged_and_missing_values_stay_on_the_short_way() -> None:
    """The property above would hold as well if no column were ever read directly."""
    rows = direct(tiny.SCHEMA, GOOD)

    assert rows is not None
    assert rows.flags[:2] == [("clipped:income",), ("unseen:region", "out_of_range:lines")]
    assert bytes(rows.features[1]) == (
        b'{"age":18.5,"income":null,"lines":99,"owner":false,"region":"west","work":"no"}'
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_column_that_breaks_the_schema_is_left_to_the_rows(name: str) -> None:
    bad = {
        "age": np.full(2 * N_ROWS, 17.0),
        "income": np.full(2 * N_ROWS, np.inf),
        "lines": np.full(2 * N_ROWS, 0.5),
        "owner": np.full(2 * N_ROWS, 2),
        "region": np.full(2 * N_ROWS, 3),
        "work": ["perhaps"] * 2 * N_ROWS,
    }

    assert direct(tiny.SCHEMA, GOOD | {name: bad[name]}) is None


@pytest.mark.parametrize("n_rows", [1, 3])
@settings(max_examples=25)
@given(data=st.data())
def test_few_rows_are_read_as_each_of_them(n_rows: int, data: st.DataObject) -> None:
    """They take another short way; without it, the same values as JSON are read row by row."""
    model = model_with(WIDE)
    columns = data.draw(by_feature(WIDE, n_rows))
    found = check(model, columns, [n_rows])
    listed = [Tensor(n, t, [n_rows], n, listed=json_values(t, c)) for n, t, c in columns]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_decoder, "MIN_COLUMN_ROWS", 0)
        expected = outcome(TensorDecoder(model), listed, model.decoder.dtype)

    assert meaning(found) == meaning(expected)


@settings(max_examples=25)
@given(data=st.data())
def test_one_row_of_a_matrix_is_read_as_its_row(data: st.DataObject) -> None:
    model = model_with(WIDE)
    datatype = data.draw(st.sampled_from(sorted(NUMBERS)))
    matrix = data.draw(numbers(datatype, len(WIDE.columns)))
    shape = [1, len(WIDE.columns)]
    found = check(model, [("x", datatype, matrix)], shape)
    listed = [Tensor("x", datatype, shape, "x", listed=json_values(datatype, matrix))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_decoder, "MIN_COLUMN_ROWS", 0)
        expected = outcome(TensorDecoder(model), listed, model.decoder.dtype)

    assert meaning(found) == meaning(expected)
