"""The segments of a segment feature as small integers: a join of millions of rows keeps these."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Manifest
from contracts.segments import segment_values


def segment_index(values: pl.Series, manifest: Manifest, feature: str) -> NDArray[np.int16]:
    """The place of each value in `segment_values`, shape `(n_rows,)`."""
    segments = segment_values(manifest, feature)
    known = {value: i for i, value in enumerate(segments[:-2])}
    text = values.cast(pl.String)
    index = text.replace_strict(known, default=len(segments) - 1, return_dtype=pl.Int16)
    return np.where(text.is_null().to_numpy(), len(segments) - 2, index.fill_null(0).to_numpy())
