"""A day of a small team: three models, one in trouble, one in a canary, one never promoted.

Everything is written by the code that writes it in a real installation: training, the gate, the
traffic log's records, the monitor, labels, retrainings and canaries.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from contracts.canary import REFERENCE_LATENCIES, Canary, CanaryEvidence
from contracts.decision import Decision
from contracts.decision_rule import DecisionRule
from contracts.files import write_whole
from contracts.labels import Label
from contracts.names import CHALLENGER, SHADOW, TAG_CANARY, TAG_CHALLENGER_SPLIT
from contracts.retraining import Retraining, RetrainingRequest
from contracts.split import TrafficSplit
from contracts.times import utc_text
from contracts.traffic import TrafficRecord
from monitoring.monitor import run
from monitoring.retraining.records import write_retraining
from monitoring.settings import MonitoringSettings
from registry.heartbeat import write_heartbeat
from registry.promote import promote
from registry.pull import pull
from services.shadow.prometheus import shadow_metrics
from tests import tiny
from tests.conftest import Workplace
from training.dataset import plain_rows
from training.evaluation.decision_log import log_decision
from training.onnx_session import onnx_scores
from training.recipe import Recipe
from training.run import train_recipe

WINDOW = timedelta(hours=3)
ROWS_PER_WINDOW = 700
SETTINGS = MonitoringSettings()
HOSTILE = "<script>document.documentElement.dataset.attacked=1</script>"
HOSTILE_IMAGE = '"><img src=x onerror="document.documentElement.dataset.attacked=1">'


def shrunk() -> Any:
    return make_pipeline(tiny.linear()[0], LogisticRegression(C=0.002, max_iter=500))


def fill(place: Workplace, now: datetime) -> None:
    """Fill a workplace whose folder is the current one with the day before `now`."""
    _promoted(place, tiny.binary("loan"), "ada", "the first model")
    _promoted(place, tiny.binary("loan", shrunk), f"grace {HOSTILE}", f"calibrated {HOSTILE_IMAGE}")
    train_recipe(tiny.binary("loan"), place.store)
    _promoted(place, tiny.binary("churn"), "ada", "")
    train_recipe(tiny.binary("newcomer"), place.store)
    for name, version, drifts in (("loan", 2, True), ("churn", 1, False)):
        pull(place.store, place.layout, name)
        _live(place, name, version, now, drifts=drifts)
    _canary(place, "churn", now)
    _retraining(place, "loan", now)
    write_heartbeat(place.layout)


def _promoted(place: Workplace, recipe: Recipe, who: str, why: str) -> None:
    def keep(decision: Decision) -> None:
        log_decision(place.store, decision)

    train_recipe(recipe, place.store)
    promote(place.store, recipe.name, actor=who, because=why or "x", keep=keep, force=True)


def _live(place: Workplace, name: str, version: int, now: datetime, *, drifts: bool) -> None:
    """A day of traffic, judged window by window; labels of all but the last."""
    for i in range(9):
        start = now - (9 - i) * WINDOW
        drifted = drifts and i >= 6
        records = _records(place, name, version, start, seed=i, drifted=drifted)
        _write_traffic(place, name, records, i)
        _write_labels(place, name, records, seed=i)
        run(
            place.store,
            place.layout,
            name,
            start=start,
            end=start + WINDOW,
            settings=SETTINGS,
            now=start + WINDOW + timedelta(seconds=12),
        )


def _records(
    place: Workplace, name: str, version: int, start: datetime, *, seed: int, drifted: bool
) -> list[TrafficRecord]:
    """Rows like training's, fewer at night, answered by the model itself."""
    rng = np.random.default_rng(seed)
    n = int(ROWS_PER_WINDOW * (0.7 + 0.6 * np.sin((start.hour - 6) / 24 * 2 * np.pi) ** 2))
    table = tiny.people(n, 100 + seed)
    if drifted:
        table["income"] *= 0.6
    rows = plain_rows(table, tiny.SCHEMA)
    model = (place.layout.model(name, version) / "model.onnx").read_bytes()
    scores = onnx_scores(model, tiny.SCHEMA.matrix(rows)).astype(float)
    classes = np.array(["no", "yes"])[DecisionRule("binary", 0.6).class_indices(scores)]
    seconds = np.sort(rng.uniform(0, WINDOW.total_seconds() - 1, n))
    latencies = rng.lognormal(-0.6, 0.35, n) + (rng.random(n) < 0.01) * 6.0
    is_challenger = rng.random(n) < (0.05 if name == "churn" and seed == 8 else 0.0)
    return [
        TrafficRecord(
            prediction_id=f"{name}-{seed}-{i}",
            time=utc_text(start + timedelta(seconds=float(seconds[i]))),
            model=name,
            version=2 if is_challenger[i] else version,
            variant="challenger" if is_challenger[i] else "production",
            features=rows[i],
            prediction=str(classes[i]),
            score=float(scores[i][1]),
            scores={"no": float(scores[i][0]), "yes": float(scores[i][1])},
            latency_ms=float(latencies[i]),
        )
        for i in range(n)
    ]


