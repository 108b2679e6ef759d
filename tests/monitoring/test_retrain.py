"""A retraining is ordered for a reason, on rows that nobody saw, and by one process at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.errors import (
    GateRefused,
    InvalidData,
    InvalidDocument,
    NotFoundHere,
    NotJustified,
    PlatformError,
)
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.retraining import Order, Retraining
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring import retrainings
from monitoring.justify import judged
from monitoring.monitor import count, find_baseline
from monitoring.monitor import judge as judge_window
from monitoring.retrain import retrain
from monitoring.settings import MonitoringSettings
from monitoring.training_process import Trained, run_training
from monitoring.window import Span
from registry.explain import lineage
from registry.production import reconcile
from registry.promote import Promotion, promote
from registry.pull import pull
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from tests.conftest import Workplace
from training.compare import compare_recipe
from training.metrics import METRICS
from training.retrain import retrain_recipe
from training.run import train_recipe
from training.session import onnx_scores
from training.table import rows_of

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = START + 3 * HOUR
SETTINGS = MonitoringSettings()
RECIPE = tiny.binary(load=lambda: tiny.people(2_000))
GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


@pytest.fixture(scope="module")
def promoted(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where `tiny` is in production and served; copied for each test."""
    root = tmp_path_factory.mktemp("promoted")
    shutil.copy(fresh_database, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        store = Store.open(RegistrySettings())
        train_recipe(RECIPE, store)
        promote(store, "tiny", actor="ada")
        pull(store, Layout(root / "var"), "tiny")
    return root


@pytest.fixture
def served(
    promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    root = tmp_path / "copy"
    shutil.copytree(promoted, root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(root)
    yield Workplace(root, Store.open(RegistrySettings()), Layout(root / "var"))


def turned(n: int, seed: int) -> pd.DataFrame:
    """People of a world in which the old no longer pay, and the young do: same features."""
    table = tiny.people(n, seed)
    odds = -0.08 * (table.age - 45) + 1.5 * (table.work == "yes") - 0.2 * table.lines
    paid = np.random.default_rng(seed).random(n) < 1 / (1 + np.exp(-odds))
    return table.assign(paid=np.where(paid, "yes", "no"))


def live(place: Workplace, world: pd.DataFrame, start: datetime, *, version: int = 1) -> list[str]:
    """Traffic of an hour, answered by the model itself, and its labels; gives the ids."""
    rows = rows_of(world, tiny.SCHEMA)
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
    return ids


def verdict_on(place: Workplace, start: datetime) -> Verdict:
    """The verdict on an hour, kept where verdicts lie; nothing is drawn."""
    baseline = find_baseline(place.store, place.layout, "tiny", None)
    span = Span("tiny", baseline.version, start, start + HOUR)
    counted = count(place.layout, baseline, span, SETTINGS)
    verdict = judge_window(place.layout, baseline, span, counted, SETTINGS, start + HOUR, [])
    path = place.layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(verdict.write_pretty())
    return verdict


def in_process(place: Workplace, order: Path, _timeout_s: float, _lock: int) -> Trained:
    """Training without a process of its own: `tiny` lies in no folder of recipes."""
    made = retrain_recipe(RECIPE, order, place.store)
    return Trained(made.version, made.run_id)


def anew(place: Workplace, because: str, **changes: Any) -> Retraining:
    words: dict[str, Any] = {
        "because": because,
        "settings": SETTINGS,
        "now": NOW,
        "actor": "ada",
        "train": partial(in_process, place),
    }
    return retrain(place.store, place.layout, "tiny", **(words | changes))


def through_the_gate(place: Workplace, version: int, because: str) -> Promotion:
    return promote(
        place.store,
        "tiny",
        version,
        actor="monitor",
        because=because,
        compare=lambda ours, theirs: compare_recipe(
            place.store, place.layout, RECIPE, ours, theirs
        ),
    )


def manifest_at(place: Workplace, version: int) -> Manifest:
    return find_baseline(place.store, place.layout, "tiny", version).manifest


def test_a_world_that_turned_is_learned_and_promoted_and_names_its_verdict(
    served: Workplace,
) -> None:
    live(served, turned(1_200, 5), START)
    verdict = verdict_on(served, START)
    done = anew(
        served, verdict.verdict_id, promote=partial(through_the_gate, served)
    )
    made = manifest_at(served, 2).retrained
    fresh = turned(2_000, 77)
    rows = rows_of(fresh, tiny.SCHEMA)
    auc, _ = METRICS["binary"]["roc_auc"]
    truth = (fresh.paid == "yes").to_numpy(int)
    before, after = (
        auc(truth, onnx_scores(_model(served, v), tiny.SCHEMA.matrix(rows)), 0.6) for v in (1, 2)
    )

    assert verdict.decision == "performance"
    assert (done.state, done.version, done.order.reason) == ("promoted", 2, "performance")
    assert reconcile(served.store, "tiny") == 2
    assert before < 0.5
    assert after > 0.75
    # The old world is wrong now, and the rows of choice have said so.
    assert made is not None
    assert made.old_share < 0.2
    assert made.verdict_id == verdict.verdict_id
    tags = served.store.version("tiny", 2).tags
    assert tags["slipway.verdict"] == verdict.verdict_id
    assert served.store.run(done.run_id).tags["slipway.retraining"] == done.order.retraining_id
    assert lineage(served.store, "tiny", 2).verdict_id == verdict.verdict_id
    kept = served.layout.retrainings("tiny") / done.order.retraining_id / "retraining.json"
    assert Retraining.read(kept.read_bytes()) == done
    assert sorted(served.store.artifacts(done.run_id, "retraining")) == [
        "retraining/labelled.parquet",
        "retraining/order.json",
    ]


def _model(place: Workplace, version: int) -> bytes:
    pull_to = find_baseline(place.store, place.layout, "tiny", version).directory
    return (pull_to / "model.onnx").read_bytes()
