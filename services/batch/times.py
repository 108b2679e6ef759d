"""Timestamps of Arrow columns: as the texts that a JSON body would have, and as seconds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.schema import Feature
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    MICROSECONDS_PER_SECOND,
    parse_timestamp,
    timestamp_text,
    wall_to_utc,
)


def is_time(kind: Any) -> bool:
    """Whether an Arrow type is one of times or of dates."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def texts_of_times(feature: Feature, array: Any) -> list[str | None]:
    """A column of Arrow's times or dates as RFC 3339 in UTC; None where it is null.

    Without a zone, times and dates are those of the feature's clock. A time outside the years
    1900 to 2099 is the text that Arrow has for it, which no feature takes.
    """
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    texts: list[str | None]
    try:
        micros = array.cast(pa.timestamp("us", zone), safe=False)
    except pa.ArrowInvalid:
        texts = array.cast(pa.string()).to_pylist()
        return texts
    seconds = micros.cast(pa.int64()).to_numpy(zero_copy_only=False) / MICROSECONDS_PER_SECOND
    if zone is None:
        seconds = wall_to_utc(seconds, feature.zone_offsets)
    known = (seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND)
    texts = [
        timestamp_text(each) if is_known else None
        for each, is_known in zip(seconds.tolist(), known.tolist(), strict=True)
    ]
    strange = ~known & pc.is_valid(array).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(strange).tolist():
        texts[row] = f"{int(micros[row].value)} microseconds since 1970"
    return texts


def checked_seconds(
    feature: Feature, texts: Sequence[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The seconds of a column as JSON has it, and which rows may be invalid, clipped or flagged.

    Both have shape `(n_rows,)`; seconds are NaN where a value is missing or no timestamp.
    """
    found = [parse_timestamp(text) if isinstance(text, str) else None for text in texts]
    seconds = np.array([math.nan if each is None else each for each in found], dtype=np.float64)
    is_missing = np.array([text is None for text in texts], dtype=bool)
    in_range = (seconds >= feature.low) & (seconds <= feature.high)
    return seconds, ~(in_range | is_missing) if feature.nullable else ~in_range
