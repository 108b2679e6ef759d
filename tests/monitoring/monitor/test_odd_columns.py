"""No data stops the monitor: odd columns are judged, and what cannot be judged is recorded."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from contracts.names import Layout
from contracts.reference import Reference
from contracts.settings import Secret
from contracts.verdict import Finding, QualityFinding, Verdict
from monitoring.drift import rule
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import findings_of
from monitoring.drift.thresholds import DriftThresholds
from monitoring.quality.checks import quality_findings
from monitoring.quality.counts import QualityCounts
from monitoring.reporting.histograms import histogram_pair
from monitoring.scheduler import judge_due
from monitoring.traffic.batch import TrafficBatch
from tests.conftest import Workplace
from tests.monitoring.alerting.receiver import Receiver
from tests.monitoring.monitor.scenario import END, SETTINGS, START, judge, served_rows, write
from training.reference import number_reference

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("without_evidently"),
]

Numbers = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
N = 300
COLUMNS: dict[str, Numbers] = {
    "constant": np.full(N, 0.0035),
    "zero": np.zeros(N),
    "five": np.full(N, 5.0),
    "null": np.full(N, np.nan),
    "infinite": np.full(N, np.inf),
    "some infinite": np.where(RNG.random(N) < 0.3, np.inf, RNG.normal(size=N)),
    "one other": np.append(np.ones(N - 1), 2.0),
    "two values": RNG.integers(0, 2, N).astype(float),
    "subnormal": RNG.random(N) * 5e-323,
    "large": RNG.normal(size=N) * 1e150,
    "normal": RNG.normal(size=N),
    "empty": np.empty(0),
}


def judged(
    at_training: Numbers, now: Numbers
) -> tuple[list[Finding], list[QualityFinding], WindowHistograms]:
    column = number_reference(at_training)
    reference = Reference(
        n_rows=len(at_training), n_predictions=0, features={"x": column}, predictions={}
    )
    histograms, counts = WindowHistograms(reference), QualityCounts()
    batch = TrafficBatch(
        times=np.arange(len(now)), ids=pl.Series(range(len(now))), columns={"x": pl.Series(now)}
    )
    histograms.add(batch)
    counts.add(batch)
    findings = findings_of(histograms, DriftThresholds(SETTINGS))
    return findings, list(quality_findings(histograms, counts, reference, SETTINGS)), histograms


@pytest.mark.parametrize(("before", "now"), list(product(COLUMNS, COLUMNS)))
def test_every_pair_of_odd_columns_is_judged_in_finite_numbers(before: str, now: str) -> None:
    findings, quality, histograms = judged(COLUMNS[before], COLUMNS[now])

    numbers = [number for f in findings for number in (*f.statistics.values(), f.effect_threshold)]
    assert np.isfinite([*numbers, *(fault.share for fault in quality)]).all()
    assert np.isfinite(histogram_pair("x", histograms).now).all()


@pytest.mark.parametrize("constant", [0.003467, 5.0, 0.0, -1e9])
def test_a_column_that_was_constant_at_training_is_reported_as_that(constant: float) -> None:
    """Neither as a wrong unit nor as out of range: the data may be right now."""
    now = np.random.default_rng(1).normal(constant + 1, 0.3, 400)
    _, quality, histograms = judged(np.full(20_000, constant), now)

    assert [(q.fault, q.share) for q in quality] == [("constant_at_training", 1.0)]
    assert f"training saw {constant:g} in 100%" in quality[0].detail
    assert sum(histogram_pair("x", histograms).now) == pytest.approx(1, abs=1e-3)
    assert judged(np.full(20_000, constant), np.full(400, constant))[1] == []


def boom(*_: object, **__: object) -> None:
    raise ZeroDivisionError("no such column")


def test_a_window_that_cannot_be_judged_is_recorded_alerts_and_the_next_is_judged(
    served: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver()
    settings = replace(SETTINGS, notify=Secret(receiver.url), quiet_s=0.0)
    write(served, served_rows(served, 300, 5))
    hour = timedelta(hours=1)
    failing = {START - hour}

    def judge_window(start: datetime, end: datetime) -> Verdict:
        with monkeypatch.context() as patch:
            if start in failing:
                patch.setattr(rule, "_numeric_evidence", boom)
            return judge(served, start=start, end=end, settings=settings, now=END)

    write(served, [earlier(r) for r in served_rows(served, 300, 6)])
    first = judge_window(START - 2 * hour, START - hour)
    found = judge_due(served.layout, "tiny", 1, hour, END + hour / 2, judge_window)
    receiver.close()

    assert first.decision == "no_traffic"
    assert [v.decision for v in found] == ["failed", "stable"]
    assert found[0].condition("delivery").since == found[0].window.start
    assert found[0].failure.startswith("ZeroDivisionError: no such column (test_odd_columns.py:")
    assert found[0].failure in found[0].sentence
    assert found[0].sentence in Path(found[0].report).read_text().replace("&#39;", "'")
    assert stored(served.layout, found[0]) == found[0]
    assert receiver.titles == ["tiny version 1: failed", "tiny version 1: resolved"]
    assert "Traceback" in caplog.text


def test_the_gauges_of_a_failed_window_say_so(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(served, served_rows(served, 300, 5))
    monkeypatch.setattr(rule, "_numeric_evidence", boom)
    judge(served)

    text = (served.layout.metrics / "tiny.prom").read_text()
    assert 'slipway_verdict{decision="failed",model="tiny",version="1"} 1.0' in text


def earlier(record: Any) -> Any:
    time = record.time.replace("T12", "T11")
    return msgspec.structs.replace(record, time=time, prediction_id=f"e{record.prediction_id}")


def stored(layout: Layout, verdict: Verdict) -> Verdict:
    path = layout.verdicts / "tiny" / f"{verdict.verdict_id}.json"
    return Verdict.read(path.read_bytes())
