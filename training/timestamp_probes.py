"""Timestamps on which a certificate compares: every value of each part, and where clocks jump."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.schema import Feature
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    MICROSECONDS_PER_SECOND,
    SECONDS_PER_DAY,
    parse_timestamp,
)

DAYS = 366
"""Days in a row: every month, day, weekday and day of the year."""
EDGES = (
    "2024-02-29T00:00:00Z",
    "2024-02-29T23:59:59.999999Z",
    "2024-03-01T00:00:00Z",
    "2024-12-31T23:59:59Z",
    "2023-12-31T23:59:59.999999Z",
    "2000-02-29T12:00:00Z",
    "2001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2038-01-19T03:14:08Z",
)
"""Leap days, midnights, ends of years, and times around the epoch."""
MAX_CHANGES = 40
"""The changes of a zone's offset that are probed, the nearest to the rows."""


def timestamp_probes(
    feature: Feature,
    seen: pd.Series,
    thresholds: dict[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> list[float]:
    """Seconds of valid timestamps; `seen` are those of rows, `thresholds` of trees by input.

    They have each value that a part can have, both sides of each change of the clock, and of the
    thresholds of `days_since`.
    """
    known = seen.dropna().to_numpy(dtype=np.float64)
    middle = float(np.median(known)) if len(known) else 0.0
    start = middle - middle % SECONDS_PER_DAY
    days = start + SECONDS_PER_DAY * np.arange(-DAYS // 2, DAYS // 2, dtype=np.float64)
    groups = [
        np.array([feature.low, feature.high]),
        np.array([parse_timestamp(text) for text in EDGES], dtype=np.float64),
        days,
        days + rng.uniform(0, SECONDS_PER_DAY, len(days)).round(6),
        start + 60.0 * np.arange(0, 24 * 60, 7),
        start + np.arange(60.0),
        _beside(_changes(feature, middle)),
        *(
            _beside(feature.since + SECONDS_PER_DAY * each)
            for each in _days_since(feature, thresholds)
        ),
    ]
    if "year" in feature.parts:
        years = np.arange(200, dtype=np.float64)
        groups.append(_beside(FIRST_SECOND + SECONDS_PER_DAY * 365.25 * years))
    micros = np.round(np.concatenate(groups) * MICROSECONDS_PER_SECOND)
    seconds = micros / MICROSECONDS_PER_SECOND
    bounded = feature.policy == "reject"
    low = feature.low if bounded else FIRST_SECOND
    high = feature.high if bounded else LAST_SECOND
    return [float(each) for each in seconds if low <= each <= high]


def _changes(feature: Feature, middle: float) -> NDArray[np.float64]:
    """The seconds at which the offset of the zone changes, the nearest to `middle`."""
    pairs = feature.zone_offsets.split(" ")[1:]
    starts = np.array([float(pair.partition(":")[0]) for pair in pairs])
    return starts[np.argsort(np.abs(starts - middle))[:MAX_CHANGES]]


def _days_since(
    feature: Feature, thresholds: dict[str, NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    return [
        thresholds[each.name]
        for each in feature.inputs
        if each.type == "float" and each.name in thresholds
    ]


def _beside(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each second, and a microsecond and a minute to each side."""
    return np.concatenate([seconds + step for step in (0.0, -1e-6, 1e-6, -60.0, 60.0)])
