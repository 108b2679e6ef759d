"""Texts of a CSV file as the JSON values that they stand for, as `DataFrame.to_csv` writes them."""

import re

from contracts.schema import Feature
from contracts.timestamps import parse_file_timestamp, parse_timestamp, timestamp_text

MISSING_TEXTS = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
"""What `pandas.read_csv` takes for a missing value."""
BOOLEANS = {
    "True": True,
    "TRUE": True,
    "true": True,
    "False": False,
    "FALSE": False,
    "false": False,
}
MAX_NUMBER_CHARS = 64
"""A longer text is no number that anybody measured, and takes long to read as one."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def value_of_text(feature: Feature | None, text: str) -> object:
    """A text as JSON would have the value; what is no such value stays text, and is refused.

    `feature` is None for a column that is none.
    """
    if feature is None:
        return text
    if feature.is_category:
        return None if text in MISSING_TEXTS and text not in feature.categories else text
    text = text.strip()
    if text in MISSING_TEXTS:
        return None
    if feature.is_timestamp:
        return _timestamp(feature, text)
    return BOOLEANS.get(text, text) if feature.type == "bool" else _number(text)


def _number(text: str) -> int | float | str:
    if _WHOLE.fullmatch(text):
        return int(text)
    is_number = len(text) <= MAX_NUMBER_CHARS and _NUMBER.fullmatch(text)
    return float(text) if is_number else text


def _timestamp(feature: Feature, text: str) -> str:
    """A date, or a time without a zone, in RFC 3339; what is no time stays as it is."""
    if parse_timestamp(text) is not None:
        return text
    seconds = parse_file_timestamp(text, feature.zone_offsets)
    return text if seconds is None else timestamp_text(seconds)
