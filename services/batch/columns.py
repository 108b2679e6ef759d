"""The schema's checks on a whole Arrow column: what is plainly valid, and what a row must decide.

`checked_column` accepts nothing that `Schema.violations` refuses, and gives what
`Schema.apply_policies` and `Schema.matrix` give. Values that it does not accept are doubtful, and
their rows are decoded one by one.
"""

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.schema import MISSING_CODE, UNSEEN_CODE, Feature, normalized
from contracts.timestamps import parse_timestamps
from services.batch.times import is_time, odd_seconds, seconds_of_times, texts_of_times
from services.inference.number_columns import RowMask, check_numbers, either
from services.inference.text_values import (
    BOOLEANS,
    MAX_NUMBER_CHARS,
    MISSING_TEXTS,
    value_of_text,
)
from services.inference.timestamp_values import parts_of

ValueForm = Literal["plain", "text", "json"]
"""What a column holds: values of its type, texts of a CSV file, or the JSON of values of several
types."""
FORM = b"slipway.form"
"""The key of a column's form in the metadata of its Arrow field; without it the form is plain."""
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_MISSING = pa.array(sorted(MISSING_TEXTS))
_TRUE = pa.array([text for text, value in BOOLEANS.items() if value])
_BOOLEANS = pa.array(sorted(BOOLEANS))


@dataclass(frozen=True)
class CheckedColumn:
    """A feature of `n_rows` rows; arrays have the shape `(n_rows,)`.

    `values` is the feature's column of the model's input: float64, NaN if missing, codes of
    categories; of a timestamp, its parts, shape `(n_rows, n_parts)`. `doubtful` marks rows that
    only the row decoder may judge, whose values mean nothing; None if there are none. `flagged`
    marks rows with the feature's flag. `logged` makes the Arrow column that is kept of the
    feature: its values after its policy.
    """

    values: NDArray[np.float64]
    doubtful: RowMask | None
    logged: Callable[[], Any]
    flagged: RowMask | None = None


def form_of(field: Any) -> ValueForm:
    """The form of a column, from its Arrow field."""
    form: ValueForm = (field.metadata or {}).get(FORM, b"plain").decode()
    return form


def with_form(field: Any, form: ValueForm) -> Any:
    """The Arrow field of a column of this form."""
    return field.with_metadata({FORM: form.encode()})


def checked_column(feature: Feature, array: Any, form: ValueForm) -> CheckedColumn:
    """A feature's column checked as a whole."""
    array = plain_array(array)
    if form == "json":
        return _all_doubtful(feature, len(array))
    if feature.is_category:
        return _categories(feature, array, form)
    if feature.is_timestamp:
        return _timestamps(feature, array, form)
    if feature.type == "bool":
        return _booleans(feature, array, form)
    return _numbers(feature, array, form)


def values_as_json(feature: Feature, array: Any, form: ValueForm) -> list[Any]:
    """The values of a column as a JSON body would have them; a missing number is None."""
    array = plain_array(array)
    if feature.is_timestamp and is_time(array.type):
        return texts_of_times(feature, array)
    listed = _listed(array)
    if form == "text":
        return [None if v is None else value_of_text(feature, _text(v)) for v in listed]
    if form == "json":
        return [None if v is None else msgspec.json.decode(v) for v in listed]
    return [_json_value(v) for v in listed]


def plain_array(array: Any) -> Any:
    """A column without the types that only save space or say the same: decimals, views."""
    kind = array.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return array.cast(pa.float64())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_binary_view(kind):
        return array.cast(pa.binary())
    if pa.types.is_run_end_encoded(kind):
        return plain_array(pc.run_end_decode(array))
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        return plain_array(array.dictionary_decode())
    return array


def _numbers(feature: Feature, array: Any, form: ValueForm) -> CheckedColumn:
    kind = array.type
    odd: RowMask | None = None
    if form == "text":
        array, odd = _numbers_of_texts(array)
    elif pa.types.is_null(kind):
        array = array.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _all_doubtful(feature, len(array))
    values = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    is_exact = form == "plain" and not pa.types.is_integer(array.type)
    checked = check_numbers(feature, values, is_exact=is_exact)
    return CheckedColumn(
        checked.values,
        either(checked.doubtful, odd),
        lambda: pa.array(checked.values, from_pandas=True),
        checked.outside,
    )


def _timestamps(feature: Feature, array: Any, form: ValueForm) -> CheckedColumn:
    """A column of Arrow's times, of texts, or without values; out of range it is doubtful."""
    logged: Callable[[], list[str | None]]
    if is_time(array.type):
        seconds = seconds_of_times(feature, array)
        is_missing = array.is_null().to_numpy(zero_copy_only=False)
        logged = partial(texts_of_times, feature, array)
    elif pa.types.is_string(array.type) or pa.types.is_null(array.type):
        values = values_as_json(feature, array, form)
        texts = [value if isinstance(value, str) else None for value in values]
        seconds, _ = parse_timestamps(texts)
        is_missing = np.array([value is None for value in values], dtype=bool)
        logged = partial(list, texts)
    else:
        return _all_doubtful(feature, len(array))
    odd = odd_seconds(feature, seconds, is_missing)
    return CheckedColumn(
        parts_of(feature, seconds),
        odd if odd.any() else None,
        lambda: pa.array(logged(), pa.string()),
    )


