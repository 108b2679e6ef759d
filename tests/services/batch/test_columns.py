"""Whole columns are decoded exactly as the service decodes row by row, whatever they hold."""

import datetime as dt
import decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidData
from contracts.schema import Feature, Schema, boolean, category, integer, number, string
from services.batch.columns import ValueForm, values_as_json, with_form
from services.batch.decode import RecordBatchDecoder
from services.faults import Fault
from services.inference.decode import Decoder

FEATURES = (
    number("free"),
    number("ranged", -1.5, 100),
    number("clipped", 0.1, 2.5, policy="clip", nullable=True),
    number("flagged", None, 7, policy="flag", nullable=True),
    integer("count", 0, 50),
    integer("clipped_count", -2, 9, policy="clip", nullable=True),
    integer("flagged_count", 3, policy="flag"),
    boolean("owner"),
    boolean("maybe", nullable=True),
    category("region", ["north", "gr\u00f6\u00dfe", "\u00e9t\u00e9"], policy="flag", nullable=True),
    category("work", ["yes", "no", "NA"]),
    string("city", nullable=True).with_categories(("mars", "\u00e9t\u00e9")),
)
NASTY_FLOATS = [
    0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e-45, 3.4028234663852886e38,
    3.4028235677973366e38, -3.5e38, 1e308, 0.1, 2.5, 2.5000000000000004, 7.0, 50.0, 3.5,
    2.0**53, 2.0**53 + 2, -(2.0**63),
]  # fmt: skip
NASTY_INTS = [0, -1, 1, 7, 9, 10, 50, 51, 2**53, 2**53 + 1, 2**60 + 1, -(2**63), 2**63 - 1]
NASTY_TEXTS = [
    "north", "gr\u00f6\u00dfe", "gro\u0308\u00dfe", "e\u0301te\u0301", "yes", "NA", "mars", "", " ",
    "null", "nan", "NaN",
    "inf", "-Infinity", "1", "+1", " 7 ", "7.0", "3.", ".5", "1e3", "1e400", "0x10", "1_0",
    "True", "false", "TRUE", "9007199254740993", "1" * 19, "0" * 70, "\0", "\u0661",
]  # fmt: skip
floats = st.sampled_from(NASTY_FLOATS) | st.floats() | st.floats(-3, 60)
ints = st.sampled_from(NASTY_INTS) | st.integers(-3, 60) | st.integers(-(2**63), 2**63 - 1)
texts = st.sampled_from(NASTY_TEXTS) | st.text(max_size=5)
anything = st.none() | st.booleans() | ints | floats | texts
ARROW: dict[str, tuple[Any, Any]] = {
    "float64": (pa.float64(), floats),
    "float32": (pa.float32(), st.floats(width=32) | st.floats(-3, 60, width=32)),
    "float16": (pa.float16(), st.floats(width=16)),
    "int64": (pa.int64(), ints),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1) | st.integers(0, 60)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), texts),
    "large_string": (pa.large_string(), texts),
    "string_view": (pa.string_view(), texts),
    "decimal": (
        pa.decimal128(12, 3),
        st.integers(-9000, 90000).map(lambda i: decimal.Decimal(i) / 1000),
    ),
    "null": (pa.null(), st.none()),
    "date": (pa.date32(), st.dates(dt.date(1970, 1, 1), dt.date(2100, 1, 1))),
    "list": (pa.list_(pa.int64()), st.lists(ints, max_size=2)),
    "binary": (pa.binary(), st.binary(max_size=3)),
}  # fmt: skip
LIKELY = {"float": ["float64", "float32", "int64"], "int": ["int64", "float64"], "bool": ["bool"]}


@st.composite
def columns(draw: Any, feature: Feature, n_rows: int) -> tuple[Any, Any]:
    """An Arrow array for a feature, and its field."""
    form: ValueForm = draw(st.sampled_from(["plain", "plain", "plain", "text", "json"]))
    if form == "text":
        values = draw(st.lists(st.none() | texts, min_size=n_rows, max_size=n_rows))
        array = pa.array(values, pa.string())
    elif form == "json":
        listed = draw(st.lists(anything, min_size=n_rows, max_size=n_rows))
        encoded = [None if v is None else msgspec.json.encode(v).decode() for v in listed]
        array = pa.array(encoded, pa.string())
    else:
        likely = LIKELY.get(feature.type, ["string"])
        kind, strategy = ARROW[draw(st.sampled_from(likely * 6 + list(ARROW)))]
        values = draw(st.lists(st.none() | strategy, min_size=n_rows, max_size=n_rows))
        array = pa.array(values, kind)
        can_encode = not pa.types.is_nested(kind) and kind not in (
            pa.string_view(),
            pa.null(),
            pa.float16(),
        )
        if can_encode and draw(st.integers(0, 3)) == 0:
            array = array.dictionary_encode()
    return array, with_form(pa.field(feature.name, array.type), form)


