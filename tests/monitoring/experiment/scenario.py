"""What experiment tests do: draw an experiment, log it with labels, and analyse it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.experiment.scenarios import World
from contracts.experiment import Experiment
from contracts.manifest import GateResult, Manifest
from contracts.names import Layout
from monitoring.baseline import Baseline
from monitoring.experiment.analysis import ExperimentPlan, analyse_experiment
from monitoring.experiment.effect import (
    TrialRows,
)
from monitoring.traffic.window import TimeWindow
from tests.monitoring.reference import TINY_REFERENCE

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 10
WINDOW = TimeWindow("tiny", None, START - timedelta(days=5), START + timedelta(days=DAYS))
NOW = START + timedelta(days=DAYS + 1)
GOLDEN = Path(__file__).parents[2] / "contracts" / "golden" / "manifest.v1.json"
UNITS = 2500


def baseline_of(**changes: Any) -> Baseline:
    defaults: dict[str, Any] = {
        "name": "tiny",
        "task": "binary",
        "classes": ("no", "yes"),
        "outputs": (),
        "gates": (GateResult(metric="roc_auc", value=0.8, minimum=0.5, passed=True),),
        "label_delay_s": 0.0,
    }
    manifest = Manifest.read(GOLDEN.read_bytes())
    manifest = msgspec.structs.replace(manifest, **(defaults | changes))
    return Baseline("tiny", 7, "digest", Path(), manifest, TINY_REFERENCE)


def draw_rows(gain: float = 0.0, seed: int = 1, **changes: Any) -> TrialRows:
    world = World("test", "roc_auc", gain=gain, visits=2.0, **changes)
    return world.draw(UNITS, np.random.default_rng(seed))


def traffic_lines(rows: TrialRows, weights: Sequence[float] = (0.5,)) -> list[dict[str, Any]]:
    """Lines as the service writes them where a split is in force, over ten days."""
    found = []
    for i in range(len(rows)):
        time = START + timedelta(days=DAYS) * (i / len(rows))
        variant = "challenger" if rows.treated[i] else "production"
        found.append(
            {
                "document_version": 1,
                "prediction_id": f"p-{i}",
                "time": f"{time:%Y-%m-%dT%H:%M:%S.%f}Z",
                "model": "tiny",
                "version": 8 if rows.treated[i] else 7,
                "variant": variant,
                "features": {},
                "prediction": ("no", "yes")[int(rows.predictions[i])],
                "score": float(rows.scores[i]),
                "scores": {"no": float(1 - rows.scores[i]), "yes": float(rows.scores[i])},
                "unit": f"u-{rows.units[i]}",
                "assigned": variant,
                "weight": weights[rows.strata[i]],
            }
        )
    return found


def write_log(layout: Layout, lines: Sequence[dict[str, Any]]) -> None:
    for day in sorted({line["time"][:10] for line in lines}):
        path = layout.traffic("tiny") / day / "a.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = [line for line in lines if line["time"].startswith(day)]
        path.write_bytes(msgspec.json.Encoder().encode_lines(mine))


def write_labels(layout: Layout, rows: TrialRows, skip: Sequence[bool] | None = None) -> None:
    path = layout.labels("tiny") / "a.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            json.dumps(
                {
                    "prediction_id": f"p-{i}",
                    "truth": ("no", "yes")[int(rows.targets[i])],
                    "time": "2026-03-20T00:00:00Z",
                }
            )
            + "\n"
            for i in range(len(rows))
            if skip is None or not skip[i]
        )
    )


def analyse(layout: Layout, now: datetime = NOW, **plan: Any) -> Experiment:
    changes = plan.pop("manifest", {})
    arguments: dict[str, Any] = {"window": WINDOW, "planned_units": UNITS} | plan
    chosen = ExperimentPlan(**arguments)
    return analyse_experiment(layout, baseline_of(**changes), chosen, now=now)
