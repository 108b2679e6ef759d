"""Each segment is compared with itself at training, and chance is allowed for."""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from contracts.labels import Label
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.reference import CategoryReference, Reference
from contracts.schema import Schema, boolean, category, number
from contracts.traffic import TrafficRecord
from contracts.verdict import Performance, Verdict
from monitoring.performance.realized import realized_performance
from monitoring.reference_sample import ReferenceSample
from monitoring.reporting.drift_report import drift_report_html
from monitoring.traffic.compaction import compact_traffic
from monitoring.verdicts.summary import performance_text
from tests.monitoring.labels.scenario import DAY, LATER, SPAN, manifest
from training.reference import number_reference

GOLDEN = Path(__file__).parents[2] / "contracts" / "golden"
REGIONS = ("north", "south", "east", "west")
SCHEMA = Schema(
    features=(
        category("region", REGIONS, nullable=True, policy="flag"),
        boolean("owner"),
        number("age", 0, 100),
    )
)


REFERENCE = Reference(
    n_rows=6_000,
    n_predictions=6_000,
    features={
        "region": CategoryReference(counts=dict.fromkeys(REGIONS, 1_500), missing=0),
        "owner": CategoryReference(counts={"true": 3_000, "false": 3_000}, missing=0),
        "age": number_reference(np.array([30.0, 40.0, 50.0])),
    },
    predictions={},
)


def world(n: int, seed: int, *, broken: str = "") -> pl.DataFrame:
    """Scores and truths by region; in a `broken` one the scores say nothing."""
    rng = np.random.default_rng(seed)
    region = rng.choice(REGIONS, n)
    scores = 1 / (1 + np.exp(-1.6 * rng.normal(size=n)))
    chance = np.where(region == broken, 0.5, scores)
    return pl.DataFrame(
        {
            "region": region,
            "owner": rng.random(n) < 0.5,
            "age": rng.normal(40, 5, n),
            "score": scores,
            "label": np.where(rng.random(n) < chance, "yes", "no"),
            "prediction": np.where(scores >= 0.5, "yes", "no"),
        }
    )


def live(layout: Layout, rows: pl.DataFrame) -> None:
    """Traffic of a day and its labels."""
    records = [
        TrafficRecord(
            prediction_id=f"id-{i}",
            time=f"2026-01-31T{i % 24:02d}:00:00.000000Z",
            model="loan",
            version=1,
            features={"region": row["region"], "owner": row["owner"], "age": row["age"]},
            prediction=row["prediction"],
            score=row["score"],
            scores={"no": 1 - row["score"], "yes": row["score"]},
        )
        for i, row in enumerate(rows.iter_rows(named=True))
    ]
    labels = [
        Label(f"id-{i}", truth, "2026-02-01T00:00:00.000000Z")
        for i, truth in enumerate(rows["label"])
    ]
    for folder, lines in (
        (layout.traffic("loan") / "2026-01-31", records),
        (layout.labels("loan"), labels),
    ):
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
        os.utime(folder / "a.jsonl", (DAY.timestamp(), DAY.timestamp()))


def named(**changes: Any) -> Manifest:
    return msgspec.structs.replace(manifest(), schema=SCHEMA, **changes)


def held_out(tmp_path: Path) -> Path:
    path = tmp_path / "reference.parquet"
    # As training writes it: booleans are numbers there.
    world(6_000, 1).with_columns(owner=pl.col("owner").cast(pl.Float64)).write_parquet(path)
    return path


def judged(tmp_path: Path, segments: tuple[str, ...]) -> Performance:
    return realized_performance(
        Layout(tmp_path),
        named(),
        1,
        SPAN,
        now=LATER,
        alpha=0.01,
        segments=segments,
        sample=ReferenceSample(tmp_path / "reference.parquet", REFERENCE),
    )


def auc(rows: pl.DataFrame, mask: NDArray[np.bool_]) -> float:
    part = rows.filter(pl.Series(mask))
    return float(roc_auc_score(part["label"] == "yes", part["score"]))


def test_the_segment_that_went_wrong_is_named_with_sklearns_numbers(tmp_path: Path) -> None:
    rows = world(4_000, 2, broken="east").with_columns(
        region=pl.when(pl.int_range(4_000) % 10 == 0).then(None).otherwise(pl.col("region"))
    )
    live(Layout(tmp_path), rows)
    before = pl.read_parquet(held_out(tmp_path))
    found = judged(tmp_path, ("region", "owner"))
    compact_traffic(Layout(tmp_path), "loan", now=LATER)
    slices = {(s.segment, s.value): s for s in found.segments}
    east = (rows["region"] == "east").fill_null(value=False).to_numpy()

    assert judged(tmp_path, ("region", "owner")) == found, "the same from Parquet"
    assert set(slices) == {("region", r) for r in REGIONS} | {("owner", "true"), ("owner", "false")}
    worst = found.segments[0]
    assert (worst.segment, worst.value, worst.worse) == ("region", "east", True)
    assert worst.now == pytest.approx(auc(rows, east))
    assert worst.baseline == pytest.approx(auc(before, (before["region"] == "east").to_numpy()))
    assert (worst.labels, worst.baseline_labels) == (
        int(east.sum()),
        int((before["region"] == "east").sum()),
    )
    assert not any(s.worse for s in found.segments[1:] if s.segment == "region")
    owners = slices["owner", "true"]
    assert owners.now == pytest.approx(auc(rows, rows["owner"].to_numpy()))


def test_where_nothing_went_wrong_no_segment_is_blamed(tmp_path: Path) -> None:
    """Each slice at its own 1 % would blame one in forty worlds of this size and more."""
    held_out(tmp_path)
    blamed = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        os.link(tmp_path / "reference.parquet", folder / "reference.parquet")
        live(Layout(folder), world(2_000, 10 + seed))
        blamed += any(s.worse for s in judged(folder, ("region", "owner")).segments)

    assert blamed == 0


def test_segments_with_few_labels_are_not_judged_and_none_without_segment_features(
    tmp_path: Path,
) -> None:
    live(Layout(tmp_path), world(4_000, 2)[:380])
    held_out(tmp_path)

    assert {s.value for s in judged(tmp_path, ("region",)).segments} < set(REGIONS)
    assert judged(tmp_path, ()).segments == ()


def test_the_sentence_and_the_page_name_the_worst_segment(tmp_path: Path) -> None:
    live(Layout(tmp_path), world(4_000, 2, broken="east"))
    held_out(tmp_path)
    found = judged(tmp_path, ("region",))
    golden = Verdict.read((GOLDEN / "verdict.v1.json").read_bytes())
    said = performance_text(found)
    html = drift_report_html(msgspec.structs.replace(golden, performance=found))

    assert "worst where region = east (" in said
    assert "<td>region = east</td>" in html
    assert "4 segments compared" in html


def test_held_out_rows_without_labels_judge_no_segment(tmp_path: Path) -> None:
    """Old versions have no labels in their sample; the window is judged anyway."""
    live(Layout(tmp_path), world(4_000, 2, broken="east"))
    path = held_out(tmp_path)
    pl.read_parquet(path).drop("label").write_parquet(path)
    found = judged(tmp_path, ("region",))

    assert (found.status, found.segments) == ("judged", ())
