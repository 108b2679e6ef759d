"""The closed loop in one process: traffic and labels on disk, verdicts, retraining, the gate.

Traffic records are written as the service writes them, without HTTP between; time is simulated.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from benchmarks.monitoring.streams import Stream, points
from contracts.errors import GateRefused, NotJustified
from contracts.labels import Label
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from contracts.verdict import Verdict
from monitoring.baseline import Baseline, find_baseline
from monitoring.judgement import count, judge
from monitoring.retraining.job import retrain
from monitoring.retraining.process import Trained
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts.history import earlier_verdicts
from registry.production import reconcile
from registry.promote import Promotion, promote
from registry.pull import pull
from registry.settings import RegistrySettings
from registry.store import Store
from training.dataset import plain_rows
from training.evaluation.compare import compare_versions
from training.evaluation.model_version import load_model_version
from training.reference import predictions as predictions_of
from training.retraining.job import retrain_recipe
from training.run import train_recipe

WEEK = timedelta(days=7)
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
"""After the first version is trained, whenever this is run."""
SETTINGS = MonitoringSettings()


@dataclass
class LoopResult:
    """What came of a stream: points by week, and every event by week."""

    points: list[float] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)

    def count(self, word: str) -> int:
        """How many events begin with a word."""
        return sum(event.startswith(word) for _, event in self.events)


class ClosedLoop:
    """One model in a folder of its own, served, judged by the week, retrained and promoted.

    With `schedule` it is also retrained every `schedule` weeks, as a cron job would.
    """

    def __init__(self, stream: Stream, folder: Path, *, schedule: int = 0) -> None:
        """`folder` is the working directory, where `mlflow.db` and `var/` are."""
        self._stream = stream
        self._recipe = stream.recipe
        self._name = stream.recipe.name
        self._schedule = schedule
        self._store = Store.open(RegistrySettings())
        self._layout = Layout(folder / "var")

    def run(self) -> LoopResult:
        """Train, promote, and live through every week."""
        train_recipe(self._recipe, self._store)
        promote(self._store, self._name, actor="loop")
        result = LoopResult()
        for week in range(len(self._stream.weeks)):
            version = reconcile(self._store, self._name)
            assert version is not None  # noqa: S101 - the first one was just promoted
            pull(self._store, self._layout, self._name)
            result.points.append(self._serve(week, version))
            verdict = self._judge(week, version)
            for because in self._causes(week, verdict):
                result.events.append((week, self._retrain(week, because)))
        return result

    def _causes(self, week: int, verdict: Verdict) -> list[str]:
        causes = []
        if {condition.kind for condition in verdict.alarms} & {"performance", "drift"}:
            causes.append(verdict.verdict_id)
        if self._schedule and (week + 1) % self._schedule == 0:
            causes.append("schedule")
        return causes

    def _serve(self, week: int, version: int) -> float:
        """Answer a week's rows, log them and their labels; gives the points of the answers."""
        table = self._stream.weeks[week]
        with_folder = self._layout.var / "download"
        model = load_model_version(self._store, self._layout, self._name, version, with_folder)
        features = plain_rows(table, self._recipe.schema)
        scores = model.predict(table).scores
        recipe = self._recipe
        if model.manifest.threshold is not None:
            recipe = recipe.with_threshold(model.manifest.threshold)
        predicted = predictions_of(recipe, scores)
        monitored = recipe.decision_rule.monitored_scores(scores)
        names = recipe.classes or recipe.targets
        start, step = START + week * WEEK, WEEK / len(table)
        records = [
            TrafficRecord(
                prediction_id=f"{week}-{i}",
                time=f"{start + i * step:%Y-%m-%dT%H:%M:%S.%f}Z",
                model=self._name,
                version=version,
                features=row,
                prediction=predicted[i],
                score=float(monitored[i]),
                scores=dict(zip(names, map(float, scores[i]), strict=True)),
            )
            for i, row in enumerate(features)
        ]
        self._write(self._layout.traffic(self._name) / f"{start:%Y-%m-%d}", week, records)
        self._write(self._layout.labels(self._name), week, self._labels(week, start + WEEK))
        return points(self._stream, week, np.asarray(predicted))

    def _labels(self, week: int, at: datetime) -> list[Label]:
        labels: pd.Series = self._stream.labels_of(week)
        time = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
        return [
            Label(prediction_id=f"{week}-{i}", truth=truth, time=time)
            for i, truth in enumerate(labels.tolist())
        ]

    def _write(self, folder: Path, week: int, records: list[Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = msgspec.json.Encoder().encode_lines(records)
        (folder / f"000000-{week}.jsonl").write_bytes(lines)

    def _judge(self, week: int, version: int) -> Verdict:
        """The verdict on a week, written where verdicts lie; nothing is drawn."""
        baseline: Baseline = find_baseline(self._store, self._layout, self._name, version)
        start = START + week * WEEK
        window = TimeWindow(self._name, version, start, start + WEEK)
        counted = count(self._layout, baseline, window, SETTINGS)
        earlier = earlier_verdicts(self._layout, window)
        verdict = judge(self._layout, baseline, window, counted, SETTINGS, start + WEEK, earlier)
        path = self._layout.verdicts / self._name / f"{verdict.verdict_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(verdict.write_pretty())
        return verdict

    def _retrain(self, week: int, because: str) -> str:
        """What came of a retraining, in words."""
        try:
            done = retrain(
                self._store,
                self._layout,
                self._name,
                because=because,
                settings=SETTINGS,
                now=START + (week + 1) * WEEK,
                actor="loop",
                train=self._train,
                promote=self._promote,
            )
        except NotJustified as err:
            return f"waits: {err.what}"
        except GateRefused as err:
            return f"refused: {err.what}"
        return f"{done.state}: {done.sentence}"

    def _train(self, request: Path, _timeout_s: float, _lock: int) -> Trained:
        made = retrain_recipe(self._recipe, request, self._store)
        return Trained(made.version, made.run_id)

    def _promote(self, version: int, because: str) -> Promotion:
        return promote(
            self._store,
            self._name,
            version,
            actor="loop",
            because=because,
            compare=lambda ours, theirs: compare_versions(
                self._store, self._layout, self._recipe, ours, theirs
            ),
        )
