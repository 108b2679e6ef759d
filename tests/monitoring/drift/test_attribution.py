"""The segment that drives a drift, or sends the faulty values, is named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.reference import CategoryReference, Reference
from monitoring.drift.attribution import SegmentCounts, difference_shares
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.reference_sample import ReferenceSample
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from training.reference import number_reference


def test_the_segment_that_drives_a_drift_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def rows(n: int, older: float) -> dict[str, pl.Series]:
        region = rng.choice(["north", "south", "east"], n)
        age = rng.normal(40, 10, n) + np.where(region == "east", older, 0.0)
        return {
            "age": pl.Series(age),
            "region": pl.Series(region),
            "owner": pl.Series(rng.choice(["true", "false"], n)),
        }

    before = rows(20_000, 0)
    reference = Reference(
        n_rows=20_000,
        n_predictions=0,
        features={
            "age": number_reference(before["age"].to_numpy()),
            "region": CategoryReference(counts={"north": 1, "south": 1, "east": 1}, missing=0),
            "owner": CategoryReference(counts={"true": 1, "false": 1}, missing=0),
        },
        predictions={},
    )
    sample = tmp_path / "reference.parquet"
    pl.DataFrame(before).with_columns(
        owner=(before["owner"] == "true").cast(pl.Float64)
    ).write_parquet(sample)
    segments = ("region", "owner", "age", "nothing")
    now = SegmentCounts(reference, segments)
    counts = WindowHistograms(reference)
    for _ in range(2):
        window = TrafficBatch(np.arange(3_000), pl.Series(range(3_000)), rows(3_000, 15))
        now.add(window)
        counts.add(window)
    part = now.main_segment(
        "age", SegmentCounts.of_sample(ReferenceSample(sample, reference).rows, reference, segments)
    )

    assert [
        f.column for f in findings_of(counts, DriftThresholds(MonitoringSettings())) if f.drifted
    ] == ["age"]
    assert str(part) == "region = east"
    assert part is not None
    assert part.share == pytest.approx(1, abs=0.1)
    assert now.features == ("region", "owner")


def test_the_segment_whose_values_are_missing_is_named_and_a_large_one_is_not_blamed() -> None:
    rng = np.random.default_rng(3)
    n = 10_000
    reference = Reference(
        n_rows=n,
        n_predictions=0,
        features={
            "age": number_reference(rng.normal(40, 10, n)),
            "work": CategoryReference(counts={"yes": n // 2, "no": n // 2}, missing=0),
            "region": CategoryReference(counts={"north": 9_000, "east": 1_000}, missing=0),
        },
        predictions={},
    )
    region = rng.choice(["north", "east"], n, p=[0.9, 0.1])
    east = pl.Series(region == "east")
    window = {"age": rng.normal(40, 10, n), "work": rng.choice(["yes", "no"], n), "region": region}
    rows = pl.DataFrame(window).with_columns(
        age=pl.when(pl.Series(rng.random(n) < 0.1)).then(float("nan")).otherwise(pl.col("age")),
        work=pl.when(east & pl.Series(rng.random(n) < 0.8)).then(None).otherwise(pl.col("work")),
    )
    now = SegmentCounts(reference, ("region",))
    now.add(TrafficBatch(np.arange(n), pl.Series(range(n)), {c: rows[c] for c in rows.columns}))
    part = now.faulty_segment("work", "missing")

    assert rows.filter(east)["work"].null_count() == rows["work"].null_count()
    assert (str(part), part and part.share) == ("region = east", 1.0)
    assert now.faulty_segment("age", "missing") is None, "a tenth of every region"


def test_the_segment_that_sends_another_unit_or_new_categories_is_named() -> None:
    rng = np.random.default_rng(4)
    n = 5_000
    reference = Reference(
        n_rows=n,
        n_predictions=0,
        features={
            "income": number_reference(rng.normal(40, 10, n)),
            "work": CategoryReference(counts={"yes": n // 2, "no": n // 2}, missing=0),
            "region": CategoryReference(counts={"north": 4_000, "east": 1_000}, missing=0),
        },
        predictions={},
    )
    east = rng.random(n) < 0.2
    wrong = east & (rng.random(n) < 0.5)
    income = rng.normal(40, 10, n)
    rows = pl.DataFrame(
        {
            "income": np.where(wrong, income * 1000, income),
            "work": np.where(wrong, "maybe", "yes"),
            "region": np.where(east, "east", "north"),
        }
    )
    now = SegmentCounts(reference, ("region",))
    now.add(TrafficBatch(np.arange(n), pl.Series(range(n)), {c: rows[c] for c in rows.columns}))

    for column, fault in (("income", "unit"), ("income", "out_of_range"), ("work", "unseen")):
        part = now.faulty_segment(column, fault)  # type: ignore[arg-type]  # faults of the contract
        assert (str(part), part and part.share) == ("region = east", 1.0), fault
    assert now.faulty_segment("income", "missing") is None
    assert now.faulty_segment("work", "constant") is None


def test_segment_shares_add_up_to_one() -> None:
    rng = np.random.default_rng(2)
    before, now = rng.integers(1, 50, (4, 6)), rng.integers(1, 50, (4, 6))

    assert difference_shares(before, now).sum() == pytest.approx(1)
    assert difference_shares(before, before).tolist() == [0, 0, 0, 0]
