"""Timestamps of valid rows become the numbers that the model takes: see `contracts.timestamps`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.schema import Feature
from contracts.timestamps import parse_timestamp, timestamp_parts

FeatureValues = Sequence[Any]


class TimestampValues:
    """The timestamps among a schema's columns, which lie between its numbers and categories."""

    def __init__(self, columns: Sequence[Feature]) -> None:
        self._features = [feature for feature in columns if feature.is_timestamp]
        self._start = next((i for i, each in enumerate(columns) if each.is_timestamp), 0)
        self._stop = self._start + len(self._features)

    def __bool__(self) -> bool:
        return bool(self._features)

    def n_colons(self, values: FeatureValues) -> int | None:
        """The colons in the timestamps of a row; None if one of them is no text."""
        n_colons = 0
        for value in values[self._start : self._stop]:
            if isinstance(value, str):
                n_colons += value.count(":")
            elif value is not None:
                return None
        return n_colons

    def numbers(self, values: FeatureValues) -> list[Any] | None:
        """A row with the parts of its timestamps instead of them; None if one is out of range.

        `values` has one value per feature; parts of a missing timestamp are NaN.
        """
        parts: list[float] = []
        for feature, text in zip(self._features, values[self._start : self._stop], strict=True):
            seconds = math.nan if text is None else parse_timestamp(text)
            if seconds is None or seconds < feature.low or seconds > feature.high:
                return None
            parts += timestamp_parts(seconds, feature.parts, feature.zone_offsets, feature.since)
        return [*values[: self._start], *parts, *values[self._stop :]]

    def columns(self, columns: Sequence[FeatureValues]) -> list[FeatureValues] | None:
        """As `numbers`, for columns of `n_rows` values each."""
        parts: list[FeatureValues] = []
        for feature, texts in zip(self._features, columns[self._start : self._stop], strict=True):
            read = timestamp_column(feature, texts)
            if read is None:
                return None
            parts += read.T.tolist()
        return [*columns[: self._start], *parts, *columns[self._stop :]]


def timestamp_column(feature: Feature, texts: FeatureValues) -> NDArray[np.float64] | None:
    """The parts of texts, shape `(n_rows, n_parts)`; None if one is no timestamp in range.

    None among the texts is missing: its parts are NaN.
    """
    found = [math.nan if text is None else parse_timestamp(text) for text in texts]
    if None in found:
        return None
    seconds = np.array(found, dtype=np.float64)
    if ((seconds < feature.low) | (seconds > feature.high)).any():
        return None
    return parts_of(feature, seconds)


def parts_of(feature: Feature, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The parts of times of shape `(n_rows,)`, shape `(n_rows, n_parts)`; NaN is missing."""
    parts = timestamp_parts(seconds, feature.parts, feature.zone_offsets, feature.since)
    return np.column_stack(parts)


def input_places(columns: Sequence[Feature]) -> list[int | slice]:
    """Where each feature of a schema's columns is among the columns of the matrix."""
    places: list[int | slice] = []
    start = 0
    for feature in columns:
        stop = start + feature.n_inputs
        places.append(slice(start, stop) if feature.is_timestamp else start)
        start = stop
    return places
