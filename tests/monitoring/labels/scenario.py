"""Predictions of a day by two versions of a loan model, and their labels."""

import csv
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from contracts.manifest import Manifest, Metric
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.labels.ingest import add_labels
from monitoring.performance.realized import realized_performance
from monitoring.traffic.window import TimeWindow

GOLDEN = Path(__file__).parents[2] / "contracts" / "golden" / "manifest.v1.json"


DAY = datetime(2026, 1, 31, tzinfo=UTC)


SPAN = TimeWindow("loan", None, DAY, DAY + timedelta(days=1))


LATER = DAY + timedelta(days=40)


def manifest(**changes: Any) -> Manifest:
    read = Manifest.read(GOLDEN.read_bytes())
    fields: dict[str, Any] = {
        "name": "loan",
        "task": "binary",
        "classes": ("no", "yes"),
        "label_delay_s": 86_400.0,
        "metrics": {
            "roc_auc": Metric(value=0.80, low=0.79, high=0.81, greater_is_better=True),
            "accuracy": Metric(value=0.72, low=0.71, high=0.73, greater_is_better=True),
        },
    }
    return msgspec.structs.replace(read, **(fields | changes))


def write_labelled_day(
    tmp_path: Path, n: int, *, flipped: float = 0.0, seed: int = 0, n_users: int = 0
) -> tuple[Layout, Any]:
    """Write predictions of two versions and their labels; a share of `flipped` ones is wrong.

    With `n_users`, all rows of a user have one truth.
    """
    rng = np.random.default_rng(seed)
    layout = Layout(tmp_path)
    scores = 1 / (1 + np.exp(-1.6 * rng.normal(size=n)))
    users = np.arange(n) * n_users // n
    luck = rng.random(n_users)[users] if n_users else rng.random(n)
    truths = luck < np.where(rng.random(n) < flipped, 1 - scores, scores)
    folder = layout.traffic("loan") / "2026-01-31"
    folder.mkdir(parents=True)
    records = [
        TrafficRecord(
            prediction_id=f"id-{i}",
            time=f"2026-01-31T{i % 24:02d}:00:00.000000Z",
            model="loan",
            version=1 + (i % 5 == 4),
            variant="shadow" if i % 5 == 4 else "production",
            features={},
            prediction="yes" if s >= 0.5 else "no",
            score=float(s),
            scores={"no": float(1 - s), "yes": float(s)},
            unit=f"user-{users[i]}" if n_users else UNSET,
        )
        for i, s in enumerate(scores)
    ]
    path = folder / "a.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    source = tmp_path / "truth.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prediction_id", "truth", "time"])
        writer.writerows(
            [f"id-{i}", "yes" if t else "no", "2026-02-01T00:00:00+00:00"]
            for i, t in enumerate(truths)
        )
    add_labels(layout, manifest(), source, now=LATER)
    return layout, (scores, truths)


def judged(layout: Layout, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"now": LATER, "alpha": 0.01}
    return realized_performance(layout, manifest(), 1, SPAN, **(arguments | changes))