def _write_traffic(
    place: Workplace, name: str, records: Sequence[TrafficRecord], number: int
) -> None:
    by_day: dict[str, list[TrafficRecord]] = {}
    for record in records:
        by_day.setdefault(record.time[:10], []).append(record)
    for day, found in by_day.items():
        path = place.layout.traffic(name) / day / f"{number:06d}-1-0.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.Encoder().encode_lines(found))


def _write_labels(place: Workplace, name: str, records: Sequence[TrafficRecord], seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    labels = [
        Label(
            prediction_id=r.prediction_id,
            truth="yes" if rng.random() < r.score else "no",
            time=r.time,
        )
        for r in records
        if rng.random() < 0.4
    ]
    path = place.layout.labels(name) / f"{seed:06d}.jsonl"
    write_whole(path, msgspec.json.Encoder().encode_lines(labels))


def _canary(place: Workplace, name: str, now: datetime) -> None:
    """A running canary in its second step, and a shadow."""
    train_recipe(tiny.binary(name, shrunk), place.store)
    place.store.models.set_alias(name, 2, CHALLENGER)
    place.store.models.set_alias(name, 2, SHADOW)
    place.store.models.set_tag(name, TAG_CHALLENGER_SPLIT, "canary 5,25,50,100 each 200")
    digest = place.store.versions.get(name, 2).digest
    began = utc_text(now - timedelta(minutes=50))
    canary = Canary(
        model=name,
        challenger_version=2,
        challenger_digest=digest,
        production_version=1,
        weights=(0.05, 0.25, 0.5),
        requests_per_step=200,
        began=began,
        step=1,
        step_began=utc_text(now - timedelta(minutes=9)),
        seen_before=4100,
        requests_before=204,
        compared_before=160,
        sentence="step 1 of 3 (0.05) is passed",
    )
    place.store.models.set_tag(name, TAG_CANARY, canary.write().decode())
    evidence = CanaryEvidence(
        canary=began,
        seen=4520,
        requests=318,
        failed=1,
        ranks=(8,) * (REFERENCE_LATENCIES + 1),
        compared=250,
        units=180,
        changed=14,
    )
    write_whole(place.layout.evidence(name), evidence.write_pretty())
    split = TrafficSplit(
        model=name,
        challenger_version=2,
        challenger_digest=digest,
        weight=0.25,
        canary=began,
        since=utc_text(now - timedelta(minutes=9)),
    )
    write_whole(place.layout.split(name), split.write_pretty())
    counts = {("shadow", 2, "agreed"): 914, ("shadow", 2, "differed"): 37}
    write_whole(place.layout.metrics / f"shadow-{name}.prom", shadow_metrics(name, counts))


def _retraining(place: Workplace, name: str, now: datetime) -> None:
    made_at = utc_text(now - timedelta(hours=4))
    request = RetrainingRequest(
        retraining_id="20260305T080000",
        model=name,
        reason="drift",
        because=f"income has drifted {HOSTILE_IMAGE}",
        made_at=made_at,
        made_by="monitor",
        production_version=2,
        production_digest="",
        rows_file="rows.parquet",
        rows_sha256="",
        rows=1200,
        recent_rows=800,
        evaluation_rows=400,
        recent_start=made_at,
        evaluation_start=made_at,
        evaluation_end=made_at,
        evaluation_series="s",
    )
    refused = Retraining(
        request=request,
        state="refused",
        owner="host:1",
        sentence="version 3 is not surely better than version 2: AUC +0.004, margin 0.01",
        changed_at=utc_text(now - timedelta(hours=3, minutes=50)),
        version=3,
    )
    write_retraining(place.layout, refused)
