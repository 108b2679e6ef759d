"""Traffic of an hour on a version of `tiny` that is served, and its verdict."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from contracts.decision_rule import DecisionRule
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.monitor import run
from monitoring.settings import MonitoringSettings
from tests import tiny
from tests.conftest import Workplace
from training.dataset import plain_rows

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


END = START + timedelta(hours=1)


SETTINGS = MonitoringSettings()


def record(row: dict[str, Any], number: int, **changes: Any) -> TrafficRecord:
    score = float(np.random.default_rng(number).random())
    fields: dict[str, Any] = {
        "prediction_id": f"id-{number}",
        "time": f"2026-01-31T12:{number % 60:02d}:00.000000Z",
        "model": "tiny",
        "version": 1,
        "features": row,
        "prediction": "yes" if score >= 0.6 else "no",
        "score": score,
        "scores": {"no": 1 - score, "yes": score},
    }
    return TrafficRecord(**(fields | changes))


def served_rows(workplace: Workplace, n: int, seed: int) -> list[TrafficRecord]:
    """Traffic like the training data, answered by the model itself."""
    from training.onnx_session import onnx_scores

    rows = plain_rows(tiny.people(n, seed), tiny.SCHEMA)
    model = (workplace.layout.model("tiny", 1) / "model.onnx").read_bytes()
    scores = onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)
    classes = np.array(["no", "yes"])[DecisionRule("binary", 0.6).class_indices(scores)]
    return [
        record(row, i, score=float(s[1]), prediction=str(name))
        for i, (row, s, name) in enumerate(zip(rows, scores, classes, strict=True))
    ]


def write(workplace: Workplace, records: list[TrafficRecord], tail: bytes = b"") -> Path:
    folder = workplace.layout.traffic("tiny") / "2026-01-31"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"120000-1-{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records) + tail)
    return path


def judge(workplace: Workplace, **changes: Any) -> Verdict:
    arguments: dict[str, Any] = {"start": START, "end": END, "settings": SETTINGS, "now": END}
    return run(workplace.store, workplace.layout, "tiny", **(arguments | changes))
