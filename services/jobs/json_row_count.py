"""Counts the rows of a large JSON body by its brackets and commas, without parsing it.

A parser makes an object of each row and holds Python's lock meanwhile, so that no other request
is answered. NumPy scans a block at a time and releases the lock. What is within the rows is
checked by the worker that scores them.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.faults import Fault

SCAN_BLOCK_BYTES = 262_144
_ROWS_BODY = re.compile(rb'\s{0,64}\{\s{0,64}"rows"\s{0,64}:\s{0,64}\[\s{0,64}(?P<is_empty>\])?')
_COLUMNS_BODY = re.compile(rb'\s{0,64}\{\s{0,64}"columns"\s{0,64}:\s{0,64}\{\s{0,64}"')
ROW_DEPTH, VALUE_DEPTH = 2, 3
"""Brackets around a comma between rows or columns, and between values of a column."""
_BACKSLASH, _QUOTE, _COMMA = b'\\",'
_OPEN, _CLOSE = (np.zeros(256, dtype=np.int8) for _ in range(2))
_OPEN[list(b"[{")] = 1
_CLOSE[list(b"]}")] = 1
_STEP = _OPEN - _CLOSE
_Bytes = NDArray[np.uint8]


@dataclass
class _Scan:
    """Where a scan is: `depth` open brackets, in a string or not, behind a backslash or not."""

    depth: int = 0
    lowest: int = 0
    in_string: int = 0
    is_escaped: bool = False

    def commas(self, block: _Bytes) -> tuple[int, int]:
        """The commas of a block with two, and with three open brackets around them."""
        quotes = block == _QUOTE
        if self.is_escaped or (block == _BACKSLASH).any():
            quotes &= ~self._escaped(block)
        inside = np.bitwise_xor.accumulate(quotes.view(np.uint8)) ^ np.uint8(self.in_string)
        self.in_string = int(inside[-1])
        steps = _STEP[block] * (inside ^ 1).view(np.int8)
        depths = np.cumsum(steps, dtype=np.int32) + self.depth
        self.depth = int(depths[-1])
        self.lowest = min(self.lowest, int(depths.min()))
        at = depths[(block == _COMMA) & (inside == 0)]
        return int((at == ROW_DEPTH).sum()), int((at == VALUE_DEPTH).sum())

    def _escaped(self, block: _Bytes) -> NDArray[np.bool_]:
        """Which bytes of a block are behind an odd number of backslashes."""
        is_backslash = block == _BACKSLASH
        places = np.arange(1, len(block) + 1)
        # A backslash that ended the last block, and was not escaped itself, counts as one here.
        before = np.maximum.accumulate(np.where(is_backslash, -int(self.is_escaped), places))
        lengths = places - before
        odd = is_backslash & (lengths % 2 == 1)
        escaped = np.concatenate([[self.is_escaped], odd[:-1]])
        self.is_escaped = bool(odd[-1])
        return escaped


def count_json_rows(body: bytes) -> int | None:
    """The number of rows of `{"rows": [...]}` or `{"columns": {...}}`; None if that is unclear.

    Raises:
        Fault: `invalid_json`; brackets or quotes do not match.

    """
    scan, n_two, n_three = _Scan(), 0, 0
    whole = np.frombuffer(body, dtype=np.uint8)
    for start in range(0, len(whole), SCAN_BLOCK_BYTES):
        two, three = scan.commas(whole[start : start + SCAN_BLOCK_BYTES])
        n_two, n_three = n_two + two, n_three + three
    if scan.depth or scan.lowest < 0 or scan.in_string:
        raise Fault("invalid_json", "body: expected JSON, got brackets or quotes that do not match")
    if found := _ROWS_BODY.match(body):
        return 0 if found["is_empty"] else n_two + 1
    n_columns = n_two + 1
    if _COLUMNS_BODY.match(body) and n_three % n_columns == 0:
        return n_three // n_columns + 1
    return None
