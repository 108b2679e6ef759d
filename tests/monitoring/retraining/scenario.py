"""What retraining tests do: log an hour of traffic with labels, judge it, retrain, promote."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from contracts.manifest import Manifest
from contracts.retraining import Retraining
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.baseline import find_baseline
from monitoring.judgement import count
from monitoring.judgement import judge as judge_window
from monitoring.retraining.job import retrain
from monitoring.retraining.process import Trained
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow
from registry.promote import Promotion, promote
from tests import tiny
from tests.conftest import Workplace
from training.dataset import plain_rows
from training.evaluation.compare import compare_versions
from training.onnx_session import onnx_scores
from training.retraining.job import retrain_recipe

HOUR = timedelta(hours=1)
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
START = TODAY + timedelta(days=1)
"""After the version was trained, whenever this is run."""
NOW = START + 3 * HOUR
SETTINGS = MonitoringSettings()
RECIPE = tiny.binary(load=lambda: tiny.people(2_000))
GOLDEN = Path(__file__).parents[2] / "contracts" / "golden"


def log_hour(place: Workplace, world: pd.DataFrame, start: datetime, *, version: int = 1) -> None:
    """Log an hour of traffic that the model itself answered, and its labels."""
    rows = plain_rows(world, tiny.SCHEMA)
    model = (place.layout.model("tiny", version) / "model.onnx").read_bytes()
    scores = onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)
    ids = [f"{start:%d%H}-{version}-{i}" for i in range(len(rows))]
    step = HOUR / len(rows)
    records = [
        TrafficRecord(
            prediction_id=name,
            time=f"{start + i * step:%Y-%m-%dT%H:%M:%S.%f}Z",
            model="tiny",
            version=version,
            features=row,
            prediction="yes" if s[1] >= 0.6 else "no",
            score=float(s[1]),
            scores={"no": float(s[0]), "yes": float(s[1])},
        )
        for i, (name, row, s) in enumerate(zip(ids, rows, scores, strict=True))
    ]
    folder = place.layout.traffic("tiny") / f"{start:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{start:%H%M%S}-{version}.jsonl").write_bytes(
        msgspec.json.Encoder().encode_lines(records)
    )
    labels = place.layout.labels("tiny")
    labels.mkdir(parents=True, exist_ok=True)
    truths = [
        {"prediction_id": name, "truth": truth, "time": f"{start + HOUR:%Y-%m-%dT%H:%M:%S.%f}Z"}
        for name, truth in zip(ids, world.paid, strict=True)
    ]
    (labels / f"{start:%d%H%M%S}-{version}.jsonl").write_text("\n".join(map(json.dumps, truths)))


def judge_hour(place: Workplace, start: datetime) -> Verdict:
    """The verdict on an hour, written where verdicts lie; nothing is drawn."""
    baseline = find_baseline(place.store, place.layout, "tiny", None)
    span = TimeWindow("tiny", baseline.version, start, start + HOUR)
    counted = count(place.layout, baseline, span, SETTINGS)
    verdict = judge_window(place.layout, baseline, span, counted, SETTINGS, start + HOUR, [])
    path = place.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(verdict.write_pretty())
    return verdict


def train_in_process(place: Workplace, request: Path, _timeout_s: float, _lock: int) -> Trained:
    """Train without a process of its own: `tiny` is not in the folder of recipes."""
    made = retrain_recipe(RECIPE, request, place.store)
    return Trained(made.version, made.run_id)


def retrain_tiny(place: Workplace, because: str, **changes: Any) -> Retraining:
    arguments: dict[str, Any] = {
        "because": because,
        "settings": SETTINGS,
        "now": NOW,
        "actor": "ada",
        "train": partial(train_in_process, place),
    }
    return retrain(place.store, place.layout, "tiny", **(arguments | changes))


def promote_through_gate(place: Workplace, version: int, because: str) -> Promotion:
    return promote(
        place.store,
        "tiny",
        version,
        actor="monitor",
        because=because,
        compare=lambda ours, theirs: compare_versions(
            place.store, place.layout, RECIPE, ours, theirs
        ),
    )


def manifest_of(place: Workplace, version: int) -> Manifest:
    return find_baseline(place.store, place.layout, "tiny", version).manifest
