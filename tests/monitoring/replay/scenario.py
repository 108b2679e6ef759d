"""What replay tests do: log what version 1 answers, and replay it through a version."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.replay import Replay
from contracts.traffic import TrafficRecord
from monitoring.baseline import Baseline, find_baseline
from monitoring.replay.run import ReplayRequest, replay
from monitoring.traffic.window import TimeWindow
from tests import tiny
from tests.conftest import Workplace
from training.dataset import plain_rows
from training.onnx_session import onnx_scores

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
WHOLE = TimeWindow("tiny", None, START, START + timedelta(hours=1))
NOW = START + timedelta(hours=2)
N = 3000


def baseline_of(place: Workplace, version: int) -> Baseline:
    return find_baseline(place.store, place.layout, "tiny", version)


def scores_of(place: Workplace, version: int, rows: Sequence[Any]) -> Any:
    """What the exported model gives, by training's own session."""
    directory = baseline_of(place, version).directory
    manifest = Manifest.read((directory / "manifest.json").read_bytes())
    model = (directory / "model.onnx").read_bytes()
    return onnx_scores(model, manifest.schema.matrix(rows)).astype(float)


def tiny_records(place: Workplace, n: int, seed: int = 3) -> list[TrafficRecord]:
    rows = plain_rows(tiny.people(n, seed), tiny.SCHEMA)
    scores = scores_of(place, 1, rows)
    predictions = np.array(["no", "yes"])[DecisionRule("binary", 0.6).class_indices(scores)]
    return [
        TrafficRecord(
            prediction_id=f"id-{i:05d}",
            time=f"2026-01-31T12:{i % 60:02d}:{i % 59:02d}.{i:06d}Z",
            model="tiny",
            version=1,
            features=row,
            prediction=str(predictions[i]),
            score=float(scores[i, 1]),
            scores={"no": float(scores[i, 0]), "yes": float(scores[i, 1])},
        )
        for i, row in enumerate(rows)
    ]


def write_log(layout: Layout, records: Sequence[TrafficRecord], name: str = "a.jsonl") -> Path:
    path = layout.traffic("tiny") / "2026-01-31" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    return path


def replayed(place: Workplace, version: int, **changes: Any) -> Replay:
    arguments: dict[str, Any] = {"window": WHOLE} | changes
    return replay(place.layout, baseline_of(place, version), ReplayRequest(**arguments), now=NOW)
