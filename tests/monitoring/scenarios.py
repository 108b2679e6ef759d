"""Worlds in which the people of `tests.tiny` live."""

import numpy as np
import pandas as pd

from tests import tiny


def turned(n: int, seed: int) -> pd.DataFrame:
    """People as ever, of whom the old no longer pay, and the young do: concept drift alone."""
    table = tiny.people(n, seed)
    odds = -0.08 * (table.age - 45) + 1.5 * (table.work == "yes") - 0.2 * table.lines
    paid = np.random.default_rng(seed).random(n) < 1 / (1 + np.exp(-odds))
    return table.assign(paid=np.where(paid, "yes", "no"))
