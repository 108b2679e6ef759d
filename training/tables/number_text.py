"""Columns of text as numbers and booleans: which spellings count, and what to do about others.

The rule for a number is that of JSON, with an optional `+`, and digits that may be left out
before or after the point. Nothing else is read as a number: no `NA`, no `inf`, no `1_000`.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BOOLEAN_SPELLINGS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "1": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "0": False,
}
"""How a boolean may be written in a text column."""
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_COMMA_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,3}(?:\.?[0-9]{3})*,[0-9]+\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[0-9]{1,3}(?:([,. '\u00a0\u202f])[0-9]{3})(?:\1[0-9]{3})*\s*")
_GROUPED = re.compile(r"\s*[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?\s*")

MAX_WORD_CHARS = 12

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written: the decimal mark, and what separates groups of thousands."""

    decimal: str = "."
    thousands: str = ""

    def matches(self, texts: pd.Series) -> Mask:
        """Which texts are numbers; False for missing ones. Shape `(n_rows,)`."""
        matched = texts.str.fullmatch(self._pattern())
        return np.asarray(matched.fillna(value=False), dtype=bool)

    def numbers(self, texts: pd.Series) -> NDArray[np.float64]:
        """Texts as float64, NaN where a text is no number; `1e400` is infinite."""
        good = self.matches(texts)
        values = np.full(len(texts), np.nan)
        if good.any():
            plain = texts[good].str.strip()
            if self.thousands:
                plain = plain.str.replace(self.thousands, "", regex=False)
            if self.decimal != ".":
                plain = plain.str.replace(self.decimal, ".", regex=False)
            values[good] = plain.astype("float64").to_numpy()
        return values

    def _pattern(self) -> str:
        decimal, mark = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)" if mark else "[0-9]+"
        return rf"\s*[+-]?(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?\s*"


POINT = NumberFormat()
"""Numbers as in JSON."""


def booleans_of(texts: pd.Series) -> NDArray[np.float64]:
    """Texts as 1.0 and 0.0, NaN where a text is no `BOOLEAN_SPELLINGS`."""
    return np.asarray(texts.map(BOOLEAN_SPELLINGS), dtype="float64")


def number_hint(value: Any) -> str:
    """What to do about a text that is no number; empty if nothing is known.

    >>> number_hint("0,48")
    "a decimal comma? read_csv(path, decimal=',')"
    >>> number_hint("1,250")
    "a separator of thousands? read_csv(path, thousands=','); or a decimal comma? decimal=','"
    >>> number_hint("NA")
    "is it missing? read_csv(path, missing=('', 'NA'))"
    """
    if not isinstance(value, str):
        return ""
    group = _THOUSANDS.fullmatch(value)
    mark = group[1] if group else ","
    thousands = f"a separator of thousands? read_csv(path, thousands={mark!r})"
    dots = ", thousands='.'" if "." in value else ""
    is_word = len(value) <= MAX_WORD_CHARS and not any(c.isdigit() for c in value)
    hints = {
        "text is no number: use read_csv(path, schema), or astype(float)": _NUMBER.fullmatch(value),
        f"{thousands}; or a decimal comma? decimal=','": group and mark == ",",
        thousands: group or _GROUPED.fullmatch(value),
        f"a decimal comma? read_csv(path, decimal=','{dots})": _COMMA_DECIMAL.fullmatch(value),
        f"is it missing? read_csv(path, missing=('', {value!r}))": is_word,
    }
    return next((hint for hint, found in hints.items() if found), "fix the value in the file")