def _numbers_of_texts(array: Any) -> tuple[Any, RowMask | None]:
    """Texts as float64, and which of them may be no numbers."""
    array = pc.if_else(pc.is_in(array, value_set=_MISSING), None, array)
    odd = None
    try:
        numbers = array.cast(pa.float64())
    except pa.ArrowInvalid:
        is_number = pc.and_(
            pc.match_substring_regex(array, _NUMBER),
            pc.less_equal(pc.binary_length(array), MAX_NUMBER_CHARS),
        )
        odd = ~pc.fill_null(is_number, fill_value=True).to_numpy(zero_copy_only=False)
        numbers = pc.if_else(is_number, array, None).cast(pa.float64())
    values = numbers.to_numpy(zero_copy_only=False)
    unclear = ~np.isfinite(values) & numbers.is_valid().to_numpy(zero_copy_only=False)
    too_long = pc.max(pc.binary_length(array)).as_py() or 0
    if too_long > MAX_NUMBER_CHARS:
        long = pc.greater(pc.binary_length(array), MAX_NUMBER_CHARS)
        unclear |= pc.fill_null(long, fill_value=False).to_numpy(zero_copy_only=False)
    if unclear.any():
        odd = unclear if odd is None else odd | unclear
    return numbers, odd


def _booleans(feature: Feature, array: Any, form: ValueForm) -> CheckedColumn:
    odd: RowMask | None = None
    if form == "text":
        array = pc.if_else(pc.is_in(array, value_set=_MISSING), None, array)
        known = pc.or_(pc.is_in(array, value_set=_BOOLEANS), array.is_null())
        odd = ~known.to_numpy(zero_copy_only=False)
        array = pc.if_else(array.is_null(), None, pc.is_in(array, value_set=_TRUE))
    elif pa.types.is_null(array.type):
        array = array.cast(pa.bool_())
    elif not pa.types.is_boolean(array.type):
        return _all_doubtful(feature, len(array))
    values = array.cast(pa.uint8()).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    if not feature.nullable:
        missing = np.isnan(values)
        odd = missing if odd is None else odd | missing
    return CheckedColumn(values, odd if odd is not None and odd.any() else None, lambda: array)


def _categories(feature: Feature, array: Any, form: ValueForm) -> CheckedColumn:
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    if pa.types.is_string(array.type):
        array = array.dictionary_encode()
    if not pa.types.is_dictionary(array.type):
        return _all_doubtful(feature, len(array))
    codes, texts, is_odd = _category_codes(feature, _listed(array.dictionary), form)
    # A null index stands for a missing value, for which there is one more entry.
    indices = array.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    codes, is_odd = np.append(codes, MISSING_CODE), np.append(is_odd, not feature.nullable)
    values = codes[indices]
    unseen = values == UNSEEN_CODE
    odd = is_odd[indices] if is_odd.any() else None

    def logged() -> Any:
        words = pa.array([*texts, None], pa.string()).take(pa.array(indices))
        return words.dictionary_encode()

    return CheckedColumn(
        values,
        odd if odd is not None and odd.any() else None,
        logged,
        unseen if unseen.any() else None,
    )


def _category_codes(
    feature: Feature, found: Sequence[Any], form: ValueForm
) -> tuple[NDArray[np.float64], list[str | None], RowMask]:
    """The code of each distinct value, its text in NFC, and whether a row must decide on it."""
    known = {text: float(code) for code, text in enumerate(feature.categories)}
    codes = np.full(len(found), UNSEEN_CODE)
    is_odd = np.zeros(len(found), dtype=bool)
    texts: list[str | None] = []
    for i, each in enumerate(found):
        value = value_of_text(feature, each) if form == "text" and each is not None else each
        text = normalized(value) if isinstance(value, str) else None
        texts.append(text)
        if text is None:
            codes[i] = MISSING_CODE
            is_odd[i] = value is not None or not feature.nullable
        elif text in known:
            codes[i] = known[text]
        else:
            is_odd[i] = feature.policy == "reject"
    return codes, texts, is_odd


def _all_doubtful(feature: Feature, n_rows: int) -> CheckedColumn:
    values = np.full((n_rows, len(feature.parts)) if feature.is_timestamp else n_rows, np.nan)
    return CheckedColumn(values, np.ones(n_rows, dtype=bool), lambda: pa.nulls(n_rows))


def _listed(array: Any) -> list[Any]:
    """The values as Python objects; text that is not UTF-8 as bytes, which no feature takes."""
    try:
        listed: list[Any] = array.to_pylist()
    except UnicodeDecodeError:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        listed = [_utf8_or_bytes(each) for each in array.cast(pa.binary()).to_pylist()]
    return listed


def _utf8_or_bytes(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - only NaN differs from itself
        return None
    return float(value) if isinstance(value, decimal.Decimal) else value
