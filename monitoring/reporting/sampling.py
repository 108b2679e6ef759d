"""Samples for the pictures: a fixed number of rows, drawn evenly from the whole window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from contracts.verdict import Finding
from monitoring.traffic.decode import feature_key

SEED = 0


class Reservoir:
    """`size` rows, each of the window's with the same chance.

    Every row draws a number, and those with the smallest are kept: the same law as Vitter's
    reservoir (1985), a table at a time.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(SEED)
        self._worst = 1.0
        self._kept: list[pl.DataFrame] = []
        self._lots: list[NDArray[np.float64]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Offer more rows."""
        lots = self._rng.random(len(frame))
        good = np.flatnonzero(lots < self._worst)
        if len(good) > self._size:
            good = np.sort(good[np.argpartition(lots[good], self._size)[: self._size]])
        if not len(good):
            return
        self._kept.append(_plain(frame[good]))
        self._lots.append(lots[good])
        if sum(map(len, self._lots)) > 2 * self._size:
            self._settle()

    def frame(self) -> pl.DataFrame:
        """The rows that were drawn."""
        if self._kept:
            self._settle()
        return self._kept[0] if self._kept else pl.DataFrame()

    def _settle(self) -> None:
        whole, lots = pl.concat(self._kept, how="diagonal_relaxed"), np.concatenate(self._lots)
        order = np.argsort(lots, kind="stable")[: self._size]
        self._kept, self._lots = [whole[order]], [lots[order]]
        if len(order) == self._size:
            self._worst = float(lots[order[-1]])


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists of categories differ from file to file; words can be put together."""
    return frame.cast({pl.Categorical: pl.String})


def window_frame(drawn: pl.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    """Rows that were drawn as a table with the findings' columns."""
    columns = {}
    for f in findings:
        key = f.column if f.column in {"prediction", "score"} else feature_key(f.column)
        columns[f.column] = pd.Series(drawn[key].to_list(), dtype=object)
    return _typed(pd.DataFrame(columns), findings)


def reference_frame(path: Path, findings: Sequence[Finding], n_rows: int) -> pd.DataFrame:
    """The model's sample of held-out rows as a table with the findings' columns."""
    sample = pd.read_parquet(path)
    drawn = sample.sample(min(n_rows, len(sample)), random_state=SEED)
    return _typed(drawn, findings)


def _typed(frame: pd.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    """Numbers as float, categories as text, as both sides must agree."""
    return pd.DataFrame({f.column: _column(frame[f.column], f.kind) for f in findings})


def _column(column: pd.Series, kind: str) -> Any:
    if kind == "number":
        return pd.to_numeric(column, errors="coerce").astype(float).to_numpy()
    words = column.map(_word, na_action="ignore")
    return words.astype(object).where(words.notna(), None).to_numpy()


def _word(value: object) -> str:
    """Booleans as the reference spells them; a training table holds them as 1.0 and 0.0."""
    if isinstance(value, bool | float):
        return "true" if value else "false"
    return str(value)
