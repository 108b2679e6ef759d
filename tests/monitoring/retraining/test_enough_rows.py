"""How many rows an evaluation waits for, and when it is large enough to decide."""

from dataclasses import replace as changed
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.reference import Reference
from contracts.retraining import Reason, Retraining
from contracts.times import parse_utc, utc_text
from monitoring.baseline import Baseline
from monitoring.labels.training_rows import TrainingRows
from monitoring.retraining.dataset import plan_evaluation, write_request
from monitoring.retraining.evaluation_plan import ReportedFall
from monitoring.retraining.proposal import RetrainingProposal
from monitoring.retraining.trigger import RetrainingTrigger
from monitoring.settings import MonitoringSettings
from tests.monitoring.retraining.scenario import GOLDEN
from tests.monitoring.verdict_history import MONDAY, verdict

DONE = Retraining.read((GOLDEN / "retraining.v1.json").read_bytes())
MANIFEST = Manifest.read((GOLDEN / "manifest.v1-retrained.json").read_bytes())
REFERENCE = Reference.read((GOLDEN / "reference.v1.json").read_bytes())
NOW = MONDAY + timedelta(days=400)
SETTINGS = MonitoringSettings()


def rows_from(start: datetime, n: int) -> TrainingRows:
    times = [start + timedelta(seconds=i) for i in range(n)]
    column = pl.Series("time", times, dtype=pl.Datetime("us", "UTC"))
    return TrainingRows(pl.DataFrame([column]))


def proposal(reason: Reason, *before: Retraining) -> RetrainingProposal:
    request = DONE.request
    baseline = Baseline("tiny", 1, request.production_digest, Path(), MANIFEST, REFERENCE)
    trigger = RetrainingTrigger(reason, "it fell", verdict(0), utc_text(MONDAY))
    return RetrainingProposal(trigger, baseline, request.episode, before, ())


@pytest.fixture
def fallen(monkeypatch: pytest.MonkeyPatch) -> ReportedFall:
    """A fall in the metric of the gate that an evaluation of 923 rows sees."""
    fall = ReportedFall(MANIFEST.gates[0].metric, 0.08, 0.02, 500)
    monkeypatch.setattr("monitoring.retraining.dataset.reported_fall", lambda *_: fall)
    return fall


def test_after_a_blind_exam_of_the_most_rows_the_next_one_decides(
    fallen: ReportedFall, tmp_path: Path
) -> None:
    blind = changed_rows(20_000)
    asked = proposal("performance", blind)
    labelled = rows_from(MONDAY, 60_000)
    plan = plan_evaluation(asked, labelled, SETTINGS, NOW)
    request, _ = write_request(Layout(tmp_path), asked, labelled, plan, NOW, "ada", force=False)
    smaller = plan_evaluation(proposal("performance"), rows_from(MONDAY, 5_000), SETTINGS, NOW)

    assert plan.wait is None
    assert (request.evaluation_rows, request.sought) == (20_000, 0.0)
    assert smaller.sought_in(fallen.metric) == fallen.sought


def changed_rows(n: int) -> Retraining:
    return replace(DONE, state="waiting", request=replace(DONE.request, evaluation_rows=n))


def test_few_rows_in_a_retraining_do_not_wait_for_more_than_can_come(
    fallen: ReportedFall,
) -> None:
    few = changed(SETTINGS, retrain_rows=500)
    plan = plan_evaluation(proposal("performance"), rows_from(MONDAY, 500), few, NOW)
    waiting = plan_evaluation(proposal("performance"), rows_from(MONDAY, 500), SETTINGS, NOW)

    assert plan.wait is None
    assert len(plan.recent) - plan.start >= 250
    assert plan.sought_in(fallen.metric) == 0.0
    assert waiting.wait is not None
    assert waiting.wait.rows_needed == 923


@pytest.mark.parametrize(("new", "waits"), [(20, True), (100, False)])
def test_drift_waits_for_new_rows_after_an_earlier_exam(new: int, waits: bool) -> None:
    end = parse_utc(DONE.request.evaluation_end)
    labelled = rows_from(end - timedelta(seconds=399 - new), 400)
    refused = replace(DONE, state="refused", request=replace(DONE.request, episode="earlier"))
    asked = proposal("drift", refused)
    asked = changed(asked, trigger=changed(asked.trigger, since="2020-01-01T00:00:00.000000Z"))
    plan = plan_evaluation(asked, labelled, SETTINGS, NOW)

    assert (plan.wait is not None) == waits
    if plan.wait is not None:
        assert (plan.wait.rows, plan.wait.rows_needed) == (20, 100)