@st.composite
def tables(draw: Any) -> tuple[Schema, Any]:
    features = draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=5, unique=True))
    n_rows = draw(st.integers(0, 6))
    pairs = [draw(columns(feature, n_rows)) for feature in features]
    schema = pa.schema([field for _, field in pairs])
    batch = pa.RecordBatch.from_arrays([array for array, _ in pairs], schema=schema)
    return Schema(features=tuple(features)), batch


@given(tables(), st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)]))
def test_columns_give_what_the_row_decoder_gives(
    table: tuple[Schema, Any], dtype: "np.dtype[Any]"
) -> None:
    schema, batch = table
    decoder = Decoder(schema, dtype)
    got = RecordBatchDecoder(schema, decoder).decode(batch)

    forms = {f.name: f.metadata[b"slipway.form"].decode() for f in batch.schema}
    listed = {
        f.name: values_as_json(f, batch.column(f.name), forms[f.name]) for f in schema.features
    }
    valid, features, numbers, flags = [], [], [], []
    refused: dict[int, Any] = {}
    for i, values in enumerate(zip(*listed.values(), strict=True)):
        try:
            rows = decoder.exact(dict(zip(listed, values, strict=True)))
        except Fault as fault:
            refused[i] = fault.violations
            continue
        valid.append(i)
        features.append(as_stored(msgspec.json.decode(rows.features[0])))
        numbers.append(rows.numbers[0])
        flags.append(rows.flags[0])
    assert got.rows.tolist() == valid
    assert {i: fault.violations for i, fault in got.refused.items()} == refused
    wanted = np.array(numbers, dtype=dtype).reshape(len(valid), len(schema.features))
    assert got.matrix.tobytes() == np.ascontiguousarray(wanted).tobytes() or same_numbers(
        got.matrix, wanted
    )
    found = [tuple(flag for flag, mask in got.flags.items() if mask[i]) for i in range(len(valid))]
    assert found == flags
    kept = {name: column.to_pylist() for name, column in got.columns().items()}
    assert [{n: kept[n][i] for n in schema.names} for i in range(len(valid))] == features


def as_stored(features: dict[str, Any]) -> dict[str, Any]:
    """Features as a table of traffic has them: numbers are float64."""
    return {name: float(value) if type(value) is int else value for name, value in features.items()}


def same_numbers(got: Any, wanted: Any) -> bool:
    """Whether all bits are equal, but for those of NaN, which only says that a value is missing."""
    missing = np.isnan(wanted)
    return bool(
        (np.isnan(got) == missing).all() and got[~missing].tobytes() == wanted[~missing].tobytes()
    )


def test_a_nullable_feature_may_have_no_column_and_another_one_may_not() -> None:
    schema = Schema(features=(number("a"), number("b", nullable=True)))
    decoder = RecordBatchDecoder(schema, Decoder(schema))

    got = decoder.decode(pa.RecordBatch.from_pydict({"a": [1.0], "other": ["x"]}))
    assert np.isnan(got.matrix[0, 1])
    with pytest.raises(InvalidData, match="column 'a': expected a number, got no such column"):
        decoder.decode(pa.RecordBatch.from_pydict({"b": [1.0]}))


def test_text_that_is_not_utf_8_is_refused_like_any_other_wrong_value() -> None:
    schema = Schema(features=(string("city").with_categories(("a",)),))
    offsets, data = pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")
    array = pa.StringArray.from_buffers(2, offsets, data)

    got = RecordBatchDecoder(schema, Decoder(schema)).decode(pa.record_batch([array], ["city"]))
    assert got.rows.tolist() == [0]
    assert got.refused[1].violations[0].expected == "text"
