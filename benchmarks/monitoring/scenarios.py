"""Simulated traffic of ten columns, and ways in which it changes."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.manifest import Certificate, DataIdentity, Manifest, Metric
from contracts.reference import CategoryReference, ColumnReference, NumberReference, Reference
from contracts.schema import Schema, number
from monitoring.traffic.batch import TrafficBatch

Table = Mapping[str, NDArray[np.generic]]
Change = Callable[[dict[str, NDArray[np.generic]], np.random.Generator], None]
HOUR_US = 3_600_000_000
REGIONS = np.array(["north", "south", "east", "west"])
TRADES = np.array([f"trade {i}" for i in range(40)])
_ZIPF = 1 / np.arange(1, 41)


def table(n: int, rng: np.random.Generator, wobble: float = 0.0) -> dict[str, NDArray[np.generic]]:
    """Ten columns as they come in practice: skewed, tied, heavy-tailed, with gaps, categorical.

    `wobble` moves the mean of each numeric column by this many of its standard deviations.
    """
    gaps = rng.normal(wobble, size=n)
    gaps[rng.random(n) < 0.1] = np.nan  # noqa: PLR2004 - a tenth is missing
    return {
        "normal": rng.normal(wobble, size=n),
        "income": rng.lognormal(10 + 0.53 * wobble, 0.5, size=n),
        "wait": rng.exponential(1 + wobble, size=n),
        "share": rng.random(n) + wobble / np.sqrt(12),
        "lines": rng.poisson(4 + 2 * wobble, size=n).astype(np.float64),
        "heavy": rng.standard_t(3, size=n) + np.sqrt(3) * wobble,
        "gaps": gaps,
        "region": rng.choice(REGIONS, n, p=[0.4, 0.3, 0.2, 0.1]),
        "trade": rng.choice(TRADES, n, p=_ZIPF / _ZIPF.sum()),
        "owner": rng.choice(np.array(["true", "false"]), n, p=[0.3, 0.7]),
    }


def reference_of(columns: Table) -> Reference:
    """The sketch that training would store of these columns."""
    n = len(next(iter(columns.values())))
    features = {name: _column(values) for name, values in columns.items()}
    return Reference(n_rows=n, n_predictions=0, features=features, predictions={})


def rows_of(columns: Table, rng: np.random.Generator) -> TrafficBatch:
    """The columns as an hour of traffic."""
    n = len(next(iter(columns.values())))
    return TrafficBatch(
        times=np.sort(rng.integers(0, HOUR_US, n)),
        ids=pl.Series(np.arange(n)),
        columns={name: pl.Series(values) for name, values in columns.items()},
    )


def _column(values: NDArray[np.generic]) -> ColumnReference:
    if values.dtype.kind != "f":
        counts = pl.Series(values).value_counts(sort=True).rows()
        return CategoryReference(counts=dict(counts), missing=0)
    # The sketch that training writes; only benchmarks and tests may import both packages.
    from training.reference import number_reference

    reference: NumberReference = number_reference(values.astype(np.float64))
    return reference


def manifest(**metrics: Metric) -> Manifest:
    """A binary model of these columns, with these metrics on its held-out rows."""
    return Manifest(
        name="loan",
        task="binary",
        schema=Schema(features=(number("normal"),)),
        classes=("no", "yes"),
        run_id="0" * 32,
        recipe="loan",
        created_at="",
        data=DataIdentity(source="simulated", digest="", n_train=1, n_holdout=1),
        libraries={},
        metrics=metrics,
        certificate=Certificate(
            rows={}, tolerance=0, max_difference=0, class_differences=0, passed=True
        ),
        golden=(),
        files={},
    )


def shifted(column: str, sigmas: float) -> Change:
    """Return a change that shifts a column by `sigmas` standard deviations."""

    def change(columns: dict[str, NDArray[np.generic]], _rng: np.random.Generator) -> None:
        values = columns[column].astype(np.float64)
        columns[column] = values + sigmas * float(np.nanstd(values))

    return change


def wobbling(sigmas: float) -> Change:
    """A shift of the mean of every column of numbers."""

    def change(columns: dict[str, NDArray[np.generic]], rng: np.random.Generator) -> None:
        columns.update(table(len(columns["normal"]), rng, sigmas))

    return change


def mixed(points: float) -> Change:
    """Return a change that moves a share of `points` from the largest region to the smallest."""

    def change(columns: dict[str, NDArray[np.generic]], rng: np.random.Generator) -> None:
        shares = [0.4 - points, 0.3, 0.2, 0.1 + points]
        columns["region"] = rng.choice(REGIONS, len(columns["region"]), p=shares)

    return change


def replaced(column: str, share: float, value: object) -> Change:
    """A share of a column's rows gets another value."""

    def change(columns: dict[str, NDArray[np.generic]], rng: np.random.Generator) -> None:
        hit = rng.random(len(columns[column])) < share
        columns[column] = np.where(hit, np.array(value), columns[column])

    return change


def multiplied(column: str, share: float, factor: float) -> Change:
    """A share of a column's rows comes in another unit."""

    def change(columns: dict[str, NDArray[np.generic]], rng: np.random.Generator) -> None:
        values = columns[column].astype(np.float64)
        columns[column] = np.where(rng.random(len(values)) < share, values * factor, values)

    return change


def unchanged(_columns: dict[str, NDArray[np.generic]], _rng: np.random.Generator) -> None:
    """Nothing changes."""
