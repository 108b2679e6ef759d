"""Samples for the pictures: a fixed number of rows, drawn evenly from the whole window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contracts.traffic import TrafficRecord
from contracts.verdict import Finding

SEED = 0


class Reservoir:
    """At most `size` records, each of the window's with the same chance (Vitter 1985)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(SEED)
        self._seen = 0
        self.records: list[TrafficRecord] = []

    def add(self, records: Sequence[TrafficRecord]) -> None:
        """Offer more records."""
        room = max(self._size - len(self.records), 0)
        self.records += records[:room]
        self._seen += min(room, len(records))
        for record in records[room:]:
            self._seen += 1
            place = int(self._rng.integers(0, self._seen))
            if place < self._size:
                self.records[place] = record


def window_frame(records: Sequence[TrafficRecord], findings: Sequence[Finding]) -> pd.DataFrame:
    """The records as a table with the findings' columns."""
    rows = [{**r.features, "prediction": r.prediction, "score": r.score} for r in records]
    return _typed(pd.DataFrame(rows), findings)


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
